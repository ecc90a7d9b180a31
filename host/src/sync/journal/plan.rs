//! What HubSpot has to be asked for, so that it writes to the journal what the
//! connections need, and no more.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    hubspot::{
        CONNECTOR,
        journal::{Kind, Slot, Subscription, Wanted},
    },
    model::{AccountKey, ObjectType},
    pipeline::routing::{AccountRoute, Routing},
};

/// What the connections need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// What they have to be told.
    pub(super) wanted: BTreeSet<Wanted>,
    /// The accounts in whose name no call can be made now: nothing can be asked for
    /// there, and what there is serves when they are connected again.
    pub(super) left_alone: BTreeSet<AccountKey>,
}

impl Needs {
    pub(super) fn of(routing: &Routing) -> Self {
        let accounts = || routing.accounts_of(CONNECTOR);
        let mut wanted: BTreeSet<_> = accounts().flat_map(|one| wanted(one)).collect();
        if accounts().next().is_some() {
            wanted.insert(Wanted::uninstalls());
        }
        let alone = accounts().filter(|route| !route.may_call && !route.connections.is_empty());
        Self {
            wanted,
            left_alone: alone.map(|route| route.key.clone()).collect(),
        }
    }
}

/// What an account's connections need to be told.
pub(super) fn wanted(route: &AccountRoute) -> Vec<Wanted> {
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
pub(super) struct Plan {
    /// What is asked for, and the subscriptions that it takes the place of.
    pub(super) begin: Vec<(Wanted, Vec<u64>)>,
    /// What nobody needs.
    pub(super) end: Vec<u64>,
}

/// What has to be done so that there is what is wanted, and no more. What is of
/// another app, of an account that is left alone, or of another event of the
/// app's life, stays.
pub(super) fn plan(held: &[Subscription], needs: &Needs, app_id: Option<u64>) -> Plan {
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
