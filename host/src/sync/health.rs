//! What is wrong with a connection, found from how it stands.
//!
//! One place says what counts as wrong: the health page shows it, and alerts
//! tell it. What began is over only when it is clearly so, lest what is near the
//! edge be told again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    host::Host,
    log::{self, Lane},
    model::{Connection, Problem, Run, Status, Timestamp},
    pipeline::brake,
    sources,
    store::{self, Tx, hours::Tally},
};

/// The code of changes that wait for too long.
pub const LATE: &str = "late";

/// The code of many values that cannot be read.
pub const UNREADABLE: &str = "unreadable_values";

/// The code of what the brake holds, of a connection or of a run.
pub const BRAKED: &str = "braked";

/// A change that waits for so long is late. HubSpot tells of changes within
/// seconds; where webhooks and journal do not serve, they are looked for every
/// five minutes. Three of these missed in a row are no chance.
const LATE_AFTER: Duration = Duration::from_secs(15 * 60);

/// What was late is so no more once nothing waits for longer than this.
const IN_TIME_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Reads that are put off beyond this are told by themselves: HubSpot refuses a
/// record, and all others go on.
const PUT_OFF: Duration = Duration::from_secs(10 * 60);

/// Records with unreadable values within two hours that may be a surge: fewer
/// are somebody's typing mistakes.
const UNREADABLE_MIN: i64 = 20;

/// The least share of the records of users that makes a surge.
const UNREADABLE_SHARE_MIN: f64 = 0.1;

/// How many times the share of the week before makes a surge.
const UNREADABLE_TIMES: f64 = 4.0;

/// The hours that a surge is looked for in, the present one with them; and those
/// before, that they are compared with.
const RECENT_HOURS: i64 = 2;
const BEFORE_HOURS: i64 = 7 * 24;

/// Entries of the log after what is done that are looked at for the oldest.
const WAITING_ENTRIES_MAX: usize = 2_000;

/// How a connection stands, as far as something may be wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether it takes in anything.
    pub is_at_work: bool,
    /// What keeps it from working.
    pub problem: Option<Problem>,
    /// What its brake, or a run's, holds and asks.
    pub held: Option<Problem>,
    /// Since when the oldest change waits that is not applied.
    pub waiting_since: Option<Timestamp>,
    /// What came in the last two hours.
    pub recent: Tally,
    /// What came in the week before them.
    pub before: Tally,
}

/// When the oldest entry of each account's lane that is not applied yet was
/// received.
///
/// # Errors
///
/// The log's, and the store's.
pub async fn backlog(host: &Host) -> Result<BTreeMap<Lane, Timestamp>, Error> {
    let place = host.store.read(|tx| tx.log_place()).await?;
    if place.up_to >= *host.log.tail().borrow() {
        return Ok(BTreeMap::new());
    }
    Ok(host.log.oldest_waiting(place, WAITING_ENTRIES_MAX).await?)
}

/// Why health could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The event log.
    #[error(transparent)]
    Log(#[from] log::Error),
}

/// Looks at a connection.
///
/// # Errors
///
/// The store's.
pub fn observe(
    tx: &Tx<'_>,
    connection: &Connection,
    backlog: &BTreeMap<Lane, Timestamp>,
    now: Timestamp,
) -> Result<Observed, store::Error> {
    let id = connection.id;
    let waiting_since = match &connection.account {
        None => None,
        Some((account, key)) => {
            let lane = sources::lane(&connection.connector, Some(key));
            // What is of nobody is no delay of anybody's.
            let logged = backlog.get(&lane).filter(|_| lane != Lane::default());
            let logged = logged.copied();
            let awaited = tx.oldest_awaited(*account, now.plus(PUT_OFF))?;
            [logged, awaited].into_iter().flatten().min()
        }
    };
    let held = match brake::question(tx, id)? {
        Some(question) => Some(question),
        None => held_runs(tx, connection)?
            .into_iter()
            .find_map(|run| run.held),
    };
    Ok(Observed {
        is_at_work: connection.status.takes_changes(),
        problem: connection.problem.clone(),
        held,
        waiting_since,
        recent: tx.tally(id, now, (0, RECENT_HOURS))?,
        before: tx.tally(id, now, (RECENT_HOURS, BEFORE_HOURS))?,
    })
}

