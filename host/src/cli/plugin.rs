//! `plugin`: versions of the plugin, installed and switched beside a running host,
//! which picks up what it has to do.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;

use super::{Error, OPERATOR, shadow};
use crate::{
    clock::Clock,
    config::DataConfig,
    model::{ConnectionId, Described},
    plugin::{Engine, Limits, files},
    store::{
        self, Store, Tx,
        plugins::{Activation, Outcome, PluginVersion},
        trials::Trial,
    },
    sync::versions::{
        self, Installing,
        library::{self, Brought},
        shadow::Report,
        switch::{self, Ask},
    },
};

/// How long a command waits for the host: more than compiling takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Characters of a digest that a list shows: enough to be given back.
const DIGEST_SHOWN: usize = 12;

/// Versions of the plugin.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the versions that are known; the active one has a star.
    List {
        #[command(flatten)]
        data: DataConfig,
    },
    /// Show what is known of a version, and when it was active.
    Inspect {
        /// The digest, or the beginning of it.
        digest: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Check a component, keep it, and print its digest. It is not active by that.
    Install {
        /// The component: a file that ends in .wasm.
        file: PathBuf,
        #[command(flatten)]
        data: DataConfig,
    },
    /// See what a version would change: the host compares it with the active one, on
    /// what was received lately and on what comes, and applies nothing of it. Asked
    /// again, prints how far it is.
    #[command(visible_alias = "replay")]
    Shadow {
        /// The digest, or the beginning of it.
        digest: String,
        /// How far back to look, for example 30m, 6h or 2d, beginning anew; as far as
        /// the log keeps, when not said.
        #[arg(long, value_parser = shadow::within, conflicts_with = "stop")]
        since: Option<Duration>,
        /// End it, and forget what it found.
        #[arg(long)]
        stop: bool,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Make a version the active one that was compared with it. Deliveries go on
    /// meanwhile.
    Activate {
        /// The digest, or the beginning of it.
        digest: String,
        /// Although it was not compared, or fails where the active version does not.
        #[arg(long)]
        force: bool,
        /// Have it serve this connection alone, before it serves all.
        #[arg(long)]
        connection: Option<ConnectionId>,
        /// Why, for the history.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Go back to the version that was active before.
    Rollback {
        /// Of this connector; need not be said where there is one alone.
        #[arg(long)]
        connector: Option<String>,
        /// Have the active version serve this connection again.
        #[arg(long, conflicts_with = "connector")]
        connection: Option<ConnectionId>,
        /// Why, for the history.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Remove a version that is not active.
    Remove {
        /// The digest, or the beginning of it.
        digest: String,
        #[command(flatten)]
        data: DataConfig,
    },
}

impl PluginCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::List { data } => {
                let store = Store::open(&data.directory)?;
                for line in store.read(list).await? {
                    println!("{line}");
                }
                Ok(())
            }
            Self::Inspect { digest, data } => {
                let store = Store::open(&data.directory)?;
                for line in store.read(move |tx| inspect(tx, &digest)).await? {
                    println!("{line}");
                }
                Ok(())
            }
            Self::Install { file, data } => install(file, data).await,
            Self::Shadow {
                digest,
                since,
                stop,
                data,
            } => {
                let store = Store::open(&data.directory)?;
                match stop {
                    true => shadow::stop(&store, digest).await,
                    false => shadow::run(&store, digest, since).await,
                }
            }
            Self::Activate {
                digest,
                force,
                connection,
                reason,
                data,
            } => {
                let asked = Ask::Activate {
                    begins: digest,
                    force,
                    connection,
                };
                ask(asked, reason, data).await
            }
            Self::Rollback {
                connector,
                connection,
                reason,
                data,
            } => {
                let asked = match connection {
                    Some(connection) => Ask::EndTrial {
                        connection,
                        from: None,
                    },
                    None => Ask::Rollback {
                        connector,
                        to: None,
                    },
                };
                ask(asked, reason, data).await
            }
            Self::Remove { digest, data } => {
                let store = Store::open(&data.directory)?;
                let removed = library::remove(&store, &data.directory, digest).await?;
                println!("removed {}", removed.digest);
                Ok(())
            }
        }
    }
}

async fn install(file: PathBuf, data: DataConfig) -> Result<(), Error> {
    let named = |source| Error::Usage(format!("{}: {source}", file.display()));
    let size = std::fs::metadata(&file).map_err(named)?.len();
    if size > files::COMPONENT_BYTES_MAX as u64 {
        return Err(Error::Usage(format!(
            "{} has {size} bytes, and a component may have {}",
            file.display(),
            files::COMPONENT_BYTES_MAX
        )));
    }
    let component = std::fs::read(&file).map_err(named)?;
    let store = Store::open(&data.directory)?;
    let engine = Engine::new(&Limits::default()).map_err(versions::Error::from)?;
    let name = file.file_name().unwrap_or(file.as_os_str());
    let brought = Brought {
        component,
        file: name.to_string_lossy().into_owned(),
        by: OPERATOR.to_owned(),
    };
    let now = Clock::system().now();
    let (installing, directory) = (Installing::default(), &data.directory);
    let installed = library::install(&installing, &engine, &store, directory, brought, now);
    let installed = installed.await?;
    println!(
        "installed {} {} {}",
        installed.connector, installed.version, installed.digest
    );
    Ok(())
}

