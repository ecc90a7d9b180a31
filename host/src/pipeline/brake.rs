//! The brake: what is about to clear or move the values of many of a
//! connection's users stops before it does, and asks.
//!
//! A run has a brake of its own (`sync::runs`). What comes live, a webhook or
//! what a saved mapping derives anew, is counted here, an hour at a time. Where
//! a transaction would take values from one user too many it is undone, the
//! connection is held, and the same is done again: records, registers, links and
//! associations take all that is said; only what would take a value from a user
//! is not done, and it is kept of whom ([`super::feeding`]). To go on is to select
//! anew for these, for what users show is a function of what is held of records.

use std::{collections::BTreeSet, time::Duration};

use super::{feeding::Feeder, routing::ConnectionRoute};
use crate::{
    model::{Actor, Cause, ConnectionId, MappingId, Problem, Timestamp, UserId},
    store::{
        self, Tx,
        brakes::{Brake, Held},
    },
};

/// The reason of what is not shown because it is held.
pub const HELD: &str = "held";

/// However few users there are, so many may lose values unasked.
const LOSSES_MIN: u64 = 100;

/// Losses within this time count together, and nothing is held for as long after
/// somebody let it go on. A mistake in bulk comes within minutes of HubSpot, its
/// last webhooks within an hour; a day's ordinary deletions do not add up.
pub const WINDOW: Duration = Duration::from_secs(3_600);

/// Where a line of activity comes from that the brake caused.
pub const BRAKE: &str = "brake";

/// Users that are named where a connection is held.
pub const EXAMPLES_MAX: usize = 10;

/// How many users may lose values, where a connection feeds so many.
pub fn losses_max(users: u64, share: f64) -> u64 {
    // Shares are from 0 to 1, and users far below what a float holds exactly.
    LOSSES_MIN.max((users as f64 * share) as u64)
}

/// The moment after which losses count; none while nobody counts them, for
/// somebody let them go on.
fn counted_since(brake: &Brake, now: Timestamp) -> Option<Timestamp> {
    (now >= brake.losses_from).then(|| brake.losses_from.max(now.minus(WINDOW)))
}

/// How many users may lose values as far as is known without counting all that
/// the connection feeds.
fn known_losses_max(brake: &Brake, now: Timestamp) -> u64 {
    match brake.counted_at > now.minus(WINDOW) {
        true => brake.losses_max.max(LOSSES_MIN),
        false => LOSSES_MIN,
    }
}

/// What comes live takes values from these users.
///
/// # Errors
///
/// [`store::Error::BrakedLive`] where more lost values lately than may, as far
/// as is known: all of the transaction has to be undone, and what becomes of it
/// is decided ([`super::Pipeline::braked`]).
pub(super) fn count(
    tx: &Tx<'_>,
    connection: ConnectionId,
    users: &BTreeSet<UserId>,
    now: Timestamp,
) -> Result<(), store::Error> {
    let brake = tx.brake(connection)?;
    if brake.held_at.is_some() {
        // It was asked already: to ask again would hold up everybody.
        return Ok(());
    }
    let Some(since) = counted_since(&brake, now) else {
        return Ok(());
    };
    let lost = tx.add_losses(connection, users, since, now)?;
    match lost > known_losses_max(&brake, now) {
        true => Err(store::Error::BrakedLive { connection, lost }),
        false => Ok(()),
    }
}

/// Whether to select anew for these users of a connection would take values from more
/// of them, with those who lost some lately, than may lose them uncounted: from how many.
/// What is done a page at a time is asked for as a whole, before the first of it.
pub fn foreseen(
    tx: &Tx<'_>,
    route: &ConnectionRoute,
    selections: &[(MappingId, UserId)],
    now: Timestamp,
) -> Result<Option<u64>, store::Error> {
    let brake = tx.brake(route.id)?;
    if brake.held_at.is_some() {
        return Ok(None);
    }
    let Some(since) = counted_since(&brake, now) else {
        return Ok(None);
    };
    let mut lost: BTreeSet<UserId> = tx.lost_since(route.id, since)?.into_iter().collect();
    let feeder = Feeder::new(tx, route, Cause::LIVE, now);
    for (mapping, user) in selections {
        let index = route.mappings.iter().position(|one| one.id == *mapping);
        if let Some(index) = index
            && feeder.would_lose(index, *user)?
        {
            lost.insert(*user);
        }
    }
    let lost = lost.len() as u64;
    Ok((lost > LOSSES_MIN).then_some(lost))
}

