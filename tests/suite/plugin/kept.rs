//! Components built for versions of the contract that are published: the host
//! runs them for ever, beside those that are built now.

use jimo_connect::{
    plugin::{BodyKind, EMBEDDED, InstallError, Version, conforms, digest},
    sources::check,
};

use super::{connector, engine};
use harness::components;

/// Built for 1.0.0 when that was published.
const FIRST: &[u8] = include_bytes!("../../fixtures/components/webhook-connector-1.0.0.wasm");

/// HubSpot's of then.
const FIRST_OF_HUBSPOT: &[u8] = include_bytes!("../../fixtures/components/hubspot-1.0.0.wasm");

fn first() -> Version {
    engine().load(FIRST).expect("a version")
}

#[test]
fn the_components_that_are_kept_are_those_that_were_built() {
    let readme = include_str!("../../fixtures/components/README.md");
    for component in [FIRST, FIRST_OF_HUBSPOT] {
        assert!(readme.contains(&digest(component)), "{}", digest(component));
    }
}

#[test]
fn of_those_built_for_the_first_contract_a_host_takes_what_it_can_serve() {
    let version = check(engine(), FIRST_OF_HUBSPOT).expect("a version");
    assert_eq!(
        (version.connector(), version.contract()),
        ("hubspot", "1.0.0")
    );
    // Its source cannot be asked for its properties, and it could not tell them yet.
    let refused = check(engine(), FIRST).expect_err("it tells no properties");
    assert!(
        matches!(refused, InstallError::NotServed { .. }),
        "{refused}"
    );
}

#[test]
fn a_component_built_for_the_first_contract_is_loaded_and_passes_all_cases() {
    let version = first();
    assert_eq!(version.description().connector, "webhook");
    conforms(&version).expect("all cases");
}

#[test]
fn it_answers_what_the_same_source_answers_that_is_built_now() {
    let (first, now) = (
        first(),
        engine().load(components::webhook()).expect("a version"),
    );
    assert_ne!(first.digest(), now.digest());
    for body in [
        BodyKind::Delivery,
        BodyKind::Records("people".into()),
        BodyKind::Records("workspaces".into()),
    ] {
        for account in ["acme", "globex"] {
            let said = connector::pass(&first, account, body.clone());
            assert_ne!(said, Default::default(), "{account} {body:?}");
            assert_eq!(said, connector::pass(&now, account, body.clone()));
        }
    }
}

#[test]
fn a_component_that_tells_its_properties_runs_beside_those_that_do_not() {
    let now = engine().load(components::webhook()).expect("a version");
    let defined = now.definitions().expect("it tells them");
    let told: Vec<(&str, usize)> = defined
        .iter()
        .map(|object| (object.object_type.as_str(), object.properties.len()))
        .collect();
    assert_eq!(told, [("people", 6), ("workspaces", 5)]);
    let plan = &defined[0].properties[4];
    assert_eq!((&*plan.label, &*plan.group), ("Plan", "Subscription"));
    assert_eq!(plan.choices[2].label, "Enterprise");

    let first = first();
    assert_eq!(first.definitions(), None);
    let hubspot = engine().load(EMBEDDED).expect("a version");
    assert_eq!(hubspot.definitions(), None);
    std::thread::scope(|scope| {
        for version in [&first, &now] {
            scope.spawn(|| {
                for _ in 0..20 {
                    let said = connector::pass(version, "acme", BodyKind::Delivery);
                    assert_eq!(said.changes.len(), 6);
                }
            });
        }
    });
}
