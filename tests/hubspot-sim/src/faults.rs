//! Faults that a test asks for: per kind of call, by chance of the seed or a number of times.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Kinds of calls, as faults and the record of calls know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Getting, refreshing, introspecting or revoking tokens.
    Token,
    /// A page of records.
    List,
    /// One record by id.
    Get,
    /// Records by ids.
    BatchRead,
    /// A search.
    Search,
    /// Associations of one record or of a batch.
    Associations,
    /// Property definitions.
    Properties,
    /// Pipelines and their stages.
    Pipelines,
    /// Owners.
    Owners,
    /// Anything that writes records.
    Write,
    /// The webhooks journal.
    Journal,
    /// A file of the journal.
    JournalFile,
    /// Account details, webhook settings and whatever else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// 429 of the rolling window.
    TooManyRequests,
    /// 429 of the day.
    DailyLimit,
    /// A status with a body that explains nothing, as a proxy would send.
    Status(u16),
    /// A status, and after how many seconds to ask again (`Retry-After`).
    RetryAfter(u16, u32),
    /// Another answer, whatever is true: its status and its JSON.
    Answer(u16, serde_json::Value),
    /// The answer comes, but only after so many real milliseconds.
    SlowMs(u64),
    /// The call is carried out at once; its answer comes when the faults are cleared.
    Held,
    /// The answer ends in the middle of its body.
    CutBody,
    /// The connection is closed without an answer, after the call was carried out.
    Reset,
    /// The connection is closed without an answer, and nothing was carried out.
    ResetBefore,
}

/// A fault to inject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The calls it may hit; all, when `None`.
    #[serde(default)]
    pub route: Option<Route>,
    /// The account whose calls it may hit; any, when `None`. Calls for tokens are no account's.
    #[serde(default)]
    pub portal: Option<u64>,
    /// What goes wrong.
    pub trouble: Trouble,
    /// How likely it hits a call, from 0 to 1.
    #[serde(default = "certain")]
    pub chance: f64,
    /// How many calls it may still hit; any number, when `None`.
    #[serde(default)]
    pub times: Option<u32>,
}

fn certain() -> f64 {
    1.0
}

impl FaultRule {
    /// A fault for the next call of a kind.
    #[must_use]
    pub fn once(route: Route, trouble: Trouble) -> Self {
        Self {
            route: Some(route),
            portal: None,
            trouble,
            chance: 1.0,
            times: Some(1),
        }
    }

    /// A fault that hits calls of any kind by chance.
    #[must_use]
    pub fn by_chance(trouble: Trouble, chance: f64) -> Self {
        Self {
            route: None,
            portal: None,
            trouble,
            chance,
            times: None,
        }
    }

    /// Only for calls of one kind.
    #[must_use]
    pub fn on(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// Only for calls of one account.
    #[must_use]
    pub fn of(mut self, portal: u64) -> Self {
        self.portal = Some(portal);
        self
    }

    /// At most so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// The faults in force.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
    rng: StdRng,
    cleared: watch::Sender<()>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            rng: StdRng::seed_from_u64(seed ^ 0xfa17),
            cleared: watch::Sender::default(),
        }
    }

    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.cleared.send_replace(());
    }

    /// Is told when the faults are cleared from now on.
    pub(crate) fn cleared(&self) -> watch::Receiver<()> {
        self.cleared.subscribe()
    }

    /// What goes wrong with a call: the first rule that hits it.
    pub(crate) fn strike(&mut self, route: Route, portal: Option<u64>) -> Option<Trouble> {
        self.hit(route, |of| of.is_none() || of == portal)
    }

    /// What goes wrong with a call of the app's own that is about an account: the first
    /// rule of that account that hits it. All others had their turn.
    pub(crate) fn strike_about(&mut self, route: Route, portal: u64) -> Option<Trouble> {
        self.hit(route, |of| of == Some(portal))
    }

    fn hit(&mut self, route: Route, is_of: impl Fn(Option<u64>) -> bool) -> Option<Trouble> {
        for rule in &mut self.rules {
            let meant = rule.route.is_none_or(|held| held == route) && is_of(rule.portal);
            if !meant || rule.times == Some(0) {
                continue;
            }
            if rule.chance < 1.0 && !self.rng.random_bool(rule.chance.clamp(0.0, 1.0)) {
                continue;
            }
            if let Some(times) = &mut rule.times {
                *times -= 1;
            }
            return Some(rule.trouble.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_its_kind_of_call_as_often_as_told() {
        let mut faults = Faults::new(7);
        faults.add(FaultRule::once(Route::Search, Trouble::Status(502)));
        assert_eq!(faults.strike(Route::List, None), None);
        assert_eq!(
            faults.strike(Route::Search, None),
            Some(Trouble::Status(502))
        );
        assert_eq!(faults.strike(Route::Search, None), None);
    }

    #[test]
    fn a_fault_of_an_account_hits_no_other() {
        let mut faults = Faults::new(7);
        faults.add(FaultRule::once(Route::Search, Trouble::Status(502)).of(1));
        assert_eq!(faults.strike(Route::Search, Some(2)), None);
        assert_eq!(faults.strike(Route::Search, None), None);
        assert_eq!(
            faults.strike(Route::Search, Some(1)),
            Some(Trouble::Status(502))
        );
    }
}
