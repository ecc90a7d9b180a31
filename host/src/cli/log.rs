//! `log`: what an operator does after a failure, with the host stopped; and what
//! could not be worked on.

use clap::Subcommand;

use super::{Error, set_aside::SetAsideCommand};
use crate::{config::DataConfig, host, lock::DirectoryLock, log::EventLog, store::Store};

/// The event log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Go on with the log that is in the data directory, whichever it is, when
    /// the start refuses it. All that it holds is applied again; what it does
    /// not hold and was not applied is lost, and is told. Stop the host first.
    Accept {
        #[command(flatten)]
        data: DataConfig,
    },
    /// What could not be worked on. Beside a running host.
    #[command(subcommand)]
    SetAside(SetAsideCommand),
}

impl LogCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let data = match self {
            Self::Accept { data } => data,
            Self::SetAside(command) => return command.run().await,
        };
        let alone = DirectoryLock::take(&data.directory)?;
        host::migrate(&alone)?;
        let store = Store::open(&data.directory)?;
        let log = EventLog::open(&data.directory)
            .await
            .map_err(host::Error::Log)?;
        let reached = store.accept_log(&log).await?.0;
        let (first, last) = (log.kept_from().0, log.tail().borrow().0);
        println!("the store had applied up to {reached}");
        if first > last {
            println!("the log holds no delivery");
        } else {
            println!("the log holds {first} to {last}: they are applied at the next start");
        }
        println!(
            "deliveries that are in neither are lost, and HubSpot does not send them again: the \
             next nightly catch-up reads what they changed, and `jimo-connect sync catch-up` at once"
        );
        Ok(())
    }
}
