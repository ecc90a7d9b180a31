//! Keeps what HubSpot writes to the journal equal to what the connections need:
//! when the configuration changes, and from time to time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Access, Error, catch_up};
use crate::{
    host::Host,
    hubspot::journal::{Kind, Slot, Subscription, Wanted},
    model::{AccountKey, ObjectType, Timestamp},
    pipeline::routing::{AccountRoute, Routing},
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

/// What the connections need.
#[derive(Debug, PartialEq, Eq)]
struct Needs {
    /// What they have to be told.
    wanted: BTreeSet<Wanted>,
    /// The accounts in whose name no call can be made now: nothing can be asked for
    /// there, and what there is serves when they are connected again.
    left_alone: BTreeSet<AccountKey>,
}

impl Needs {
    fn of(routing: &Routing) -> Self {
        let mut wanted: BTreeSet<_> = routing.accounts().flat_map(|one| wanted(one)).collect();
        if routing.accounts().next().is_some() {
            wanted.insert(Wanted::uninstalls());
        }
        let alone = routing
            .accounts()
            .filter(|route| !route.may_call && !route.connections.is_empty());
        Self {
            wanted,
            left_alone: alone.map(|route| route.key.clone()).collect(),
        }
    }
}

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
    let mut done: Option<Done> = None;
    let mut pause = PAUSE;
    while !stop.is_cancelled() {
        match host.pipeline.routing().await {
            Ok(routing) => {
                let looked = tokio::select! {
                    looked = look(host, access, &routing, done, &mut pause) => looked,
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

/// Sees to it where anything has changed, or it is time.
async fn look(
    host: &Arc<Host>,
    access: &Access,
    routing: &Routing,
    done: Option<Done>,
    pause: &mut Duration,
) -> Done {
    let now = host.clock.now();
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
    let wait = if keep(host, access, routing, &needs).await {
        *pause = PAUSE;
        CHECK_EVERY
    } else {
        let present = *pause;
        *pause = (present * 2).min(PAUSE_MAX);
        present
    };
    Done {
        configuration,
        needs,
        again_at: host.clock.now().plus(wait),
    }
}

/// What an account's connections need to be told.
fn wanted(route: &AccountRoute) -> Vec<Wanted> {
    if !route.may_call || route.interests.is_empty() {
        return Vec::new();
    }
    let account = &route.key;
    let mut wanted = Vec::new();
    for interest in &route.interests {
        let (of, properties) = (&interest.object_type, interest.properties.iter().cloned());
        wanted.extend(Wanted::records(account, of, properties));
        wanted.extend(Wanted::privacy_deletions(account, of));
    }
    let mut through: BTreeMap<&ObjectType, BTreeSet<&ObjectType>> = BTreeMap::new();
    for mapping in route.connections.iter().flat_map(|one| &one.mappings) {
        if let Some(from) = &mapping.through {
            through
                .entry(from)
                .or_default()
                .insert(&mapping.object_type);
        }
    }
    for (from, to) in through {
        wanted.extend(Wanted::associations(account, from, to));
    }
    wanted
}

/// What has to be done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// What is asked for, and the subscriptions that it takes the place of.
    begin: Vec<(Wanted, Vec<u64>)>,
    /// What nobody needs.
    end: Vec<u64>,
}

/// What has to be done so that there is what is wanted, and no more. What is of
/// another app, of an account that is left alone, or of another event of the
/// app's life, stays.
fn plan(held: &[Subscription], needs: &Needs, app_id: Option<u64>) -> Plan {
    let Needs { wanted, left_alone } = needs;
    let mut plan = Plan::default();
    let is_ours = |one: &&Subscription| {
        let of_other_app = one
            .app_id
            .is_some_and(|app| app_id.is_some_and(|ours| ours != app));
        let alone = one
            .wanted
            .account
            .as_ref()
            .is_some_and(|key| left_alone.contains(key));
        let of_life = one.wanted.kind == Kind::AppLifecycleEvent;
        !of_other_app && !alone && (!of_life || one.wanted.slot() == Wanted::uninstalls().slot())
    };
    let mut ours: BTreeMap<Slot<'_>, Vec<&Subscription>> = BTreeMap::new();
    for one in held.iter().filter(is_ours) {
        ours.entry(one.wanted.slot()).or_default().push(one);
    }
    for want in wanted {
        let same = ours.remove(&want.slot()).unwrap_or_default();
        let met = same.iter().find(|one| want.is_met_by(&one.wanted));
        let met = met.map(|one| one.id);
        let others = same.iter().map(|one| one.id).filter(|id| met != Some(*id));
        if met.is_some() {
            plan.end.extend(others);
        } else {
            plan.begin.push((want.clone(), others.collect()));
        }
    }
    plan.end
        .extend(ours.into_values().flatten().map(|one| one.id));
    plan
}

/// Sees to it, and keeps how it went. Returns whether all is as it should be.
async fn keep(host: &Arc<Host>, access: &Access, routing: &Routing, needs: &Needs) -> bool {
    let outcome = change(access, needs).await;
    let now = host.clock.now();
    let journal = &host.journal;
    let kept = match outcome {
        Err(error) => {
            journal.failed(Subject::Subscriptions, &error, now).await;
            return false;
        }
        Ok(changed) => record(host, routing, needs, changed, now).await,
    };
    kept.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was found of the journal could not be kept");
        false
    })
}

/// What came of the changes.
#[derive(Default)]
struct Changed {
    /// Why accounts could not be subscribed to something.
    failures: BTreeMap<AccountKey, Error>,
    /// Accounts of which something was told by no subscription before.
    begun: BTreeSet<AccountKey>,
}

/// Makes the changes. What one account refuses holds up no other.
async fn change(access: &Access, needs: &Needs) -> Result<Changed, Error> {
    let held = access
        .call(|client, token| async move { client.journal_subscriptions(&token).await })
        .await?;
    let plan = plan(&held, needs, access.app().app_id);
    let mut changed = Changed::default();
    let mut over = Vec::new();
    // Those that are asked for first, so that there is no moment without.
    for (want, replaced) in plan.begin {
        let begun = access
            .call(|client, token| {
                let want = want.clone();
                async move { client.journal_subscribe(&token, &want).await }
            })
            .await;
        match (begun, want.account) {
            (Ok(id), account) => {
                if replaced.is_empty() {
                    changed.begun.extend(account);
                }
                over.extend(replaced.into_iter().filter(|other| *other != id));
            }
            (Err(error), Some(account)) => drop(changed.failures.insert(account, error)),
            (Err(error), None) => return Err(error),
        }
    }
    for id in over.into_iter().chain(plan.end) {
        if let Err(error) = end(access, id).await {
            // It tells too much; that is dropped behind.
            tracing::warn!(%error, subscription = id, "a subscription to the journal could not be ended");
        }
    }
    Ok(changed)
}

async fn end(access: &Access, id: u64) -> Result<(), Error> {
    access
        .call(|client, token| async move { client.journal_unsubscribe(&token, id).await })
        .await
}

/// Keeps how it went. Returns whether nothing failed.
async fn record(
    host: &Host,
    routing: &Routing,
    needs: &Needs,
    changed: Changed,
    now: Timestamp,
) -> Result<bool, store::Error> {
    let Changed { failures, begun } = changed;
    let journal = &host.journal;
    let all_were_out = journal.is_out(&Subject::Subscriptions);
    let subject = Subject::Subscriptions;
    journal.found(subject, State::Works, now).await?;
    // Of whom nothing was told for a while.
    let mut missed = Vec::new();
    let mut kept = needs.left_alone.clone();
    for route in routing.accounts().filter(|route| !wanted(route).is_empty()) {
        kept.insert(route.key.clone());
        let subject = Subject::Account(route.key.clone());
        match failures.get(&route.key) {
            Some(error) => journal.failed(subject, error, now).await,
            None => {
                let were_lost = journal.tells_of(&route.key) && begun.contains(&route.key);
                if all_were_out || were_lost || journal.is_out(&subject) {
                    missed.push(route);
                }
                journal.found(subject, State::Works, now).await?;
                journal.tells(route);
            }
        }
    }
    journal.keep_accounts(&kept).await?;
    catch_up(host, missed.into_iter()).await?;
    Ok(failures.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PropertyName;

    const APP: u64 = 54_321;

    fn records(account: &str, properties: &[&str]) -> Wanted {
        let properties = properties.iter().map(|name| PropertyName::from(*name));
        Wanted::records(&account.into(), &"contacts".into(), properties).expect("a type")
    }

    fn held(id: u64, wanted: Wanted) -> Subscription {
        Subscription {
            id,
            app_id: Some(APP),
            wanted,
        }
    }

    fn planned(held: &[Subscription], wanted: &[Wanted], alone: &[&str]) -> Plan {
        let alone = alone.iter().map(|key| AccountKey::from(*key));
        let needs = Needs {
            wanted: wanted.iter().cloned().collect(),
            left_alone: alone.collect(),
        };
        plan(held, &needs, Some(APP))
    }

    #[test]
    fn what_is_as_it_should_be_is_left() {
        let wanted = [records("1", &["email"]), Wanted::uninstalls()];
        let all = [held(7, wanted[0].clone()), held(8, wanted[1].clone())];
        assert_eq!(planned(&all, &wanted, &[]), Plan::default());
    }

    #[test]
    fn what_is_missing_or_different_is_asked_for_and_what_is_over_ended() {
        let all = [
            held(7, records("1", &["email"])),
            held(8, records("2", &["email"])),
        ];
        let wanted = [records("1", &["city", "email"]), records("3", &[])];
        let plan = planned(&all, &wanted, &[]);
        let begin = [(wanted[0].clone(), vec![7]), (wanted[1].clone(), vec![])];
        assert_eq!(plan.begin, begin);
        assert_eq!(plan.end, [8]);
    }

    #[test]
    fn of_two_for_the_same_the_one_that_is_right_stays() {
        let wanted = [records("1", &["email"])];
        let all = [
            held(7, records("1", &["city"])),
            held(8, wanted[0].clone()),
            held(9, wanted[0].clone()),
        ];
        let plan = planned(&all, &wanted, &[]);
        assert_eq!((plan.begin, plan.end), (vec![], vec![7, 9]));
    }

    #[test]
    fn another_apps_and_those_of_accounts_that_cannot_be_called_stay() {
        let mut anothers = held(7, records("1", &["email"]));
        anothers.app_id = Some(APP + 1);
        let mut of_installs = Wanted::uninstalls();
        of_installs.type_id = "4-1909196".to_owned();
        let all = [
            anothers,
            held(8, records("2", &["email"])),
            held(9, of_installs),
        ];
        assert_eq!(planned(&all, &[], &["2"]), Plan::default());
    }
}
