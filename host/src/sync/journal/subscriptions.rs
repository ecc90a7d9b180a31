//! Keeps what HubSpot writes to the journal equal to what the connections need:
//! when the configuration changes, and from time to time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{
    super::runs::schedule::UnderWay,
    Access, Error, catch_up,
    plan::{Needs, plan, wanted},
};
use crate::{
    host::Host,
    hubspot::{CONNECTOR, journal::Wanted},
    model::{AccountKey, Timestamp},
    pipeline::routing::Routing,
    store::{
        self,
        journal::{State, Subject},
    },
};

/// How often the configuration is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the subscriptions are looked at when nothing here has changed:
/// somebody may have changed them at HubSpot.
const CHECK_EVERY: Duration = Duration::from_secs(3_600);

/// How long to wait after a failure, and twice as long after each further.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after failures: how soon a scope that was missing is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Accounts for which subscriptions are asked for at once: one that is not answered
/// holds up no other.
const ACCOUNTS_AT_ONCE: usize = 8;

/// What was last seen to.
struct Done {
    /// The configuration that it was last looked up in.
    configuration: i64,
    needs: Needs,
    /// When to see to it again, although nothing here has changed.
    again_at: Timestamp,
}

/// Keeps them until it is told to stop.
pub(super) async fn run(host: &Arc<Host>, access: &Access, stop: &CancellationToken) {
    let mut keeper = Keeper {
        host,
        access,
        pause: PAUSE,
        told: BTreeMap::new(),
        missed: BTreeSet::new(),
    };
    let mut done: Option<Done> = None;
    while !stop.is_cancelled() {
        match host.pipeline.routing().await {
            Ok(routing) => {
                let looked = tokio::select! {
                    looked = keeper.look(&routing, done) => looked,
                    () = stop.cancelled() => return,
                };
                done = Some(looked);
            }
            Err(error) => tracing::warn!(%error, "what the journal is wanted for is not known"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Sees to the subscriptions, and knows what there was.
struct Keeper<'a> {
    host: &'a Arc<Host>,
    access: &'a Access,
    /// The wait after the next failure.
    pause: Duration,
    /// What accounts were told when that was last as it should be.
    told: BTreeMap<AccountKey, Vec<Wanted>>,
    /// Accounts of which something was told no more for a while, until they catch up.
    missed: BTreeSet<AccountKey>,
}

impl Keeper<'_> {
    /// Sees to it where anything has changed, or it is time.
    async fn look(&mut self, routing: &Routing, done: Option<Done>) -> Done {
        let now = self.host.clock.now();
        let configuration = routing.configuration;
        let done = done.filter(|done| done.again_at > now);
        let needs = match done {
            // Most looks find nothing new.
            Some(done) if done.configuration == configuration => return done,
            Some(done) => {
                let needs = Needs::of(routing);
                if done.needs == needs {
                    return Done {
                        configuration,
                        ..done
                    };
                }
                needs
            }
            None => Needs::of(routing),
        };
        let wait = if self.keep(routing, &needs).await {
            self.pause = PAUSE;
            CHECK_EVERY
        } else {
            let present = self.pause;
            self.pause = (present * 2).min(PAUSE_MAX);
            present
        };
        Done {
            configuration,
            needs,
            again_at: self.host.clock.now().plus(wait),
        }
    }

    /// Sees to it, and keeps how it went. Returns whether all is as it should be.
    async fn keep(&mut self, routing: &Routing, needs: &Needs) -> bool {
        let changed = self.change(needs).await;
        let now = self.host.clock.now();
        let kept = match changed {
            Err(error) => {
                let journal = &self.host.journal;
                journal.failed(Subject::Subscriptions, &error, now).await;
                return false;
            }
            Ok(failures) => self.record(routing, needs, failures, now).await,
        };
        kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "what was found of the journal could not be kept");
            false
        })
    }

    /// Makes the changes. What one account refuses, or does not answer, holds up no
    /// other: why, by account.
    async fn change(&mut self, needs: &Needs) -> Result<BTreeMap<AccountKey, Error>, Error> {
        let access = self.access;
        let held = access
            .call(|client, token| async move { client.journal_subscriptions(&token).await })
            .await?;
        let plan = plan(&held, needs, access.app().app_id);
        let mut of_accounts: BTreeMap<Option<AccountKey>, Vec<Begin>> = BTreeMap::new();
        for (want, replaced) in plan.begin {
            let of_account = of_accounts.entry(want.account.clone()).or_default();
            of_account.push((want, replaced));
        }
        let asked = of_accounts.into_iter().map(|one| ask_for(access, one));
        let mut asked = stream::iter(asked).buffer_unordered(ACCOUNTS_AT_ONCE);
        let (mut failures, mut of_all) = (BTreeMap::new(), None);
        let mut over = Vec::new();
        // Those that are asked for first, so that there is no moment without.
        while let Some(Asked {
            account,
            begun,
            failure,
        }) = asked.next().await
        {
            for (want, replaced, id) in begun {
                // Known from here on, whatever fails behind.
                if replaced.is_empty() && self.had(&want) {
                    self.missed.extend(want.account);
                }
                over.extend(replaced.into_iter().filter(|other| *other != id));
            }
            match (failure, account) {
                (Some(error), Some(account)) => drop(failures.insert(account, error)),
                (Some(error), None) => of_all = Some(error),
                (None, _) => {}
            }
        }
        if let Some(error) = of_all {
            return Err(error);
        }
        for id in over.into_iter().chain(plan.end) {
            if let Err(error) = end(access, id).await {
                // It tells too much; that is dropped behind.
                tracing::warn!(%error, subscription = id, "a subscription to the journal could not be ended");
            }
        }
        Ok(failures)
    }

    /// Whether there was a subscription of that slot. One that is wanted for the first
    /// time has missed nothing.
    fn had(&self, want: &Wanted) -> bool {
        let told = want.account.as_ref().and_then(|key| self.told.get(key));
        told.is_some_and(|told| told.iter().any(|one| one.slot() == want.slot()))
    }

    /// Keeps how it went. Returns whether nothing failed.
    async fn record(
        &mut self,
        routing: &Routing,
        needs: &Needs,
        failures: BTreeMap<AccountKey, Error>,
        now: Timestamp,
    ) -> Result<bool, store::Error> {
        let journal = &self.host.journal;
        let routes = routing
            .accounts_of(CONNECTOR)
            .map(|route| (route, wanted(route)));
        let routes: Vec<_> = routes.filter(|(_, wanted)| !wanted.is_empty()).collect();
        let all_were_out = journal.is_out(&Subject::Subscriptions, now);
        let mut kept = needs.left_alone.clone();
        for (route, _) in &routes {
            kept.insert(route.key.clone());
            if all_were_out || journal.is_out(&Subject::Account(route.key.clone()), now) {
                self.missed.insert(route.key.clone());
            }
        }
        // It is asked for before it is forgotten that it has to be.
        let missed = routes
            .iter()
            .map(|(route, _)| *route)
            .filter(|route| self.missed.contains(&route.key) && !failures.contains_key(&route.key));
        catch_up(self.host, missed, UnderWay::BeginsAnew).await?;
        self.missed.retain(|account| failures.contains_key(account));
        let subject = Subject::Subscriptions;
        journal.found(subject, State::Works, now).await?;
        for (route, wanted) in routes {
            let subject = Subject::Account(route.key.clone());
            match failures.get(&route.key) {
                Some(error) => journal.failed(subject, error, now).await,
                None => {
                    journal.found(subject, State::Works, now).await?;
                    journal.tells(route);
                    self.told.insert(route.key.clone(), wanted);
                }
            }
        }
        journal.keep_accounts(&kept).await?;
        self.told.retain(|account, _| kept.contains(account));
        Ok(failures.is_empty())
    }
}