async fn ask(ask: Ask, reason: Option<String>, data: DataConfig) -> Result<(), Error> {
    let store = Store::open(&data.directory)?;
    let (by, now) = (OPERATOR.to_owned(), Clock::system().now());
    let gives_back = matches!(ask, Ask::EndTrial { .. });
    let connection = match &ask {
        Ask::Activate { connection, .. } => *connection,
        Ask::EndTrial { connection, .. } => Some(*connection),
        Ask::Rollback { .. } => None,
    };
    let requested = switch::request(&store, ask, by, reason, now).await?;
    let digest = requested.version.digest;
    let made = match (gives_back, connection) {
        (true, Some(connection)) => format!("{digest} serves {connection} alone no more"),
        (false, Some(connection)) => format!("activated {digest} for {connection} alone"),
        (_, None) => format!("activated {digest}"),
    };
    if let Some(report) = &requested.compared {
        println!("its shadow {}", shadow::state(report));
        for line in shadow::differences(&report.differences) {
            println!("{line}");
        }
    }
    match switch::outcome(&store, requested.request, PATIENCE).await? {
        Outcome::Made => {
            println!("{made}");
            Ok(())
        }
        Outcome::Refused(reason) => Err(Error::Usage(format!(
            "{digest} was not activated: {reason}"
        ))),
        Outcome::Waits => Err(Error::Usage(format!(
            "{digest} is asked for, and no host has activated it within {} seconds: it does when \
             it runs",
            PATIENCE.as_secs()
        ))),
    }
}

fn list(tx: &Tx<'_>) -> Result<Vec<String>, store::Error> {
    let mut lines = Vec::new();
    for version in tx.plugin_versions()? {
        let running = tx.running(&version.connector)?;
        let is_active = running.is_some_and(|running| running.is(&version.digest));
        lines.push(format!(
            "{}\t{:.DIGEST_SHOWN$}\t{}\t{}\t{} bytes\t{}\t{}\t{}",
            if is_active { "*" } else { "" },
            version.digest,
            version.connector,
            version.version,
            version.size_bytes,
            origin(&version),
            version.installed_by,
            version.installed_at,
        ));
    }
    for trial in tx.trials()? {
        let Trial {
            connection,
            digest,
            by,
            at,
            problem,
        } = trial;
        lines.push(match problem {
            None => format!("{digest:.DIGEST_SHOWN$} serves {connection} alone, by {by} since {at}"),
            Some(problem) => format!(
                "{digest:.DIGEST_SHOWN$} was to serve {connection} alone, and does not run: {problem}"
            ),
        });
    }
    for (connector, problem) in tx.plugin_problems()? {
        lines.push(format!(
            "the version of {connector} that was activated does not run (a built-in one stands in \
             for it, where there is one): {problem}"
        ));
    }
    for (connector, failing) in tx.plugins_failing()? {
        lines.push(format!(
            "the active version of {connector} fails too often, and there is none to go back to: \
             {failing}"
        ));
    }
    for connector in tx.plugin_connectors()? {
        lines.extend(shadow::listed(tx, &connector)?);
    }
    Ok(lines)
}

fn inspect(tx: &Tx<'_>, digest: &str) -> Result<Vec<String>, store::Error> {
    let version = tx.plugin_version(digest)?;
    let running = tx.running(&version.connector)?;
    let is_active = running.is_some_and(|running| running.is(&version.digest));
    let mut lines = vec![
        format!("digest\t{}", version.digest),
        format!("connector\t{} ({})", version.connector, version.label),
        format!("version\t{}", version.version),
        format!("contract\t{}", version.contract.as_deref().unwrap_or("-")),
    ];
    match &version.description {
        Some(described) => lines.extend(understood(described)),
        None => lines.push("understands\t-".to_owned()),
    }
    lines.extend([
        format!("size\t{} bytes", version.size_bytes),
        format!("from\t{}", origin(&version)),
        format!(
            "installed\t{} by {}",
            version.installed_at, version.installed_by
        ),
        format!("active\t{}", if is_active { "yes" } else { "no" }),
    ]);
    let report = Report::load(tx, &version.connector)?;
    let report = report.filter(|report| report.shadow.digest == version.digest);
    lines.extend(report.map(|report| format!("shadow\t{}", shadow::state(&report))));
    let activations = tx.activations(&version.connector)?;
    let named = |activation: &&Activation| {
        [Some(&activation.switch.digest), activation.before.as_ref()]
            .contains(&Some(&version.digest))
    };
    lines.extend(activations.iter().filter(named).map(|activation| {
        let what = match activation.switch.digest == version.digest {
            true => "became active",
            false => "was replaced",
        };
        let switch = &activation.switch;
        let what = match switch.connection {
            Some(connection) => format!("{what} for {connection} alone"),
            None => what.to_owned(),
        };
        format!(
            "{}\t{what}\t{} ({})\t{}",
            activation.at,
            switch.by,
            switch.why.as_str(),
            switch.reason.as_deref().unwrap_or("-")
        )
    }));
    Ok(lines)
}

/// What a version says that it understands, line by line.
fn understood(described: &Described) -> impl Iterator<Item = String> {
    let properties = match described.defines_properties {
        true => "told by the component",
        false => "asked of the source",
    };
    let all = [
        format!("reads\t{}", described.bodies()),
        format!("properties\t{properties}"),
    ];
    let types = described.object_types.iter().map(|one| {
        format!(
            "object type\t{} ({})\tmatched {}\tselected {}",
            one.name,
            one.label,
            one.matched(),
            one.selections()
        )
    });
    all.into_iter().chain(types)
}

fn origin(version: &PluginVersion) -> &str {
    version.file.as_deref().unwrap_or("built in")
}
