//! What is over is let go: grants given back, records of connections that are
//! gone, the log beyond its time, history beyond its bounds.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::grants;
use crate::{host::Host, store};

/// How often it looks. A grant is given back within seconds of the deletion
/// that ended it.
const EVERY: Duration = Duration::from_secs(1);

/// How long the log keeps what was applied, for replays.
const LOG_KEPT: Duration = Duration::from_secs(72 * 3_600);

/// How long what was set aside waits to be worked on after all.
const SET_ASIDE_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How often the log and the histories are trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// Records that are purged in one transaction, so that it holds up nobody.
const PURGE_RECORDS: usize = 200;

/// A revocation that HubSpot does not take is tried again after this long, and
/// after each further failure twice as long.
const REVOKE_AGAIN: Duration = Duration::from_secs(10);

/// A grant that could not be given back for this often (about two days) is
/// given up: its access token has long ended.
const REVOKE_ATTEMPTS_MAX: u32 = 14;

/// Keeps house until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut trimmed_at = None;
    while !stop.is_cancelled() {
        if let Err(error) = revoke(&host).await {
            tracing::warn!(%error, "grants could not be given back");
        }
        if let Err(error) = purge(&host, &stop).await {
            tracing::warn!(%error, "what a connection left could not be purged");
        }
        let now = host.clock.now();
        if trimmed_at.is_none_or(|at| now.since(at) >= TRIM_EVERY) {
            trimmed_at = Some(now);
            if let Err(error) = trim(&host, &stop).await {
                tracing::warn!(%error, "log and history could not be trimmed");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn revoke(host: &Host) -> Result<(), store::Error> {
    let now = host.clock.now();
    let due = host.store.read(move |tx| tx.due_revocations(now)).await?;
    for revocation in due {
        let again_at = match host
            .grants
            .revoke(revocation.account, &revocation.sealed)
            .await
        {
            Ok(()) => None,
            Err(error) if given_up(&error, revocation.attempts) => {
                tracing::warn!(account = %revocation.account, %error, "a grant is not given back");
                None
            }
            Err(error) => {
                tracing::warn!(account = %revocation.account, %error, "a grant could not be given back yet");
                let wait = REVOKE_AGAIN * 2_u32.pow(revocation.attempts.min(REVOKE_ATTEMPTS_MAX));
                Some(error.retry_at().unwrap_or(now.plus(wait)))
            }
        };
        host.store
            .transact(move |tx| tx.settle_revocation(revocation.id, again_at))
            .await?;
    }
    Ok(())
}

fn given_up(error: &grants::Error, attempts: u32) -> bool {
    attempts >= REVOKE_ATTEMPTS_MAX || matches!(error, grants::Error::Secrets(_))
}

async fn purge(host: &Host, stop: &CancellationToken) -> Result<(), crate::store::Error> {
    if !host.store.read(|tx| tx.has_purges()).await? {
        return Ok(());
    }
    while !stop.is_cancelled() {
        if host
            .store
            .transact(|tx| tx.purge_records(PURGE_RECORDS))
            .await?
            == 0
        {
            break;
        }
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum TrimError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Log(#[from] crate::log::Error),
}

async fn trim(host: &Host, stop: &CancellationToken) -> Result<(), TrimError> {
    let now = host.clock.now();
    let (place, connections) = host
        .store
        .transact(move |tx| {
            tx.remove_expired_tokens(now)?;
            tx.remove_expired_consents(now)?;
            tx.trim_set_aside(now.minus(SET_ASIDE_KEPT))?;
            let mut connections = Vec::new();
            for project in tx.projects()? {
                connections.extend(tx.connections(project.id)?);
            }
            Ok((tx.log_position()?, connections))
        })
        .await?;
    for connection in connections {
        host.store
            .transact(move |tx| tx.trim_history(connection.id, now))
            .await?;
    }
    while !stop.is_cancelled() && host.log.trim(place, now.minus(LOG_KEPT)).await? > 0 {}
    Ok(())
}
