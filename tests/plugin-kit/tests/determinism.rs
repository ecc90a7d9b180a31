//! Equal calls in fresh instances give equal bytes: replays and comparisons of versions depend on it.

use std::collections::BTreeMap;

use plugin_kit::body::cut;
use plugin_kit::contract::exports::jimo::connect::parse::BodyKind;
use plugin_kit::{Instance, show};

use crate::{Fixture, fixtures, kit, run, settings};

#[test]
fn every_recorded_body_gives_the_same_bytes_in_every_instance() {
    for fixture in fixtures() {
        let first = run(&fixture);
        for _ in 0..5 {
            assert_eq!(run(&fixture), first, "{}", fixture.file.display());
        }
    }
}

#[test]
fn calls_without_a_body_give_the_same_bytes_in_every_instance() {
    let answers = || {
        let mut instance = kit().instance().expect("an instance");
        let properties: Vec<_> = settings()
            .fields
            .iter()
            .map(|field| field.property.clone())
            .collect();
        let rule = settings().rules.first().expect("a rule");
        format!(
            "{:?}{:?}{:?}",
            instance.describe().expect("no fault"),
            instance.suitable(&properties).expect("no fault"),
            instance
                .needs(&rule.object_type, Some(rule), None)
                .expect("no fault"),
        )
    };
    let first = answers();
    for _ in 0..20 {
        assert_eq!(answers(), first);
    }
}

#[test]
fn an_instance_that_was_used_answers_like_a_fresh_one() {
    // The host promises a fresh instance for every pass; this shows that no component leans on it by accident.
    let mut used = kit().instance().expect("an instance");
    let delivery = used.describe().expect("a description").delivery;
    let deliveries = fixtures()
        .into_iter()
        .filter(|fixture| fixture.kind == BodyKind::Delivery);
    for Fixture { file, kind, body } in deliveries {
        for elements in cut(&body, &delivery)
            .into_iter()
            .flat_map(BTreeMap::into_values)
        {
            let show = |instance: &mut Instance| {
                show::pass(instance, &kind, &elements, settings()).expect("no fault")
            };
            let again = show(&mut used);
            let fresh = show(&mut kit().instance().expect("an instance"));
            assert_eq!(again, fresh, "{}", file.display());
        }
    }
}
