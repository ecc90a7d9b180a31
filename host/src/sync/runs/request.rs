//! Runs asked for, and ended, by people.

use crate::{
    model::{Actor, ConnectionId, RunId, RunKind, RunStatus, Status, Timestamp},
    sources::{self, Source},
    store::{Error, Tx, runs::NewRun},
};

/// Asks for a run of a connection, which begins as soon as a host sees it.
///
/// # Errors
///
/// [`Error::Conflict`] where one of that kind is under way, or the connection
/// cannot sync.
pub fn request(
    tx: &Tx<'_>,
    connection: ConnectionId,
    (kind, dry_run): (RunKind, bool),
    by: &Actor,
    now: Timestamp,
) -> Result<RunId, Error> {
    check(tx, connection)?;
    let new = NewRun {
        connection,
        kind,
        dry_run,
        brief: false,
        origin: by.origin(),
    };
    let run = tx.request_run(new, now)?;
    tx.note_by(connection, by, "sync_requested", now)?;
    Ok(run)
}

/// Whether a connection can sync.
///
/// # Errors
///
/// [`Error::Conflict`] where it cannot, with the reason.
pub fn check(tx: &Tx<'_>, connection: ConnectionId) -> Result<(), Error> {
    let held = tx.any_connection(connection)?;
    if !Source::of(&held.connector).is_read() {
        return Err(Error::Conflict(sources::NOTHING_READ.into()));
    }
    let problem = held.problem.filter(|problem| problem.stops_calls());
    let why = match held.status {
        Status::Pending => "the connection waits for an admin of the HubSpot account to consent",
        Status::Paused => "the connection is paused: resume it first",
        Status::NeedsAttention if problem.is_some() => {
            "the connection needs attention: its problem says what to do"
        }
        _ if tx.mappings(connection)?.is_empty() => "nothing is mapped yet: map a field first",
        Status::Active | Status::NeedsAttention => return Ok(()),
    };
    Err(Error::Conflict(why.into()))
}

/// Ends a run; what it did stays.
///
/// # Errors
///
/// [`Error::Conflict`] where it is over.
pub fn cancel(tx: &Tx<'_>, id: RunId, by: &Actor, now: Timestamp) -> Result<(), Error> {
    let run = tx.run(id)?;
    if !run.status.is_open() {
        return Err(Error::Conflict("this sync is over".into()));
    }
    tx.drop_run_reads(id, now)?;
    tx.set_run_status(id, RunStatus::Cancelled, now)?;
    tx.note_by(run.connection, by, "sync_cancelled", now)
}

/// Lets a run go on that its brake held.
///
/// # Errors
///
/// [`Error::Conflict`] where it is not held.
pub fn go_on(tx: &Tx<'_>, id: RunId, by: &Actor, now: Timestamp) -> Result<(), Error> {
    let run = tx.run(id)?;
    if run.status != RunStatus::Braked {
        return Err(Error::Conflict("this sync is not held".into()));
    }
    tx.release_run(id, now)?;
    tx.note_by(run.connection, by, "sync_continued", now)
}
