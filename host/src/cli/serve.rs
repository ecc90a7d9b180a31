//! `serve`: the host, until it is told to stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    clock::Clock,
    config::Config,
    host::{self, Host},
    lock::DirectoryLock,
    members,
    plugin::{Engine, Limits},
};

/// Run the host.
#[derive(Debug, clap::Args)]
pub struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    /// Runs until it is told to stop.
    pub async fn run(self) -> Result<(), Error> {
        super::init_logs(&self.config)?;
        let alone = DirectoryLock::take(&self.config.data.directory)?;
        let listener = host::listen(self.config.address.listen).await?;
        let listening = host::listening_url(&listener)?;
        let public_url = self
            .config
            .address
            .public_url
            .clone()
            .unwrap_or_else(|| listening.clone());
        if self.config.hubspot.app().is_none() {
            tracing::warn!(
                "HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set: no account can be \
                 connected, and no delivery is taken in"
            );
        }
        let engine = Engine::new(&Limits::default()).map_err(host::Error::from)?;
        host::migrate(&alone)?;
        let host = Host::open(&engine, self.config, public_url, Clock::system()).await?;
        println!("listening on {}", listening.as_str().trim_end_matches('/'));
        tell_owner(&host).await?;
        host::run(Arc::new(host), listener, stop_signal()?).await?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Tells whoever starts the host how to come in, as long as nobody has: in the
/// log, which is theirs alone. It is the one line that ever has such a link.
async fn tell_owner(host: &Host) -> Result<(), Error> {
    if let Some(link) = members::make_owner_link(host).await? {
        tracing::warn!(
            link = link.as_str(),
            "nobody has an account yet: open this link to name a project and yourself; it is \
             good once, for a day, and the next start makes another"
        );
    }
    Ok(())
}

/// Cancelled by the signals that ask a process to stop.
pub fn stop_signal() -> Result<CancellationToken, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; work under way is finished first");
        stopped.cancel();
    });
    Ok(stop)
}
