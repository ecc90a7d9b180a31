//! How a run goes about it: what it reads, in which order, and what that costs.
//! Decisions alone, from counts.

use crate::{
    hubspot::{
        objects::{ASSOCIATION_INPUTS_MAX, RECORDS_MAX},
        search::LISTED_MAX,
    },
    model::{ObjectType, Planned, RunKind, Stage, Way},
};

/// What is known of an object type before a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The type.
    pub object_type: ObjectType,
    /// The type that it reaches users through, where it does.
    pub through: Option<ObjectType>,
    /// How many records of it the account has.
    pub records: u64,
    /// How many users have an identifier that its records are matched with.
    pub users: u64,
    /// How many of its records reach users already.
    pub reached: u64,
    /// Whether records can be read by the property that they are matched by.
    pub is_read_by_key: bool,
    /// Whether a page of a list can hold the properties that are wanted.
    pub fits_a_list: bool,
}

/// How a run goes about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each object type's way and costs.
    pub types: Vec<Planned>,
    /// What is done, in this order.
    pub stages: Vec<Stage>,
}

impl Plan {
    /// How many calls it takes.
    pub fn calls(&self) -> u64 {
        self.types.iter().map(|planned| planned.calls).sum()
    }
}

/// Plans a run. A full sync costs the smaller of two things: with few users and
/// many records it asks for the records of the users, else it reads them all.
pub fn plan(kind: RunKind, brief: bool, facts: &[Facts]) -> Plan {
    let mut plan = Plan::default();
    let own = || facts.iter().filter(|facts| facts.through.is_none());
    let following = || {
        let through = facts.iter().filter_map(|f| Some((f, f.through.as_ref()?)));
        through.filter(|(_, through)| own().any(|facts| facts.object_type == **through))
    };
    for facts in own() {
        let (planned, stage) = first(kind, facts);
        plan.types.push(planned);
        plan.stages.push(stage);
    }
    for (facts, through) in following() {
        let linked = own().find(|own| own.object_type == *through);
        let linked = linked.map_or(0, |own| match kind {
            RunKind::Full => own.reached.max(own.users.min(own.records)),
            RunKind::CatchUp => own.reached,
        });
        let records = match kind {
            RunKind::Full => facts.reached.max(facts.records.min(linked)),
            RunKind::CatchUp => facts.reached,
        };
        plan.types.push(Planned {
            object_type: facts.object_type.clone(),
            way: Way::Associations,
            records,
            calls: calls(linked, ASSOCIATION_INPUTS_MAX) + calls(records, RECORDS_MAX),
        });
        if brief {
            plan.stages.push(changes(&facts.object_type));
        }
    }
    plan.stages.push(Stage::Answers);
    if brief {
        return plan;
    }
    // What is linked, and was not met on the way, may be gone or merged.
    for facts in own() {
        plan.stages.push(reached(&facts.object_type));
    }
    for (facts, through) in following() {
        plan.stages.push(Stage::Associations {
            object_type: through.clone(),
            to_type: facts.object_type.clone(),
            after: 0,
        });
    }
    plan.stages.push(Stage::Answers);
    for (facts, _) in following() {
        plan.stages.push(reached(&facts.object_type));
    }
    plan.stages.push(Stage::Answers);
    if kind == RunKind::CatchUp {
        let proofs = plan.types.iter().map(|planned| Stage::Proof {
            object_type: planned.object_type.clone(),
            sample: None,
        });
        let proofs: Vec<Stage> = proofs.collect();
        plan.stages.extend(proofs);
    }
    plan
}

/// The plan of a dry run: what follows from records is read with them, and what
/// reaches users already is counted by itself.
pub fn rehearsal(facts: &[Facts]) -> Plan {
    let Plan { types, .. } = plan(RunKind::Full, false, facts);
    let own = || facts.iter().filter(|facts| facts.through.is_none());
    let firsts = own().map(|facts| match first(RunKind::Full, facts).1 {
        Stage::Users { object_type, .. } => Stage::Keys {
            object_type,
            after: None,
        },
        other => other,
    });
    let reached = own().map(|facts| reached(&facts.object_type));
    Plan {
        stages: firsts.chain(reached).collect(),
        types,
    }
}

