//! What is over is let go: records that are nobody's any more, the log beyond
//! its time, history beyond its bounds.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{erasures, versions::shadow};
use crate::{
    host::Host,
    pipeline::brake,
    store::{self, Tx},
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// How long the log keeps what was applied, for replays.
const LOG_KEPT: Duration = Duration::from_secs(72 * 3_600);

/// How long what was set aside waits to be worked on after all.
const SET_ASIDE_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How long a draft of mappings waits to be gone on with.
const DRAFTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long some of what a run counted is named; the counts stay with the run.
const EXAMPLES_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);

/// How often the log and the histories are trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// Records that are purged in one transaction, so that it holds up nobody.
const PURGE_RECORDS: usize = 200;

/// Rows of a history that are let go in one transaction.
const TRIM_ROWS: usize = 1_000;

/// Bodies that are; each may be as large as a delivery.
const TRIM_BODIES: usize = 20;

/// Keeps house until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut trimmed_at = None;
    while !stop.is_cancelled() {
        if let Err(error) = purge(&host, &stop).await {
            tracing::warn!(%error, "what is kept of records that are nobody's could not be purged");
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

async fn purge(host: &Host, stop: &CancellationToken) -> Result<(), crate::store::Error> {
    if !host.store.read(|tx| tx.has_purges()).await? {
        return Ok(());
    }
    while !stop.is_cancelled() {
        if host
            .store
            .transact_behind(|tx| tx.purge_records(PURGE_RECORDS))
            .await?
            == 0
        {
            break;
        }
    }
    Ok(())
}

/// Lets rows go, so many in a transaction, until there are no more to be let go.
async fn in_pieces(
    host: &Host,
    stop: &CancellationToken,
    rows: usize,
    trim: impl Fn(&Tx<'_>, usize) -> Result<usize, store::Error> + Copy + Send + 'static,
) -> Result<(), store::Error> {
    while !stop.is_cancelled() {
        let piece = host.store.transact_behind(move |tx| trim(tx, rows));
        if piece.await? < rows {
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
    let connections = host
        .store
        .transact(move |tx| {
            tx.remove_expired_tokens(now)?;
            tx.remove_ended_sessions(now)?;
            tx.remove_expired_links(now)?;
            tx.remove_expired_consents(now)?;
            tx.trim_replays(now.minus(SET_ASIDE_KEPT))?;
            tx.trim_erasures(now.minus(erasures::KEPT))?;
            tx.trim_drafts(now.minus(DRAFTS_KEPT))?;
            tx.end_old_shadows(now.minus(shadow::KEPT))?;
            let mut connections = Vec::new();
            for project in tx.projects()? {
                connections.extend(tx.connections(project.id)?);
            }
            Ok(connections)
        })
        .await?;
    let (aside_before, named_before) = (now.minus(SET_ASIDE_KEPT), now.minus(EXAMPLES_KEPT));
    // These have bodies.
    in_pieces(host, stop, TRIM_BODIES, move |tx, piece| {
        tx.trim_set_aside(aside_before, piece)
    })
    .await?;
    in_pieces(host, stop, TRIM_ROWS, move |tx, piece| {
        tx.trim_run_examples(named_before, piece)
    })
    .await?;
    in_pieces(host, stop, TRIM_ROWS, |tx, piece| tx.trim_counted(piece)).await?;
    in_pieces(host, stop, TRIM_ROWS, |tx, piece| tx.trim_run_users(piece)).await?;
    for connection in connections {
        host.store
            .transact(move |tx| tx.trim_hours(connection.id, now))
            .await?;
        let lost_before = now.minus(brake::WINDOW);
        in_pieces(host, stop, TRIM_ROWS, move |tx, piece| {
            tx.trim_losses(connection.id, lost_before, piece)
        })
        .await?;
        in_pieces(host, stop, TRIM_ROWS, move |tx, piece| {
            tx.trim_activity(connection.id, piece)
        })
        .await?;
    }
    let place = host.store.synced_log_position().await?;
    while !stop.is_cancelled() && host.log.trim(place, now.minus(LOG_KEPT)).await? > 0 {}
    Ok(())
}