/// The runs of a connection that the brake holds.
///
/// # Errors
///
/// The store's.
pub fn held_runs(tx: &Tx<'_>, connection: &Connection) -> Result<Vec<Run>, store::Error> {
    if connection.status == Status::Pending {
        return Ok(Vec::new());
    }
    tx.braked_runs(connection.id)
}

impl Observed {
    /// Whether what comes in the account's name is taken in: else nothing says
    /// whether it is late, or can be read.
    fn takes_in(&self) -> bool {
        self.is_at_work && !self.is_stopped()
    }

    /// Whether no call can be made: whatever waits, waits for that.
    fn is_stopped(&self) -> bool {
        self.problem.as_ref().is_some_and(Problem::stops_calls)
    }

    /// Whether what was told to be wrong, and is not found any more, is over; else
    /// it is only hidden by something else.
    pub fn tells_end_of(&self, code: &str) -> bool {
        match code {
            BRAKED => true,
            LATE | UNREADABLE => self.takes_in(),
            // One problem of the connection has taken another's place.
            _ => !self.is_stopped(),
        }
    }
}

/// What is wrong, the worst first. `told`: the codes of what was wrong until now,
/// which is over only when it is clearly so.
pub fn problems(observed: &Observed, told: &BTreeSet<String>, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(observed.problem.clone());
    problems.extend(observed.held.clone());
    if observed.takes_in() {
        problems.extend(late(observed, told.contains(LATE), now));
        problems.extend(unreadable(observed, told.contains(UNREADABLE)));
    }
    problems
}

fn late(observed: &Observed, was_late: bool, now: Timestamp) -> Option<Problem> {
    let waits = now.since(observed.waiting_since?);
    let limit = match was_late {
        true => IN_TIME_AGAIN,
        false => LATE_AFTER,
    };
    (waits > limit).then(|| Problem {
        code: LATE.into(),
        detail: "Changes that HubSpot told of have been waiting for a quarter of an hour or \
                 longer, and users do not show them yet."
            .into(),
        remedy: "It goes on by itself as soon as it can: nothing is lost. Where HubSpot’s request \
                 limit is used up by other integrations of the account, it waits for these."
            .into(),
    })
}

fn unreadable(observed: &Observed, was_so: bool) -> Option<Problem> {
    let (recent, before) = (observed.recent, observed.before);
    let usual = share(before.unreadable, of_users(&before));
    let mut limit = UNREADABLE_SHARE_MIN.max(usual * UNREADABLE_TIMES).min(1.0);
    let mut least = UNREADABLE_MIN;
    if was_so {
        limit /= 2.0;
        least /= 2;
    }
    let is_surge =
        recent.unreadable >= least && share(recent.unreadable, of_users(&recent)) >= limit;
    is_surge.then(|| Problem {
        code: UNREADABLE.into(),
        detail: "Many records came of which a value cannot be shown: it does not fit its \
                 attribute’s type, is too long, or HubSpot hides it. Users keep the last value \
                 that could be read."
            .into(),
        remedy: "Look at the activity for the reasons, then map the field to an attribute of a \
                 fitting type, or mend the values in HubSpot."
            .into(),
    })
}

/// Records of users: those that match nobody have no values.
fn of_users(tally: &Tally) -> i64 {
    tally.updated + tally.unchanged + tally.skipped
}

