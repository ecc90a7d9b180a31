//! `demo`: the host on a fresh data directory, with a simulated HubSpot in the
//! same process and sample data.

use super::Error;

/// Run the host with a simulated HubSpot and sample data.
#[derive(Debug, clap::Args)]
pub struct Demo {}

impl Demo {
    /// Runs until it is told to stop.
    pub async fn run(self) -> Result<(), Error> {
        Err(Error::Demo("not yet".into()))
    }
}
