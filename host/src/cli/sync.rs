//! `sync`: full syncs and catch-ups, asked for beside a running host, which
//! picks them up.

use clap::Subcommand;

use super::Error;
use crate::{
    clock::Clock,
    config::DataConfig,
    model::{Actor, ConnectionId, RunId, RunKind},
    pipeline::brake,
    store::{Store, Tx},
    sync::runs,
};

/// Full syncs and catch-ups.
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Ask for a full sync of a connection, and print its id.
    Full {
        /// The connection, such as con_1.
        #[arg(long, value_parser = connection_id)]
        connection: ConnectionId,
        /// Write nothing, and count what it would.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Ask for a catch-up of a connection, and print its id.
    CatchUp {
        /// The connection, such as con_1.
        #[arg(long, value_parser = connection_id)]
        connection: ConnectionId,
        #[command(flatten)]
        data: DataConfig,
    },
    /// List a connection's last syncs, newest first.
    List {
        /// The connection, such as con_1.
        #[arg(long, value_parser = connection_id)]
        connection: ConnectionId,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Let a sync or a connection go on that its brake holds.
    Continue {
        /// The sync or the connection, such as run_1 or con_1.
        #[arg(value_parser = held)]
        held: Held,
        #[command(flatten)]
        data: DataConfig,
    },
    /// End a sync; what it did stays.
    Cancel {
        /// The sync, such as run_1.
        #[arg(value_parser = run_id)]
        sync: RunId,
        #[command(flatten)]
        data: DataConfig,
    },
}

/// What a brake holds.
#[derive(Clone, Copy, Debug)]
pub enum Held {
    /// A full sync or a catch-up.
    Sync(RunId),
    /// What comes live to a connection.
    Connection(ConnectionId),
}

impl SyncCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let now = Clock::system().now();
        let ask = async |data: DataConfig, connection, kind, dry_run| {
            let store = Store::open(&data.directory)?;
            let asked = (kind, dry_run);
            let run = store
                .transact(move |tx| runs::request(tx, connection, asked, &Actor::Operator, now))
                .await?;
            println!("requested {run}");
            Ok(())
        };
        match self {
            Self::Full {
                connection,
                dry_run,
                data,
            } => ask(data, connection, RunKind::Full, dry_run).await,
            Self::CatchUp { connection, data } => {
                ask(data, connection, RunKind::CatchUp, false).await
            }
            Self::List { connection, data } => {
                let store = Store::open(&data.directory)?;
                let lines = store.read(move |tx| list(tx, connection)).await?;
                for line in lines {
                    println!("{line}");
                }
                Ok(())
            }
            Self::Continue { held, data } => {
                let store = Store::open(&data.directory)?;
                store
                    .transact(move |tx| match held {
                        Held::Sync(id) => runs::go_on(tx, id, &Actor::Operator, now),
                        Held::Connection(id) => brake::go_on(tx, id, &Actor::Operator, now),
                    })
                    .await?;
                match held {
                    Held::Sync(id) => println!("continued {id}"),
                    Held::Connection(id) => println!("continued {id}"),
                }
                Ok(())
            }
            Self::Cancel { sync, data } => {
                let store = Store::open(&data.directory)?;
                store
                    .transact(move |tx| runs::cancel(tx, sync, &Actor::Operator, now))
                    .await?;
                println!("cancelled {sync}");
                Ok(())
            }
        }
    }
}

/// The most runs that are listed.
const LISTED: usize = 20;

fn list(tx: &Tx<'_>, connection: ConnectionId) -> Result<Vec<String>, crate::store::Error> {
    let mut lines = Vec::new();
    for run in tx.runs(connection, RunId(i64::MAX), LISTED)? {
        let counts = tx.run_counts(run.id)?;
        let updated = counts.get("updated").copied().unwrap_or(0);
        let total = run.total.map_or("?".to_owned(), |total| total.to_string());
        lines.push(format!(
            "{}\t{}\t{}\t{}\t{}/{total} done\t{updated} updated",
            run.id,
            run.kind.as_str(),
            run.status.as_str(),
            run.started_at.map_or("-".to_owned(), |at| at.to_string()),
            run.done,
        ));
    }
    Ok(lines)
}

fn connection_id(text: &str) -> Result<ConnectionId, String> {
    text.parse()
        .map_err(|_| "this is not a connection's id, such as con_1".to_owned())
}

fn held(text: &str) -> Result<Held, String> {
    let sync = text.parse().map(Held::Sync);
    sync.or_else(|_| text.parse().map(Held::Connection))
        .map_err(|_| "this is no id of a sync or a connection, such as run_1 or con_1".to_owned())
}

fn run_id(text: &str) -> Result<RunId, String> {
    text.parse()
        .map_err(|_| "this is not a sync's id, such as run_1".to_owned())
}