fn share(part: i64, whole: i64) -> f64 {
    // Counts are far below what a float holds exactly. One record may be counted
    // as unreadable twice, and never makes more than the whole.
    match whole {
        ..=0 => 0.0,
        whole => (part as f64 / whole as f64).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn observed() -> Observed {
        Observed {
            is_at_work: true,
            ..Observed::default()
        }
    }

    fn codes(observed: &Observed, told: &[&str]) -> Vec<String> {
        let told = told.iter().map(|code| (*code).to_owned()).collect();
        let found = problems(observed, &told, NOW);
        found.into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn what_waits_for_a_quarter_of_an_hour_is_late_until_nothing_waits_for_long() {
        let waits = |seconds: u64| Observed {
            waiting_since: Some(NOW.minus(Duration::from_secs(seconds))),
            ..observed()
        };
        assert_eq!(codes(&observed(), &[LATE]), [""; 0]);
        assert_eq!(codes(&waits(900), &[]), [""; 0]);
        assert_eq!(codes(&waits(901), &[]), [LATE]);
        assert_eq!(codes(&waits(301), &[LATE]), [LATE]);
        assert_eq!(codes(&waits(300), &[LATE]), [""; 0]);
    }

    fn with_problem(code: &str, observed: Observed) -> Observed {
        Observed {
            problem: Some(Problem {
                code: code.into(),
                detail: String::new(),
                remedy: String::new(),
            }),
            ..observed
        }
    }

    #[test]
    fn what_a_revoked_access_or_a_pause_explains_is_not_late_nor_over() {
        let waiting = Observed {
            waiting_since: Some(Timestamp(0)),
            ..observed()
        };
        let revoked = with_problem(Problem::ACCESS_REVOKED, waiting.clone());
        assert_eq!(codes(&revoked, &[LATE]), [Problem::ACCESS_REVOKED]);
        let paused = Observed {
            is_at_work: false,
            ..waiting
        };
        assert_eq!(codes(&paused, &[LATE]), [""; 0]);
        for hidden in [&revoked, &paused] {
            assert!(!hidden.tells_end_of(LATE) && !hidden.tells_end_of(UNREADABLE));
            assert!(hidden.tells_end_of(BRAKED));
        }
        assert!(!revoked.tells_end_of("missing_scopes"));
        for code in [LATE, UNREADABLE, BRAKED, Problem::ACCESS_REVOKED] {
            assert!(observed().tells_end_of(code), "{code}");
        }
    }

    #[test]
    fn what_waits_though_calls_can_be_made_is_late() {
        let waiting = Observed {
            waiting_since: Some(Timestamp(0)),
            ..observed()
        };
        let lacking = with_problem("missing_scopes", waiting);
        assert_eq!(codes(&lacking, &[]), ["missing_scopes", LATE]);
        assert!(lacking.tells_end_of(LATE));
    }

    fn surge(unreadable: i64, updated: i64, before: (i64, i64)) -> Observed {
        Observed {
            recent: Tally {
                unreadable,
                updated,
                ..Tally::default()
            },
            before: Tally {
                unreadable: before.0,
                updated: before.1,
                ..Tally::default()
            },
            ..observed()
        }
    }

    #[test]
    fn many_unreadable_values_where_few_were_are_a_surge() {
        assert_eq!(codes(&surge(19, 19, (0, 0)), &[]), [""; 0]);
        assert_eq!(codes(&surge(20, 20, (0, 0)), &[]), [UNREADABLE]);
        // A tenth, where there were none.
        assert_eq!(codes(&surge(20, 200, (0, 1_000)), &[]), [UNREADABLE]);
        assert_eq!(codes(&surge(20, 201, (0, 1_000)), &[]), [""; 0]);
        // Four times as many as were usual.
        assert_eq!(codes(&surge(80, 200, (100, 1_000)), &[]), [UNREADABLE]);
        assert_eq!(codes(&surge(79, 200, (100, 1_000)), &[]), [""; 0]);
        // It is over by half.
        assert_eq!(
            codes(&surge(10, 200, (0, 1_000)), &[UNREADABLE]),
            [UNREADABLE]
        );
        assert_eq!(codes(&surge(9, 100, (0, 1_000)), &[UNREADABLE]), [""; 0]);
    }
}
