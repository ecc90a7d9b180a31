//! Erases what the event log and set-aside hold of records that were deleted for
//! privacy. What the store kept of them went in the transaction that heard of it
//! (`pipeline::erasures`).
//!
//! The log is searched up to where it was applied by those who did not know; what
//! comes later and names an erased record is told of as it is applied. Nothing is
//! rewritten before it is applied. What came while no plugin of its connector ran is
//! searched when one does: nobody else can say of whom it tells. In the end the
//! write-ahead logs are emptied, for they still have what was. Each step can be killed,
//! and is then made again.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    host::Host,
    log::{self, EntryKind, Logged, Position},
    pipeline::redact::{Redacted, redact},
    plugin::{BodyDescription, Plugins, Version},
    store::{
        self,
        erasures::{BodyAside, ErasedRecords, Search},
    },
    telemetry::spawn_blocking,
};

/// How often it looks when nothing says that something was erased, and how long
/// it waits after a failure, or for a reader that is in the way.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries, and bytes of them, that are searched at once: some ten milliseconds
/// of work.
const SEARCH_ENTRIES: usize = 2_000;
const SEARCH_BYTES: usize = 4 * 1024 * 1024;

/// The rest after each step, so that a long log holds up nobody.
const REST: Duration = Duration::from_millis(10);

/// Bodies that were set aside and are looked at in one transaction.
const ASIDE_BODIES: usize = 20;

/// How long late deliveries are looked at: HubSpot tries for a day, and keeps its
/// journal for three.
pub(super) const KEPT: Duration = Duration::from_secs(72 * 3_600);

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Nothing,
    /// It searched a part of the log.
    Searched,
    /// It rewrote entries that came late.
    RewroteLate,
    /// What is let go of behind, or a write-ahead log, still has what was.
    Waits,
    /// Nothing is left of so many erased records.
    Ended(usize),
}

/// Why a step could not be made. It is made again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

/// Erases until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    while !stop.is_cancelled() {
        let wait = match step(&host).await {
            Ok(Step::Searched | Step::RewroteLate) => {
                tokio::time::sleep(REST).await;
                continue;
            }
            Ok(Step::Ended(records)) => {
                if records > 0 {
                    tracing::info!(
                        records,
                        "nothing is left of records that were deleted for privacy, in the log or aside"
                    );
                }
                // It emptied the write-ahead logs, which the writers wait for.
                true
            }
            Ok(Step::Waits) => true,
            Ok(Step::Nothing) => false,
            Err(error) => {
                tracing::warn!(%error, "what was deleted for privacy is not erased yet");
                true
            }
        };
        tokio::select! {
            _ = changed.changed(), if !wait => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Makes the next step.
pub async fn step(host: &Host) -> Result<Step, Error> {
    let running = host.plugins.running();
    let ran = running.clone();
    let (search, late, has_searched) = host
        .store
        .read(move |tx| {
            Ok((
                tx.next_search(&ran)?,
                tx.next_late_entries(SEARCH_ENTRIES)?,
                tx.has_searched(&ran)?,
            ))
        })
        .await?;
    if let Some(part) = search {
        search_part(host, running, part).await?;
        Ok(Step::Searched)
    } else if !late.is_empty() {
        rewrite_late(host, &running, late).await?;
        Ok(Step::RewroteLate)
    } else if has_searched {
        finish(host, running).await
    } else {
        Ok(Step::Nothing)
    }
}

/// Rewrites a part of the log without what was erased.
async fn search_part(
    host: &Host,
    running: Vec<String>,
    Search { after, last }: Search,
) -> Result<(), Error> {
    let erased = host.store.read(|tx| tx.erased_records()).await?;
    let known = erased.newest;
    let mut entries = host.log.read(after, SEARCH_ENTRIES, SEARCH_BYTES).await?;
    entries.retain(|entry| entry.position <= last);
    // What is missing up to the end was trimmed.
    let up_to = entries.last().map_or(last, |entry| entry.position);
    rewrite(host, entries, erased).await?;
    host.store
        .transact(move |tx| tx.searched(&running, known, (after, up_to)))
        .await?;
    Ok(())
}

async fn rewrite_late(
    host: &Host,
    running: &[String],
    positions: Vec<Position>,
) -> Result<(), Error> {
    let erased = Arc::new(host.store.read(|tx| tx.erased_records()).await?);
    let mut not_understood = Vec::new();
    // One by one, for any may be large.
    for position in &positions {
        let entries = host.log.read_at(vec![*position]).await?;
        let nobodys = entries
            .iter()
            .filter(|one| !running.contains(&one.connector));
        not_understood.extend(nobodys.map(|one| (one.connector.clone(), one.position)));
        rewrite(host, entries, erased.clone()).await?;
    }
    let ended = move |tx: &store::Tx<'_>| {
        // They are searched when a plugin runs.
        for (connector, position) in &not_understood {
            tx.extend_erasures(connector, 0, *position)?;
        }
        tx.late_entries_rewritten(&positions)
    };
    host.store.transact(ended).await?;
    Ok(())
}