/// How the records of a type that is matched itself are found.
fn first(kind: RunKind, facts: &Facts) -> (Planned, Stage) {
    let object_type = facts.object_type.clone();
    if kind == RunKind::CatchUp {
        let planned = Planned {
            object_type: object_type.clone(),
            way: Way::Changes,
            records: facts.reached,
            calls: 1 + calls(facts.reached, RECORDS_MAX),
        };
        return (planned, changes(&object_type));
    }
    let pages = calls(facts.records, LISTED_MAX);
    let by_records = if facts.fits_a_list { pages } else { 2 * pages };
    let asked = calls(facts.users, RECORDS_MAX);
    let by_users = if facts.is_read_by_key {
        asked
    } else {
        2 * asked
    };
    let (way, records, calls, stage) = if by_users < by_records {
        let stage = Stage::Users {
            object_type: object_type.clone(),
            after: 0,
        };
        (Way::Users, facts.users, by_users, stage)
    } else {
        let stage = Stage::Records {
            object_type: object_type.clone(),
            ranges: None,
        };
        (Way::Records, facts.records, by_records, stage)
    };
    let planned = Planned {
        object_type,
        way,
        records,
        calls,
    };
    (planned, stage)
}

fn changes(object_type: &ObjectType) -> Stage {
    Stage::Changes {
        object_type: object_type.clone(),
        after: None,
    }
}

fn reached(object_type: &ObjectType) -> Stage {
    Stage::Reached {
        object_type: object_type.clone(),
        after: 0,
    }
}

fn calls(things: u64, a_call: usize) -> u64 {
    things.div_ceil(u64::try_from(a_call).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(records: u64, users: u64) -> Facts {
        Facts {
            object_type: "contacts".into(),
            records,
            users,
            is_read_by_key: true,
            fits_a_list: true,
            through: None,
            reached: 0,
        }
    }

    fn way(facts: Facts) -> (Way, u64) {
        let plan = plan(RunKind::Full, false, &[facts]);
        (plan.types[0].way, plan.calls())
    }

    #[test]
    fn a_full_sync_costs_the_smaller_of_two_things() {
        assert_eq!(way(contacts(1_000_000, 2_000)), (Way::Users, 20));
        assert_eq!(way(contacts(2_000, 1_000_000)), (Way::Records, 20));
        // What cannot be read by its key is searched, and then read.
        let searched = |users| Facts {
            is_read_by_key: false,
            ..contacts(10_000, users)
        };
        assert_eq!(way(searched(4_900)), (Way::Users, 98));
        assert_eq!(way(searched(5_000)), (Way::Records, 100));
        let crowded = Facts {
            fits_a_list: false,
            ..contacts(10_000, 10_100)
        };
        assert_eq!(way(crowded), (Way::Users, 101));
    }

    #[test]
    fn what_follows_contacts_costs_a_thousand_associations_and_a_hundred_records_a_call() {
        let companies = Facts {
            object_type: "companies".into(),
            through: Some("contacts".into()),
            ..contacts(300, 0)
        };
        let plan = plan(RunKind::Full, false, &[contacts(50_000, 2_500), companies]);
        let calls: Vec<_> = plan.types.iter().map(|planned| planned.calls).collect();
        assert_eq!(calls, [25, 3 + 3]);
    }

    #[test]
    fn a_catch_up_looks_at_what_changed_and_at_what_is_linked() {
        let linked = Facts {
            reached: 1_000,
            ..contacts(50_000, 2_500)
        };
        let plan = plan(RunKind::CatchUp, false, std::slice::from_ref(&linked));
        assert_eq!(plan.types[0].way, Way::Changes);
        assert!(plan.stages.contains(&reached(&"contacts".into())));
        let brief = super::plan(RunKind::CatchUp, true, &[linked]);
        assert_eq!(brief.stages, [changes(&"contacts".into()), Stage::Answers]);
    }
}
