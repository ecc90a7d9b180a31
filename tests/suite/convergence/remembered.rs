//! Histories that went wrong once, or that chance seldom draws.

use hubspot_sim::ObjectType::{self, Companies, Contacts, Deals};

use super::{
    history::{
        FIELDS, History,
        Step::{self, *},
        Weather, too_long,
    },
    run,
};

fn check(hold: bool, steps: Vec<Step>) {
    let weather = Weather {
        seed: 1,
        journal: false,
        hold,
        loss: 0.0,
        repeats: 0.0,
        disorder: 0.0,
        batch_max: 100,
        creation_lag_ms: 0,
        search_lag_ms: 0,
        associations_page: 500,
        missing_batch_is_404: false,
    };
    let history = History { weather, steps };
    if let Err(wrong) = run::to_the_end(&history) {
        panic!("{history:?}\n{wrong}")
    }
}

fn set(record: (ObjectType, usize), property: &str, text: &str) -> Step {
    let is_meant =
        |field: &(ObjectType, &str, &str, bool)| (field.0, field.1) == (record.0, property);
    Set {
        record,
        field: FIELDS.iter().position(is_meant).unwrap(),
        text: text.to_owned(),
        at_once: false,
    }
}

fn readdress(contact: usize, own: Option<usize>, additional: &[usize]) -> Step {
    let additional = additional.to_vec();
    Readdress {
        contact,
        own,
        additional,
    }
}

fn associate(contact: usize, to: (ObjectType, usize)) -> Step {
    let primary = false;
    Associate {
        contact,
        to,
        primary,
    }
}

/// A contact with a company and a deal feeds a user, before this happens.
fn after_a_customer(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut all = vec![
        PutUser {
            user: 0,
            address: 0,
        },
        readdress(0, Some(0), &[]),
        set((Contacts, 0), "jobtitle", "cook"),
        set((Companies, 0), "name", "Acme"),
        set((Deals, 0), "dealname", "pans"),
        set((Deals, 1), "dealname", "knives"),
        associate(0, (Companies, 0)),
        associate(0, (Deals, 0)),
        Settle,
    ];
    all.extend(steps);
    all
}

#[test]
fn a_contact_that_is_restored_within_the_second_feeds_again() {
    let steps = [
        Delete {
            record: (Contacts, 0),
        },
        Apply,
        Restore { of: Contacts },
        Apply,
    ];
    check(false, after_a_customer(steps.clone()));
    let at_once = [steps[0].clone(), steps[2].clone()];
    check(true, after_a_customer(at_once));
}

#[test]
fn a_restored_contact_has_the_associations_that_it_had() {
    let steps = [
        associate(0, (Deals, 1)),
        Delete {
            record: (Contacts, 0),
        },
        Settle,
        Restore { of: Contacts },
    ];
    check(false, after_a_customer(steps));
}

#[test]
fn of_additional_addresses_none_comes_before_another() {
    check(
        false,
        vec![
            PutUser {
                user: 0,
                address: 0,
            },
            set((Contacts, 0), "jobtitle", "of the lowest id"),
            readdress(1, Some(1), &[0]),
            set((Contacts, 1), "jobtitle", "of another"),
            readdress(0, Some(2), &[1, 0]),
        ],
    );
}

#[test]
fn a_deal_that_changed_while_it_reached_nobody_is_the_latest_when_it_does_again() {
    let steps = [
        associate(0, (Deals, 1)),
        Settle,
        set((Deals, 0), "dealname", "new pans"),
        Settle,
        readdress(0, Some(1), &[]),
        set((Deals, 1), "dealname", "new knives"),
        Settle,
        readdress(0, Some(0), &[]),
    ];
    check(false, after_a_customer(steps));
}

#[test]
fn a_deal_that_changes_as_its_contact_is_erased_is_read_when_another_has_it() {
    let steps = [
        readdress(1, Some(1), &[0]),
        set((Contacts, 1), "jobtitle", "baker"),
        associate(1, (Deals, 1)),
        Settle,
        Erase { contact: 0 },
        set((Deals, 0), "dealname", "newer pans"),
        Settle,
        set((Deals, 1), "dealname", "newer knives"),
        Settle,
        set((Deals, 0), "dealname", "newest pans"),
        Settle,
        associate(1, (Deals, 0)),
    ];
    for hold in [false, true] {
        check(hold, after_a_customer(steps.clone()));
    }
}

#[test]
fn what_cannot_be_read_leaves_a_value_that_the_record_had() {
    let steps = [
        set((Contacts, 0), "jobtitle", "baker"),
        set((Contacts, 0), "jobtitle", &too_long()),
    ];
    check(true, after_a_customer(steps));
}

#[test]
fn a_restored_company_feeds_those_who_had_it_and_those_who_came_meanwhile() {
    for record in [(Companies, 0), (Deals, 0)] {
        let steps = [
            Delete { record },
            Settle,
            // All that it has is read again, and the deleted record is not told.
            associate(0, (Companies, 1)),
            associate(0, (Deals, 1)),
            Settle,
            PutUser {
                user: 1,
                address: 1,
            },
            Settle,
            Restore { of: record.0 },
        ];
        let before = [
            readdress(1, Some(1), &[]),
            associate(1, (Companies, 0)),
            associate(1, (Deals, 0)),
            Settle,
        ];
        let all: Vec<_> = before.into_iter().chain(steps).collect();
        for hold in [false, true] {
            check(hold, after_a_customer(all.clone()));
        }
    }
}

#[test]
fn the_users_of_companies_and_deals_that_became_one_are_fed_by_that() {
    for of in [Companies, Deals] {
        for (primary, other) in [(0, 1), (1, 0)] {
            let steps = [
                set((Companies, 1), "name", "Bolt"),
                readdress(1, Some(1), &[]),
                PutUser {
                    user: 1,
                    address: 1,
                },
                associate(1, (Companies, 1)),
                associate(1, (Deals, 1)),
                Settle,
                Merge { of, primary, other },
                Apply,
                set(
                    (of, primary),
                    if of == Deals { "dealname" } else { "name" },
                    "Both",
                ),
            ];
            for hold in [false, true] {
                check(hold, after_a_customer(steps.clone()));
            }
        }
    }
}

#[test]
fn a_company_that_became_another_twice_feeds_in_the_end() {
    let steps = [
        set((Companies, 1), "name", "Bolt"),
        set((Companies, 2), "name", "Cog"),
        Merge {
            of: Companies,
            primary: 1,
            other: 0,
        },
        Merge {
            of: Companies,
            primary: 2,
            other: 1,
        },
    ];
    for hold in [false, true] {
        check(hold, after_a_customer(steps.clone()));
    }
}
