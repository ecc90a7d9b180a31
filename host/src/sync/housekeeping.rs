//! What is over is let go: records that are nobody's any more, the log beyond
//! its time, history beyond its bounds.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{erasures, versions::shadow};
use crate::{
    host::Host,
    model::{ConnectionId, Timestamp},
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

/// Rows that are purged in one transaction, so that it holds up nobody.
const PURGE_ROWS: usize = 2_000;

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
            trim(&host, &stop).await;
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
            .transact_behind(|tx| tx.purge_records(PURGE_ROWS))
            .await?
            == 0
        {
            break;
        }
    }
    Ok(())
}

/// Lets go of some of what is over at a moment: so many rows at most, where it counts
/// them. Returns how many.
type Trim = fn(&Tx<'_>, Timestamp, usize) -> Result<usize, store::Error>;

/// What is let go of, and how many rows in a transaction.
const TRIMMED: &[(&str, usize, Trim)] = &[
    ("tokens", TRIM_ROWS, |tx, now, _| {
        tx.remove_expired_tokens(now)
    }),
    ("sessions", TRIM_ROWS, |tx, now, _| {
        tx.remove_ended_sessions(now)
    }),
    ("links", TRIM_ROWS, |tx, now, _| {
        tx.remove_expired_links(now).map(|()| 0)
    }),
    ("consents", TRIM_ROWS, |tx, now, _| {
        tx.remove_expired_consents(now)
    }),
    ("replays", TRIM_ROWS, |tx, now, _| {
        tx.trim_replays(now.minus(SET_ASIDE_KEPT)).map(|()| 0)
    }),
    ("erasures", TRIM_ROWS, |tx, now, _| {
        tx.trim_erasures(now.minus(erasures::KEPT)).map(|()| 0)
    }),
    ("drafts", TRIM_ROWS, |tx, now, _| {
        tx.trim_drafts(now.minus(DRAFTS_KEPT)).map(|()| 0)
    }),
    ("shadows", TRIM_ROWS, |tx, now, _| {
        tx.end_old_shadows(now.minus(shadow::KEPT)).map(|()| 0)
    }),
    ("what was set aside", TRIM_BODIES, |tx, now, rows| {
        tx.trim_set_aside(now.minus(SET_ASIDE_KEPT), rows)
    }),
    ("examples of runs", TRIM_ROWS, |tx, now, rows| {
        tx.trim_run_examples(now.minus(EXAMPLES_KEPT), rows)
    }),
    ("records that runs counted", TRIM_ROWS, |tx, _, rows| {
        tx.trim_counted(rows)
    }),
    ("users that runs counted", TRIM_ROWS, |tx, _, rows| {
        tx.trim_run_users(rows)
    }),
];

/// As [`Trim`], of one connection.
type TrimConnection = fn(&Tx<'_>, ConnectionId, Timestamp, usize) -> Result<usize, store::Error>;

/// What is let go of, of each connection.
const TRIMMED_OF_CONNECTIONS: &[(&str, TrimConnection)] = &[
    ("hours", |tx, connection, now, _| {
        tx.trim_hours(connection, now).map(|()| 0)
    }),
    ("losses", |tx, connection, now, rows| {
        tx.trim_losses(connection, now.minus(brake::WINDOW), rows)
    }),
    ("activity", |tx, connection, _, rows| {
        tx.trim_activity(connection, rows)
    }),
];

/// Lets go of all that is over, the log first: it is the most. What cannot be let go of
/// keeps nothing else.
async fn trim(host: &Host, stop: &CancellationToken) {
    let now = host.clock.now();
    if let Err(error) = trim_log(host, stop, now).await {
        tracing::warn!(%error, "the log could not be trimmed");
    }
    for &(what, rows, trim) in TRIMMED {
        let trimmed = in_pieces(host, stop, rows, move |tx, piece| trim(tx, now, piece));
        if let Err(error) = trimmed.await {
            tracing::warn!(what, %error, "what is over could not be let go of");
        }
    }
    let connections = host.store.read(|tx| tx.connection_ids()).await;
    let connections = connections.unwrap_or_else(|error| {
        tracing::warn!(%error, "what is over of connections could not be let go of");
        Vec::new()
    });
    for connection in connections {
        for &(what, trim) in TRIMMED_OF_CONNECTIONS {
            let trimmed = in_pieces(host, stop, TRIM_ROWS, move |tx, piece| {
                trim(tx, connection, now, piece)
            });
            if let Err(error) = trimmed.await {
                tracing::warn!(%connection, what, %error, "what is over could not be let go of");
            }
        }
    }
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

/// Why the log could not be trimmed.
#[derive(Debug, thiserror::Error)]
enum TrimError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Log(#[from] crate::log::Error),
}

async fn trim_log(host: &Host, stop: &CancellationToken, now: Timestamp) -> Result<(), TrimError> {
    let place = host.store.synced_log_position().await?;
    while !stop.is_cancelled() && host.log.trim(place, now.minus(LOG_KEPT)).await? > 0 {}
    Ok(())
}
