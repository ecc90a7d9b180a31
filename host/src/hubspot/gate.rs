//! The one place where all calls to an account wait for their turn.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::tz::TimeZone;
use tokio::sync::Notify;

use super::{
    Error,
    budget::{Ledger, Pool, Usage, Verdict},
    rates::{Policy, Rates},
};
use crate::{
    clock::Clock,
    model::{AccountKey, Priority, Timestamp},
};

/// The longest that a call waits for its turn once it is the first in line;
/// beyond it, its error says when to come back.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// The budgets of all accounts; clones are the same.
#[derive(Clone, Debug)]
pub struct Budgets {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    share: f64,
    clock: Clock,
    accounts: Mutex<HashMap<AccountKey, Arc<Budget>>>,
}

impl Budgets {
    /// Budgets that use at most `share` (0 to 1) of each limit.
    pub fn new(share: f64, clock: Clock) -> Self {
        let accounts = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                share,
                clock,
                accounts,
            }),
        }
    }

    /// The budget of an account.
    pub fn of(&self, account: &AccountKey) -> Arc<Budget> {
        let mut accounts = lock(&self.inner.accounts);
        let budget = accounts.entry(account.clone()).or_insert_with(|| {
            Arc::new(Budget {
                clock: self.inner.clock.clone(),
                changed: Notify::new(),
                state: Mutex::new(State {
                    ledger: Ledger::new(self.inner.share),
                    waiting: BTreeSet::new(),
                    next_ticket: 0,
                }),
            })
        });
        budget.clone()
    }

    /// What is left of the day in the account that has the least of it, from 0
    /// to 1; none while no answer tells of a day.
    pub fn least_day_left(&self) -> Option<f64> {
        let accounts: Vec<_> = lock(&self.inner.accounts).values().cloned().collect();
        let days = accounts.iter().filter_map(|budget| budget.usage().1);
        days.map(|day| day.left()).min_by(f64::total_cmp)
    }
}

/// The budget of one account.
#[derive(Debug)]
pub struct Budget {
    clock: Clock,
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// Those who wait: for each pool by priority, then in the order they came.
    waiting: BTreeSet<(Pool, Priority, u64)>,
    next_ticket: u64,
}

impl Budget {
    /// Waits for the turn of one call; a waiting call of higher priority goes
    /// first. Dropped while it waits, it leaves the line.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] when the day is spent, or the wait would be long.
    pub async fn acquire(
        self: &Arc<Self>,
        pool: Pool,
        priority: Priority,
    ) -> Result<Permit, Error> {
        let ticket = Ticket::draw(self, pool, priority);
        loop {
            // Registered before the state is looked at, so that no change is missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match ticket.check()? {
                Turn::Now => {
                    return Ok(Permit {
                        budget: self.clone(),
                        pool,
                        open: true,
                    });
                }
                Turn::At(moment) => {
                    tokio::select! {
                        () = self.clock.sleep_until(moment) => {}
                        () = changed => {}
                    }
                }
                Turn::Unknown => changed.await,
            }
        }
    }

    /// The account's time zone: its day starts at midnight there.
    pub fn set_zone(&self, zone: TimeZone) {
        self.change(|ledger| ledger.set_zone(zone));
    }

    /// No call may be made before this moment.
    pub fn pause(&self, until: Timestamp) {
        self.change(|ledger| ledger.pause(until));
    }

    /// What is used of the general limit, and of the day's where one is told.
    pub fn usage(&self) -> (Usage, Option<Usage>) {
        lock(&self.state).ledger.usage(self.clock.now())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = change(&mut lock(&self.state).ledger);
        self.changed.notify_waiters();
        result
    }
}

/// Whose turn it is.
enum Turn {
    Now,
    At(Timestamp),
    Unknown,
}

/// A place in the line.
struct Ticket<'a> {
    budget: &'a Budget,
    place: (Pool, Priority, u64),
}

impl<'a> Ticket<'a> {
    fn draw(budget: &'a Budget, pool: Pool, priority: Priority) -> Self {
        let mut state = lock(&budget.state);
        let place = (pool, priority, state.next_ticket);
        state.next_ticket += 1;
        state.waiting.insert(place);
        Self { budget, place }
    }

