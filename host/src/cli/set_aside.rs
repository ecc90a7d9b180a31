//! `log set-aside`: what could not be worked on, looked at and worked on again
//! beside a running host, which picks up what it has to do.

use std::{io::Write, time::Duration};

use clap::Subcommand;

use super::{Error, OPERATOR};
use crate::{
    clock::Clock,
    config::DataConfig,
    store::{
        Store,
        set_aside::{Filter, Listed},
    },
    sync::replays,
};

/// How long a command waits for the host.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is listed with one reading of the store.
const PAGE: usize = 500;

/// What could not be worked on.
#[derive(Debug, Subcommand)]
pub enum SetAsideCommand {
    /// List it, oldest first.
    List {
        /// That whose reason has this in it.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Print the bytes of one, as they are. They hold what HubSpot said of people.
    Show {
        /// Its number in the list.
        number: i64,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Have the host work on it again, with the version of the plugin that is active.
    /// What is older than what is known changes nothing; what fails again stays.
    Replay {
        /// Its number in the list.
        #[arg(required_unless_present = "all")]
        number: Option<i64>,
        /// All of it.
        #[arg(long, conflicts_with = "number")]
        all: bool,
        /// Of all, that whose reason has this in it.
        #[arg(long, requires = "all")]
        reason: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
}

impl SetAsideCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::List { reason, data } => {
                let store = Store::open(&data.directory)?;
                let filter = Filter {
                    reason,
                    ..Filter::default()
                };
                let mut after = 0;
                loop {
                    let filter = filter.clone();
                    let page = store.read(move |tx| tx.list_set_aside(&filter, after, PAGE));
                    let page = page.await?;
                    let Some(last) = page.last() else {
                        return Ok(());
                    };
                    after = last.id;
                    page.iter().for_each(|listed| println!("{}", line(listed)));
                }
            }
            Self::Show { number, data } => {
                let store = Store::open(&data.directory)?;
                let (_, body) = store.read(move |tx| tx.one_set_aside(number)).await?;
                Ok(std::io::stdout().write_all(&body)?)
            }
            Self::Replay {
                number,
                all: _,
                reason,
                data,
            } => {
                let store = Store::open(&data.directory)?;
                if let Some(number) = number {
                    store.read(move |tx| tx.one_set_aside(number)).await?;
                }
                let filter = Filter {
                    id: number,
                    reason,
                    ..Filter::default()
                };
                replay(&store, filter).await
            }
        }
    }
}

async fn replay(store: &Store, filter: Filter) -> Result<(), Error> {
    let now = Clock::system().now();
    let replay = replays::request(store, &filter, OPERATOR, now).await?;
    let state = replays::state(store, replay, PATIENCE).await?;
    println!("{} worked on, {} stayed", state.done(), state.stayed);
    if state.waiting > 0 {
        return Err(Error::Usage(format!(
            "{} are still to be worked on: a host does when it runs",
            state.waiting
        )));
    }
    Ok(())
}

fn line(listed: &Listed) -> String {
    let waits = match listed.waits {
        true => "waits to be worked on again",
        false => "",
    };
    format!(
        "{}\t{}\t{}\t{}\t{} bytes\t{}\t{waits}",
        listed.id,
        listed.at,
        listed.connector,
        listed
            .account
            .as_ref()
            .map_or("-", |account| account.as_str()),
        listed.size_bytes,
        listed.reason,
    )
}
