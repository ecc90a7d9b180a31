//! Runs asked for, and ended, by people.

use crate::{
    model::{ConnectionId, RunId, RunStatus, Status, Timestamp},
    store::{Error, Tx, runs::NewRun},
};

/// Asks for a run, which begins as soon as a host sees it.
///
/// # Errors
///
/// [`Error::Conflict`] where one of that kind is under way, or the connection
/// cannot sync.
pub fn request(tx: &Tx<'_>, new: NewRun, now: Timestamp) -> Result<RunId, Error> {
    check(tx, new.connection)?;
    tx.request_run(new, now)
}

/// Whether a connection can sync.
///
/// # Errors
///
/// [`Error::Conflict`] where it cannot, with the reason.
pub fn check(tx: &Tx<'_>, connection: ConnectionId) -> Result<(), Error> {
    let held = tx.any_connection(connection)?;
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
pub fn cancel(tx: &Tx<'_>, id: RunId, now: Timestamp) -> Result<(), Error> {
    if !tx.run(id)?.status.is_open() {
        return Err(Error::Conflict("this sync is over".into()));
    }
    tx.drop_run_reads(id, now)?;
    tx.set_run_status(id, RunStatus::Cancelled, now)
}

/// Lets a run go on that its brake held.
///
/// # Errors
///
/// [`Error::Conflict`] where it is not held.
pub fn go_on(tx: &Tx<'_>, id: RunId, now: Timestamp) -> Result<(), Error> {
    if tx.run(id)?.status != RunStatus::Braked {
        return Err(Error::Conflict("this sync is not held".into()));
    }
    tx.release_run(id, now)
}
