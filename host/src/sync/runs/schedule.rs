//! When catch-ups are due: once a day for each connection, at a time of its own,
//! after the host was away, and every few minutes where the journal tells
//! nothing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::{ToSpan, tz::TimeZone};
use tokio_util::sync::CancellationToken;

use super::super::journal::journal_refused;
use crate::{
    host::Host,
    hubspot::CONNECTOR,
    model::{ConnectionId, RunKind, RunStatus, Status, Timestamp},
    sources::Source,
    store::{
        self, Tx,
        runs::{LastCatchUp, NewRun},
    },
};

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The hours of the night, in the project's time zone, over which catch-ups are
/// spread.
const NIGHT_BEGINS: i64 = 1;
const NIGHT_MINUTES: i64 = 4 * 60;

/// A host that was away for longer may have missed what HubSpot does not send
/// again, or not soon.
const AWAY: Duration = Duration::from_secs(300);

/// How long after a catch-up that failed another one is tried; twice as long after
/// each further one, and a day at most.
const AFTER_FAILURE: Duration = Duration::from_secs(3_600);
const AFTER_FAILURES_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Asks for catch-ups that are due, until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    if let Err(error) = after_absence(&host).await {
        tracing::error!(%error, "catch-ups after the host was away could not be asked for");
    }
    while !stop.is_cancelled() {
        if let Err(error) = look(&host).await {
            tracing::error!(%error, "catch-ups could not be scheduled");
        }
        let next = host.clock.now().plus(LOOK_EVERY);
        tokio::select! {
            () = host.clock.sleep_until(next) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn after_absence(host: &Host) -> Result<(), store::Error> {
    let now = host.clock.now();
    let was_away = host
        .store
        .transact(move |tx| {
            let was_away = tx.alive_at()?.is_some_and(|at| now.since(at) >= AWAY);
            if was_away {
                for one in syncing(tx)? {
                    request(tx, one.connection, UnderWay::BeginsAnew, now)?;
                }
            }
            tx.set_alive(now)?;
            Ok(was_away)
        })
        .await?;
    if was_away {
        tracing::info!("the host was away: all connections catch up");
        host.pipeline.notify_changed();
    }
    Ok(())
}

async fn look(host: &Host) -> Result<(), store::Error> {
    let now = host.clock.now();
    let minutes = host.config.sync.look_every_minutes;
    let every = (minutes > 0).then(|| Duration::from_secs(minutes * 60));
    let routing = host.pipeline.routing().await?;
    let unserved = routing
        .accounts_of(CONNECTOR)
        .filter(|account| journal_refused(host, &account.key));
    let unserved = unserved.flat_map(|account| &account.connections);
    let unserved: HashSet<ConnectionId> = unserved.map(|connection| connection.id).collect();
    let due = host.store.read(move |tx| {
        let mut due = Vec::new();
        for one in syncing(tx)? {
            let Syncing {
                connection,
                zone,
                is_well,
            } = one;
            let Some(mapped_at) = tx.first_mapped_at(connection)? else {
                continue;
            };
            let last = tx.last_catch_up(connection)?;
            let slot = slot(connection, &zone, now);
            if is_due(last.as_ref(), is_well, mapped_at, slot, now) {
                due.push((connection, false));
            } else if let Some(every) = every.filter(|_| unserved.contains(&connection)) {
                let last = tx.last_look(connection)?.unwrap_or(mapped_at);
                if now.since(last) >= every {
                    due.push((connection, true));
                }
            }
        }
        Ok(due)
    });
    let due = due.await?;
    let any = !due.is_empty();
    host.store
        .transact(move |tx| {
            for (connection, brief) in due {
                ask(tx, connection, brief, now)?;
            }
            tx.set_alive(now)
        })
        .await?;
    if any {
        host.pipeline.notify_changed();
    }
    Ok(())
}

/// What becomes of a catch-up that is under way when another is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// It begins anew, for it may have passed what is new.
    BeginsAnew,
    /// It goes on, for it sees what the other one would.
    GoesOn,
}

/// Asks for a catch-up of a connection, unless nothing is mapped: nothing was
/// heard for a while.
///
/// # Errors
///
/// Only the store's own.
pub fn request(
    tx: &Tx<'_>,
    connection: ConnectionId,
    under_way: UnderWay,
    now: Timestamp,
) -> Result<(), store::Error> {
    let connector = tx.any_connection(connection)?.connector;
    if !Source::of(&connector).is_read() || tx.first_mapped_at(connection)?.is_none() {
        return Ok(());
    }
    if under_way == UnderWay::BeginsAnew {
        tx.begin_catch_up_anew(connection)?;
    }
    ask(tx, connection, false, now)
}

/// Asks for a catch-up, unless one is under way.
fn ask(
    tx: &Tx<'_>,
    connection: ConnectionId,
    brief: bool,
    now: Timestamp,
) -> Result<(), store::Error> {
    let new = NewRun {
        connection,
        kind: RunKind::CatchUp,
        dry_run: false,
        brief,
        origin: "schedule",
    };
    match tx.request_run(new, now) {
        Ok(_) | Err(store::Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A connection that syncs.
struct Syncing {
    connection: ConnectionId,
    /// Its project's time zone.
    zone: TimeZone,
    /// Whether nothing is wrong with it.
    is_well: bool,
}

/// The connections that sync, and whose records can be read.
fn syncing(tx: &Tx<'_>) -> Result<Vec<Syncing>, store::Error> {
    let mut syncing = Vec::new();
    for project in tx.projects()? {
        // Checked when it was saved; another machine may know fewer.
        let zone = TimeZone::get(&project.time_zone).unwrap_or(TimeZone::UTC);
        for connection in tx.connections(project.id)? {
            let works = matches!(connection.status, Status::Active | Status::NeedsAttention);
            let is_read = Source::of(&connection.connector).is_read();
            if works && is_read && connection.account.is_some() {
                syncing.push(Syncing {
                    connection: connection.id,
                    zone: zone.clone(),
                    is_well: connection.status == Status::Active,
                });
            }
        }
    }
    Ok(syncing)
}

/// Whether a catch-up is due: none was asked for since its time came last, or
/// the last one failed a while ago.
fn is_due(
    last: Option<&LastCatchUp>,
    is_well: bool,
    mapped_at: Timestamp,
    slot: Timestamp,
    now: Timestamp,
) -> bool {
    let Some(last) = last else {
        // What was mapped after its time has nothing to catch up with yet.
        return mapped_at < slot;
    };
    // What needs somebody is not mended by trying again.
    let again_at = again_at(last).filter(|_| is_well);
    last.requested_at < slot || again_at.is_some_and(|moment| moment <= now)
}

/// When a catch-up is tried again although its time has not come; none where the
/// last one did not fail.
pub fn again_at(last: &LastCatchUp) -> Option<Timestamp> {
    let failed = last.status == RunStatus::Failed;
    let further = last.failures.saturating_sub(1);
    let doubled = AFTER_FAILURE.saturating_mul(2_u32.saturating_pow(further));
    failed.then(|| last.requested_at.plus(doubled.min(AFTER_FAILURES_MAX)))
}

/// The last moment before now at which a connection's catch-up was due.
fn slot(connection: ConnectionId, zone: &TimeZone, now: Timestamp) -> Timestamp {
    // Neighbours lie far apart: a large odd step goes through all minutes.
    let minute = (connection.0.rem_euclid(NIGHT_MINUTES) * 97) % NIGHT_MINUTES;
    let of_day = |days_ago: i64| -> Option<Timestamp> {
        let moment = jiff::Timestamp::from_millisecond(now.0).ok()?;
        let today = moment.to_zoned_datetime(zone.clone());
        let night = today
            .checked_sub(days_ago.days())
            .ok()?
            .start_of_day()
            .ok()?;
        let at = night
            .checked_add((NIGHT_BEGINS * 60 + minute).minutes())
            .ok()?;
        Some(Timestamp(at.timestamp().as_millisecond()))
    };
    let slots = [0, 1].into_iter().filter_map(of_day);
    let past = slots.filter(|slot| *slot <= now);
    past.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().expect("a moment");
        Timestamp(moment.as_millisecond())
    }

    #[test]
    fn each_connection_has_a_minute_of_the_night_of_its_own() {
        let zone = TimeZone::get("Europe/Paris").expect("a zone");
        let now = at("2026-11-26T12:00:00Z");
        let slots: std::collections::BTreeSet<_> = (1..=NIGHT_MINUTES)
            .map(|id| slot(ConnectionId(id), &zone, now))
            .collect();
        assert_eq!(slots.len() as i64, NIGHT_MINUTES);
        // Paris is an hour ahead of UTC in winter.
        assert_eq!(slots.first(), Some(&at("2026-11-26T00:00:00Z")));
        assert_eq!(slots.last(), Some(&at("2026-11-26T03:59:00Z")));
    }

    #[test]
    fn a_catch_up_is_due_once_a_day_whenever_the_host_was_up() {
        let (zone, connection) = (TimeZone::UTC, ConnectionId(240));
        // Connection 240 is due at one o'clock.
        let before = at("2026-11-26T00:59:00Z");
        let after = at("2026-11-26T01:00:00Z");
        assert_eq!(slot(connection, &zone, before), at("2026-11-25T01:00:00Z"));
        assert_eq!(slot(connection, &zone, after), after);
        let due = |last: Option<(&str, RunStatus)>, now: &str| {
            let now = at(now);
            let last = last.map(|(text, status)| last_one(at(text), status, 1));
            let slot = slot(connection, &zone, now);
            is_due(last.as_ref(), true, at("2026-11-20T00:00:00Z"), slot, now)
        };
        let done = Some(("2026-11-25T01:00:10Z", RunStatus::Completed));
        assert!(!due(done, "2026-11-26T00:59:00Z"));
        assert!(due(done, "2026-11-26T01:00:00Z"));
        assert!(due(done, "2026-11-28T23:00:00Z"));
        assert!(due(None, "2026-11-26T00:00:00Z"));
        let failed = Some(("2026-11-26T01:00:10Z", RunStatus::Failed));
        assert!(!due(failed, "2026-11-26T01:30:00Z"));
        assert!(due(failed, "2026-11-26T02:00:10Z"));
        let cancelled = Some(("2026-11-26T01:00:10Z", RunStatus::Cancelled));
        assert!(!due(cancelled, "2026-11-26T23:00:00Z"));
    }

    #[test]
    fn what_was_mapped_today_waits_for_the_night() {
        let now = at("2026-11-26T12:00:00Z");
        let slot = slot(ConnectionId(1), &TimeZone::UTC, now);
        let mapped_at = at("2026-11-26T11:00:00Z");
        assert!(!is_due(None, true, mapped_at, slot, now));
    }

    fn last_one(requested_at: Timestamp, status: RunStatus, failures: u32) -> LastCatchUp {
        LastCatchUp {
            requested_at,
            status,
            problem: None,
            failures,
        }
    }

    #[test]
    fn one_that_fails_again_and_again_is_tried_less_and_less_often() {
        let began = at("2026-11-26T02:00:00Z");
        let slot = at("2026-11-26T01:00:00Z");
        let hours = |failures: u32, is_well: bool| {
            let last = last_one(began, RunStatus::Failed, failures);
            (1..48).find(|hours| {
                let now = began.plus(Duration::from_secs(hours * 3_600));
                is_due(Some(&last), is_well, began, slot, now)
            })
        };
        let waits: Vec<_> = (1..=7).map(|failures| hours(failures, true)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 24, 24].map(Some));
        assert_eq!(hours(u32::MAX, true), Some(24));
        // What needs somebody waits for the night.
        assert_eq!(hours(1, false), None);
    }
}
