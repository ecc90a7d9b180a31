//! The versions that are there: installed, removed, and opened at the start.

use std::path::Path;

use super::{Error, Installing, described::described, history, trials};
use crate::{
    model::Timestamp,
    plugin::{Engine, Plugins, Version, Versions, files},
    sources,
    store::{
        self, Store,
        plugins::{PluginVersion, Running},
    },
    telemetry::spawn_blocking,
};

/// Who a built-in version is installed by.
const RELEASE: &str = "the release";

/// A component that an operator brings.
#[derive(Debug)]
pub struct Brought {
    /// Its bytes.
    pub component: Vec<u8>,
    /// The name of the file that it comes in.
    pub file: String,
    /// Who brings it.
    pub by: String,
}

/// Checks a component, keeps it, and returns the version that it is. One that is
/// installed already is written again, which mends its file.
pub async fn install(
    installing: &Installing,
    engine: &Engine,
    store: &Store,
    directory: &Path,
    brought: Brought,
    now: Timestamp,
) -> Result<PluginVersion, Error> {
    let (engine, directory) = (engine.clone(), directory.to_path_buf());
    let checked = installing.check(move || {
        let version = sources::check(&engine, &brought.component);
        version.map(|version| (version, brought))
    });
    let (version, brought) = checked.await??;
    let installed = known(
        &version,
        brought.component.len(),
        Some(brought.file),
        &brought.by,
        now,
    );
    // First its file: one that no version names is in nobody's way.
    let written = spawn_blocking(move || files::write(&directory, &brought.component));
    written.await.map_err(|_| Error::Ended)??;
    let kept = store.transact(move |tx| {
        tx.add_plugin_version(&installed)?;
        tx.plugin_version(&installed.digest)
    });
    Ok(kept.await?)
}

/// Removes a version, the one whose digest begins so. The active one stays.
pub async fn remove(
    store: &Store,
    directory: &Path,
    begins: String,
) -> Result<PluginVersion, Error> {
    let removed = store.transact(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let chosen = history::chosen_version(tx, &version.connector)?;
        let running = tx.running(&version.connector)?;
        let is_used = chosen.is_some_and(|chosen| chosen.digest == version.digest)
            || running
                .as_ref()
                .is_some_and(|running| running.is(&version.digest))
            || tx.is_switch_waiting(&version.digest)?
            || tx
                .trials()?
                .iter()
                .any(|trial| trial.digest == version.digest);
        if version.file.is_none() {
            return Ok(Err(Error::BuiltIn));
        }
        if is_used {
            return Ok(Err(Error::InUse));
        }
        // Without its file, what is built in is still there to go back to.
        match running.is_some_and(|running| running.has_built_in(&version.digest)) {
            true => tx.remove_plugin_file(&version.digest)?,
            false => tx.remove_plugin_version(&version.digest)?,
        }
        Ok(Ok(version))
    });
    let removed = removed.await??;
    files::remove(directory, &removed.digest)?;
    Ok(removed)
}

/// Reads and compiles a version that is installed. Takes some seconds of this
/// thread.
pub fn load(engine: &Engine, directory: &Path, version: &PluginVersion) -> Result<Version, Error> {
    if version.file.is_none() {
        return Err(Error::NotKept);
    }
    let component = files::read(directory, &version.digest)?;
    Ok(engine.load(&component)?)
}

/// The plugins that a host begins with, of every connector the chosen version.
///
/// Where that cannot be run, the built-in one stands in. A host that did not start
/// would answer no delivery, and HubSpot gives up after a day; the built-in version
/// is the one that this release was tested with, what it does is recorded as its
/// doing, and registers keep the source's texts. The choice stays: once the file is
/// back, the next start, or activating it, goes on with it. A connector of which
/// nothing is built in does not run until then.
pub async fn open(
    engine: &Engine,
    store: &Store,
    directory: &Path,
    built_in: (Version, usize),
    now: Timestamp,
) -> Result<Plugins, store::Error> {
    let (built_in, size) = built_in;
    let own = known(&built_in, size, None, RELEASE, now);
    let (own_connector, own_digest) = (own.connector.clone(), own.digest.clone());
    let chosen = store
        .transact(move |tx| {
            tx.add_plugin_version(&own)?;
            let connectors = tx.plugin_connectors()?.into_iter();
            connectors
                .map(|connector| Ok((history::chosen_version(tx, &connector)?, connector)))
                .collect::<Result<Vec<_>, store::Error>>()
        })
        .await?;
    let plugins = Plugins::default();
    plugins.add(Versions::built_in(built_in));
    for (chosen, connector) in chosen {
        let problem = match &chosen {
            Some(chosen) if chosen.digest != own_digest => {
                begin_with(&plugins, engine, directory, chosen)
            }
            _ => None,
        };
        let active = plugins.active(&connector).ok();
        if let Some(version) = &active {
            tracing::info!(
                connector,
                version = version.description().version,
                digest = version.digest(),
                "plugin loaded"
            );
        }
        let says = active.as_deref().map(described);
        let mut running = Running {
            digest: active.map(|version| version.digest().to_owned()),
            built_in: (connector == own_connector).then(|| own_digest.clone()),
            problem,
            failing: None,
        };
        store
            .transact(move |tx| {
                // A start mends nothing.
                let before = tx.running(&connector)?;
                let before = before.filter(|before| before.digest == running.digest);
                running.failing = before.and_then(|before| before.failing);
                if let Some((digest, says)) = running.digest.as_deref().zip(says.as_ref()) {
                    tx.describe_plugin(digest, says)?;
                }
                // What serves all serves nobody alone.
                if let Some(digest) = running.digest.as_deref()
                    && running.is_chosen(digest)
                {
                    trials::end_all(tx, digest)?;
                }
                tx.set_running(&connector, &running)
            })
            .await?;
    }
    trials::open(engine, store, directory, &plugins).await?;
    Ok(plugins)
}

/// Makes the chosen version of a connector the active one; or says why it cannot be
/// run.
fn begin_with(
    plugins: &Plugins,
    engine: &Engine,
    directory: &Path,
    chosen: &PluginVersion,
) -> Option<String> {
    match load(engine, directory, chosen) {
        Ok(version) => {
            plugins.activate(version.into());
            None
        }
        Err(error) => {
            tracing::error!(
                connector = chosen.connector, digest = chosen.digest, version = chosen.version, %error,
                "the plugin version that was activated cannot be run: a built-in version, where \
                 there is one, stands in for it; install it again and activate it, or activate \
                 another"
            );
            Some(error.to_string())
        }
    }
}

fn known(
    version: &Version,
    size: usize,
    file: Option<String>,
    by: &str,
    now: Timestamp,
) -> PluginVersion {
    let description = version.description();
    PluginVersion {
        digest: version.digest().to_owned(),
        connector: description.connector.clone(),
        label: description.label.clone(),
        version: description.version.clone(),
        contract: Some(version.contract().to_owned()),
        description: Some(described(version)),
        size_bytes: size as u64,
        file,
        installed_by: by.to_owned(),
        installed_at: now,
    }
}