async fn rewrite(
    host: &Host,
    entries: Vec<Logged>,
    erased: impl Into<Arc<ErasedRecords>>,
) -> Result<(), Error> {
    let (plugins, erased) = (host.plugins.clone(), erased.into());
    let rewriting = spawn_blocking(move || rewritten(entries, &plugins, &erased));
    let bodies = rewriting.await.map_err(|_| Error::Ended)?;
    if !bodies.is_empty() {
        tracing::debug!(entries = bodies.len(), "entries of the log are rewritten");
        // That they are erased may be told by one of these alone.
        host.store.sync().await?;
        host.log.rewrite(bodies).await?;
    }
    Ok(())
}

/// The bodies of entries that tell of erased records, without that; nothing of those that
/// are damaged.
fn rewritten(
    entries: Vec<Logged>,
    plugins: &Plugins,
    erased: &ErasedRecords,
) -> Vec<(Position, Vec<u8>)> {
    let mut bodies = Vec::new();
    for Logged {
        position,
        kind,
        connector,
        body,
        is_damaged,
        ..
    } in entries
    {
        if is_damaged {
            // What is left of it may still be legible.
            bodies.push((position, b"[]".to_vec()));
            continue;
        }
        let Some((erased, plugin)) = erased.of(&connector).zip(plugins.active(&connector).ok())
        else {
            continue;
        };
        match redact(&body, within(&plugin, kind), erased) {
            Redacted::Same => {}
            Redacted::Rewritten(body) => bodies.push((position, body)),
            Redacted::Nothing => bodies.push((position, b"[]".to_vec())),
        }
    }
    bodies
}

/// Once nothing waits to be let go of, rewrites what was set aside, empties the
/// write-ahead logs, and ends the erasures that were searched for everywhere.
async fn finish(host: &Host, running: Vec<String>) -> Result<Step, Error> {
    let erased = host.store.read(|tx| tx.erased_records()).await?;
    let known = erased.newest;
    // What was let go of before may be of an erased record, too.
    let is_settled = |tx: &store::Tx<'_>| Ok(!tx.has_purges()? && !tx.has_releases()?);
    if !host.store.read(is_settled).await? {
        return Ok(Step::Waits);
    }
    rewrite_aside(host, erased).await?;
    if !host.log.empty_write_ahead_log().await? || !host.store.empty_write_ahead_log().await? {
        return Ok(Step::Waits);
    }
    let ended = host
        .store
        .transact(move |tx| tx.finish_erasures(&running, known))
        .await?;
    Ok(Step::Ended(ended))
}

async fn rewrite_aside(host: &Host, erased: ErasedRecords) -> Result<(), Error> {
    let erased = Arc::new(erased);
    let mut after = 0;
    loop {
        let bodies = host
            .store
            .read(move |tx| tx.bodies_aside(after, ASIDE_BODIES))
            .await?;
        let Some(last) = bodies.last().map(|body| body.id) else {
            return Ok(());
        };
        let (plugins, erased) = (host.plugins.clone(), erased.clone());
        let rewriting = spawn_blocking(move || rewritten_aside(bodies, &plugins, &erased));
        let changed = rewriting.await.map_err(|_| Error::Ended)?;
        let mut all = true;
        if !changed.is_empty() {
            let rewrite = move |tx: &store::Tx<'_>| {
                let mut all = true;
                for (was, body) in &changed {
                    all &= tx.rewrite_body_aside(was, body.as_deref())?;
                }
                Ok(all)
            };
            all = host.store.transact(rewrite).await?;
        }
        // A replay may have left something else of one, which is read again.
        if all {
            after = last;
        }
        tokio::time::sleep(REST).await;
    }
}

/// What was set aside and tells of erased records, without that; none where
/// nothing is left.
fn rewritten_aside(
    bodies: Vec<BodyAside>,
    plugins: &Plugins,
    erased: &ErasedRecords,
) -> Vec<(BodyAside, Option<Vec<u8>>)> {
    let mut changed = Vec::new();
    for was in bodies {
        let plugin = plugins.active(&was.connector).ok();
        let Some((erased, plugin)) = erased.of(&was.connector).zip(plugin) else {
            continue;
        };
        // Elements that were set aside are an array, whatever they stood in.
        let at = within(&plugin, was.kind).of_array();
        match redact(&was.body, &at, erased) {
            Redacted::Same => {}
            Redacted::Rewritten(body) => changed.push((was, Some(body))),
            Redacted::Nothing => changed.push((was, None)),
        }
    }
    changed
}

/// Where the elements of such a body stand.
fn within(plugin: &Version, kind: EntryKind) -> &BodyDescription {
    let description = plugin.description();
    description.body(kind).unwrap_or(&description.delivery)
}