/// What is asked for, and the subscriptions that it takes the place of.
type Begin = (Wanted, Vec<u64>);

/// What came of asking for what an account lacks.
struct Asked {
    /// The account; none for all of them.
    account: Option<AccountKey>,
    /// What there is now, each with what it takes the place of, and its number.
    begun: Vec<(Wanted, Vec<u64>, u64)>,
    /// Why not all of it.
    failure: Option<Error>,
}

/// Asks for what an account lacks, one after the other.
async fn ask_for(access: &Access, (account, begin): (Option<AccountKey>, Vec<Begin>)) -> Asked {
    let (mut begun, mut failure) = (Vec::new(), None);
    for (want, replaced) in begin {
        let asked = access.call(|client, token| {
            let want = want.clone();
            async move { client.journal_subscribe(&token, &want).await }
        });
        match asked.await {
            Ok(id) => begun.push((want, replaced, id)),
            Err(error) => {
                let is_answered = !matches!(&error, Error::HubSpot(error) if error.is_retryable());
                failure = Some(error);
                // The rest would wait as long, and whoever is connected meanwhile for it.
                if !is_answered {
                    break;
                }
            }
        }
    }
    Asked {
        account,
        begun,
        failure,
    }
}

async fn end(access: &Access, id: u64) -> Result<(), Error> {
    access
        .call(|client, token| async move { client.journal_unsubscribe(&token, id).await })
        .await
}