    /// Takes the turn if it has come.
    fn check(&self) -> Result<Turn, Error> {
        let (pool, priority, _) = self.place;
        let mut state = lock(&self.budget.state);
        let from = (pool, Priority::Live, 0);
        if state.waiting.range(from..).next() != Some(&self.place) {
            return Ok(Turn::Unknown);
        }
        let now = self.budget.clock.now();
        match state.ledger.check(pool, priority, now) {
            Verdict::Go => {
                state.ledger.start(pool);
                Ok(Turn::Now)
            }
            Verdict::DaySpent(retry_at) => Err(Error::RateLimited {
                retry_at,
                daily: true,
            }),
            Verdict::Wait(Some(moment)) if moment.since(now) > WAIT_MAX => {
                Err(Error::RateLimited {
                    retry_at: moment,
                    daily: false,
                })
            }
            Verdict::Wait(Some(moment)) => Ok(Turn::At(moment)),
            Verdict::Wait(None) => Ok(Turn::Unknown),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(&self.budget.state).waiting.remove(&self.place);
        // Whoever is first now looks again.
        self.budget.changed.notify_waiters();
    }
}

/// The right to make one call; it counts from here on, and for one interval
/// after it ends or is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    pool: Pool,
    open: bool,
}

impl Permit {
    /// The call was answered, not with 429.
    pub fn answered(mut self, rates: &Rates) {
        self.open = false;
        let now = self.budget.clock.now();
        self.budget.change(|ledger| {
            ledger.finish(self.pool, Some(rates), now);
            ledger.accepted(self.pool, now);
        });
    }

    /// The call was answered 429; gives the moment to come back.
    pub fn refused(
        mut self,
        rates: &Rates,
        policy: Policy,
        retry_after: Option<Duration>,
        random: f64,
    ) -> Timestamp {
        self.open = false;
        let now = self.budget.clock.now();
        self.budget.change(|ledger| {
            ledger.finish(self.pool, Some(rates), now);
            ledger.refused(self.pool, policy, retry_after, random, now)
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.open {
            let now = self.budget.clock.now();
            self.budget
                .change(|ledger| ledger.finish(self.pool, None, now));
        }
    }
}

/// No code panics while it holds these locks; what they guard is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    /// A budget of four searches a second, all of them used up.
    async fn spent() -> (Arc<Budget>, Clock) {
        let clock = Clock::manual(NOW);
        let budget = Budgets::new(0.95, clock.clone()).of(&"1".into());
        for _ in 0..4 {
            drop(
                budget
                    .acquire(Pool::Search, Priority::Live)
                    .await
                    .expect("permit"),
            );
        }
        (budget, clock)
    }

    /// Lets every task run until it waits.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_waiting_call_of_higher_priority_goes_first() {
        let (budget, clock) = spent().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        for (name, priority) in [
            ("full", Priority::FullSync),
            ("catch-up", Priority::CatchUp),
            ("live", Priority::Live),
            ("arrival", Priority::Arrival),
            ("live again", Priority::Live),
            ("full again", Priority::FullSync),
        ] {
            let (budget, order) = (budget.clone(), order.clone());
            tokio::spawn(async move {
                let permit = budget.acquire(Pool::Search, priority).await;
                lock(&order).push(name);
                drop(permit.expect("permit"));
            });
            settle().await;
        }
        clock.turn(Duration::from_millis(1_001));
        settle().await;
        assert_eq!(*lock(&order), ["live", "live again", "arrival", "catch-up"]);
        clock.turn(Duration::from_millis(1_001));
        settle().await;
        assert_eq!(lock(&order)[4..], ["full", "full again"]);
    }

    #[tokio::test]
    async fn pools_do_not_wait_for_each_other() {
        let (budget, _) = spent().await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire(Pool::Search, Priority::Live).await.map(drop) }
        });
        settle().await;
        let general = budget.acquire(Pool::General, Priority::FullSync).await;
        general.expect("permit").answered(&Rates::default());
        assert!(!waiting.is_finished());
        waiting.abort();
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_line() {
        let (budget, clock) = spent().await;
        let acquire = |priority| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.acquire(Pool::Search, priority).await.map(drop) })
        };
        let first = acquire(Priority::Live);
        settle().await;
        let second = acquire(Priority::FullSync);
        settle().await;
        first.abort();
        settle().await;
        clock.turn(Duration::from_millis(1_001));
        second.await.expect("runs").expect("permit");
    }

    #[tokio::test]
    async fn a_long_pause_and_a_spent_day_are_told_instead_of_waited_for() {
        let clock = Clock::manual(NOW);
        let budgets = Budgets::new(0.95, clock.clone());
        let budget = budgets.of(&"1".into());
        let until = NOW.plus(Duration::from_secs(3_600));
        budget.pause(until);
        let error = budget.acquire(Pool::General, Priority::Live).await;
        assert!(
            matches!(error, Err(Error::RateLimited { retry_at, daily: false }) if retry_at == until)
        );
        let other = budgets.of(&"2".into());
        let permit = other.acquire(Pool::General, Priority::Live).await;
        let told = permit.expect("another account's budget").refused(
            &Rates::default(),
            Policy::Daily,
            None,
            0.5,
        );
        let error = other.acquire(Pool::General, Priority::Live).await;
        assert!(
            matches!(error, Err(Error::RateLimited { retry_at, daily: true }) if retry_at == told)
        );
    }
}
