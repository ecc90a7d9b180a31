//! For which accounts HubSpot does not answer, and what waits until a failed call is
//! made again, so that people can be told.
//!
//! Nothing of it is kept: a host that starts makes the calls again, and knows.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use super::{failures::Error, grants, lock};
use crate::{
    hubspot::{self, oauth::GrantError},
    model::{AccountId, RunId, Timestamp},
};

/// How long a failure is believed to say how it is: whatever waits for an answer asks
/// again sooner.
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);

/// Failures in a row that are told where nobody says when the call is made again: one
/// may be chance.
const FAILURES_MIN: u32 = 2;

/// Why a call was not answered, or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// HubSpot is unavailable, and says so with this status.
    Status(u16),
    /// Nobody could be reached.
    Unreachable,
    /// The account's request limit is reached.
    Limit,
    /// Something else, which the log tells.
    Other,
}

impl Why {
    fn of_call(error: &hubspot::Error) -> Self {
        match error {
            hubspot::Error::Unavailable { status, .. } => Self::Status(*status),
            hubspot::Error::Transport(_) => Self::Unreachable,
            hubspot::Error::RateLimited { .. } => Self::Limit,
            _ => Self::Other,
        }
    }

    /// Why something that called failed.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::HubSpot(error)
            | Error::Grant(grants::Error::Grant(GrantError::Unavailable(error))) => {
                Self::of_call(error)
            }
            _ => Self::Other,
        }
    }
}

/// HubSpot does not answer for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When the first call failed after the last that was answered.
    pub since: Timestamp,
    /// When the last one failed.
    pub failed_at: Timestamp,
    /// Why.
    pub why: Why,
    /// When a call is made again, as far as anybody said.
    pub again_at: Option<Timestamp>,
    failures: u32,
}

impl Silence {
    /// Whether it is certain enough to be told.
    fn is_told(&self, now: Timestamp) -> bool {
        let is_awaited = self.again_at.is_some_and(|at| at > now);
        let is_known = self.failures >= FAILURES_MIN && now.since(self.failed_at) < KNOWN_FOR;
        is_awaited || is_known
    }
}

/// A run waits until a step that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Why it failed.
    pub why: Why,
    /// When it is tried again.
    pub until: Timestamp,
}

/// What is waited for.
#[derive(Debug, Default)]
pub struct Silences {
    accounts: Mutex<HashMap<AccountId, Silence>>,
    runs: Mutex<HashMap<RunId, Pause>>,
}

impl Silences {
    /// Since when HubSpot does not answer for an account; none while it does.
    pub fn of(&self, account: AccountId, now: Timestamp) -> Option<Silence> {
        let silence = lock(&self.accounts).get(&account).copied();
        silence.filter(|silence| silence.is_told(now))
    }

    /// What a run waits for; none while it goes on.
    pub fn of_run(&self, run: RunId) -> Option<Pause> {
        lock(&self.runs).get(&run).copied()
    }

    /// Takes note of what came of a call.
    pub(super) fn heard(
        &self,
        account: AccountId,
        failed: Option<&hubspot::Error>,
        now: Timestamp,
    ) {
        let why = failed.map(Why::of_call);
        let mut accounts = lock(&self.accounts);
        match why {
            Some(why @ (Why::Status(_) | Why::Unreachable)) => {
                let silence = accounts.entry(account).or_insert(Silence {
                    since: now,
                    failed_at: now,
                    why,
                    again_at: None,
                    failures: 0,
                });
                silence.failures = silence.failures.saturating_add(1);
                (silence.failed_at, silence.why) = (now, why);
            }
            // It may not even have been made.
            Some(Why::Limit) => {}
            // A refusal is an answer.
            Some(Why::Other) | None => drop(accounts.remove(&account)),
        }
    }

    /// Somebody calls for an account again at that moment.
    pub(super) fn again_at(&self, account: AccountId, at: Timestamp, now: Timestamp) {
        if let Some(silence) = lock(&self.accounts).get_mut(&account) {
            let sooner = silence.again_at.filter(|other| *other > now && *other < at);
            silence.again_at = Some(sooner.unwrap_or(at));
        }
    }

    /// A run waits, for as long as what this returns is kept.
    pub(super) fn pause(&self, run: RunId, error: &Error, until: Timestamp) -> Pausing<'_> {
        let why = Why::of(error);
        lock(&self.runs).insert(run, Pause { why, until });
        Pausing {
            silences: self,
            run,
        }
    }
}

/// A run that waits.
#[must_use]
pub(super) struct Pausing<'a> {
    silences: &'a Silences,
    run: RunId,
}

impl Drop for Pausing<'_> {
    fn drop(&mut self) {
        lock(&self.silences.runs).remove(&self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn unavailable() -> hubspot::Error {
        hubspot::Error::Unavailable {
            status: 502,
            retry_at: None,
        }
    }

    #[test]
    fn what_fails_again_is_told_until_anything_is_answered() {
        let silences = Silences::default();
        silences.heard(ACCOUNT, Some(&unavailable()), at(10));
        assert_eq!(silences.of(ACCOUNT, at(11)), None, "it may be chance");
        silences.heard(ACCOUNT, Some(&unavailable()), at(20));
        let told = silences.of(ACCOUNT, at(21)).expect("a silence");
        assert_eq!((told.since, told.failed_at), (at(10), at(20)));
        assert_eq!(told.why, Why::Status(502));
        // What was not sent says nothing.
        let limited = hubspot::Error::RateLimited {
            retry_at: at(60),
            daily: false,
        };
        silences.heard(ACCOUNT, Some(&limited), at(22));
        assert!(silences.of(ACCOUNT, at(23)).is_some());
        assert_eq!(silences.of(AccountId(2), at(23)), None);
        // A refusal is an answer.
        silences.heard(ACCOUNT, Some(&hubspot::Error::Unauthorized), at(24));
        assert_eq!(silences.of(ACCOUNT, at(24)), None);
    }

    #[test]
    fn a_failure_is_told_while_its_next_try_is_awaited_and_forgotten_after() {
        let silences = Silences::default();
        silences.again_at(ACCOUNT, at(30), at(9));
        assert_eq!(silences.of(ACCOUNT, at(9)), None, "nothing failed");
        silences.heard(ACCOUNT, Some(&unavailable()), at(10));
        silences.again_at(ACCOUNT, at(1_000), at(10));
        // The soonest is told, unless it is over.
        silences.again_at(ACCOUNT, at(900), at(10));
        silences.again_at(ACCOUNT, at(950), at(10));
        let again_at = |now| silences.of(ACCOUNT, now).map(|told| told.again_at);
        assert_eq!(again_at(at(899)), Some(Some(at(900))));
        silences.again_at(ACCOUNT, at(950), at(900));
        assert_eq!(again_at(at(901)), Some(Some(at(950))));
        assert_eq!(again_at(at(951)), None);
    }
}