/// How many of a connection's users may lose values, where all that it feeds are
/// counted. That takes long where they are many: nobody should wait for it.
pub(super) fn allowed(
    tx: &Tx<'_>,
    connection: ConnectionId,
    share: f64,
    now: Timestamp,
) -> Result<u64, store::Error> {
    let since = counted_since(&tx.brake(connection)?, now).unwrap_or(now);
    Ok(losses_max(tx.users_fed_since(connection, since)?, share))
}

/// After a transaction was undone because so many users of a connection would
/// have lost values: holds the connection where these are more than are allowed.
/// Returns whether it is held now, by this.
pub(super) fn decide(
    tx: &Tx<'_>,
    connection: ConnectionId,
    (lost, allowed): (u64, u64),
    now: Timestamp,
) -> Result<bool, store::Error> {
    match tx.any_connection(connection) {
        // Whoever tries again finds it gone.
        Err(store::Error::NotFound(_)) => return Ok(false),
        found => found?,
    };
    let brake = tx.brake(connection)?;
    if brake.held_at.is_some() {
        return Ok(false);
    }
    if counted_since(&brake, now).is_none() {
        return Ok(false);
    }
    if lost <= allowed {
        tx.allow_losses(connection, allowed, now)?;
        return Ok(false);
    }
    tx.hold_connection(connection, now)?;
    tx.note(connection, BRAKE, "held", now)?;
    Ok(true)
}

/// Lets a connection go on that is held: its users are fed as selected from now
/// on, and nothing is held for a while.
///
/// # Errors
///
/// [`store::Error::Conflict`] where it is not held.
pub fn go_on(
    tx: &Tx<'_>,
    connection: ConnectionId,
    by: &Actor,
    now: Timestamp,
) -> Result<(), store::Error> {
    tx.any_connection(connection)?;
    if tx.brake(connection)?.held_at.is_none() {
        return Err(store::Error::Conflict(
            "nothing of this connection is held".into(),
        ));
    }
    tx.release_connection(connection, now.plus(WINDOW))?;
    tx.note_by(connection, by, "released", now)
}

/// Connections that are held and of which nothing is held any more: the source
/// says again what users show. One of which nothing ever was is given an hour: what
/// it was held for may still come.
pub fn empty_holds(tx: &Tx<'_>, now: Timestamp) -> Result<Vec<ConnectionId>, store::Error> {
    tx.connections_held_for_nothing(now.minus(WINDOW))
}

/// Ends the hold of a connection of which nothing is held. Losses count from here
/// on.
pub fn end_hold(tx: &Tx<'_>, connection: ConnectionId, now: Timestamp) -> Result<(), store::Error> {
    tx.release_connection(connection, now)?;
    tx.note(connection, BRAKE, "released", now)
}

/// What a connection asks while it is held; none where it is not. It names nobody,
/// for it is told in alerts too: who asks for [`Tx::held`] can.
pub fn question(tx: &Tx<'_>, connection: ConnectionId) -> Result<Option<Problem>, store::Error> {
    Ok(tx.held(connection, 0)?.map(|held| asked(&held)))
}

fn asked(held: &Held) -> Problem {
    let of_whom = match held.users {
        0 => "many users".to_owned(),
        1 => "one more user".to_owned(),
        users => format!("{users} more users"),
    };
    Problem {
        code: "braked".into(),
        detail: format!(
            "What changed in HubSpot or in the mappings would clear or move the values of \
             {of_whom}. These values are held as they are; all else goes on."
        ),
        remedy: "Look at these users’ records in HubSpot. If what it says there is right, let the \
                 connection go on; else restore the records there, or map as before, and it ends \
                 by itself."
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    #[test]
    fn a_share_of_the_users_may_lose_values_and_at_least_a_hundred() {
        assert_eq!(losses_max(10_000, 0.2), 2_000);
        assert_eq!(losses_max(501, 0.2), 100);
        assert_eq!(losses_max(0, 0.2), 100);
    }

    #[test]
    fn losses_count_for_an_hour_and_not_before_they_may() {
        let brake = Brake::default();
        assert_eq!(counted_since(&brake, at(10_000)), Some(at(6_400)));
        let released = Brake {
            losses_from: at(9_000),
            ..brake
        };
        assert_eq!(counted_since(&released, at(8_999)), None);
        assert_eq!(counted_since(&released, at(10_000)), Some(at(9_000)));
        assert_eq!(counted_since(&released, at(20_000)), Some(at(16_400)));
    }

    #[test]
    fn what_was_counted_is_known_for_an_hour() {
        let brake = Brake {
            losses_max: 2_000,
            counted_at: at(10_000),
            ..Brake::default()
        };
        assert_eq!(known_losses_max(&brake, at(13_599)), 2_000);
        assert_eq!(known_losses_max(&brake, at(13_600)), 100);
        assert_eq!(known_losses_max(&Brake::default(), at(10)), 100);
    }
}
