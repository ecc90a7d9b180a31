//! What a component says of itself and of its source's properties, drawn by chance:
//! it is refused or it is sound, whatever was said.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::{
    bindings::{
        definitions::exports::jimo::connect::definitions as defined,
        exports::jimo::connect::describe as wit,
    },
    definitions,
    describe::{BodyDescription, Description},
    limits::NAME_BYTES_MAX,
};
use crate::model::UserIdentifier;

const PATH_STEPS_MAX: usize = 8;
const TYPES_MAX: usize = 100;
const PROPERTIES_MAX: usize = 1_000;

/// A text: mostly one of few, so that some are there twice.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        60 => prop::sample::select(&["contacts", "deals", "people", "email", "id", "a b", "é"][..])
            .prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (0..400usize).prop_map(|length| "x".repeat(length)),
        1 => Just("a\n".to_owned()),
    ]
}

fn several<T: std::fmt::Debug>(
    one: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(one, 0..=most)
}

fn path(least: usize) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        20 => prop::collection::vec(text(), least..3),
        1 => several(text(), 12),
    ]
}

fn body(has_account: bool) -> impl Strategy<Value = wit::BodyDescription> {
    let has_account = prop_oneof![30 => Just(has_account), 1 => any::<bool>()];
    let records = prop_oneof![
        30 => prop::collection::vec(path(1), 1..3),
        1 => several(path(1), 120),
    ];
    (path(0), has_account, path(1), records).prop_map(
        |(elements, has_account, account, records)| wit::BodyDescription {
            elements,
            account: has_account.then_some(account),
            records,
        },
    )
}

fn selection() -> impl Strategy<Value = wit::SelectionRule> {
    prop_oneof![
        Just(wit::SelectionRule::Primary),
        Just(wit::SelectionRule::LatestModified),
        Just(wit::SelectionRule::LatestCreated),
        Just(wit::SelectionRule::Largest),
    ]
}

fn default_match() -> impl Strategy<Value = wit::DefaultMatch> {
    let identifier = prop_oneof![
        10 => Just(wit::UserIdentifier::Email),
        10 => Just(wit::UserIdentifier::ExternalId),
        1 => Just(wit::UserIdentifier::Variable),
    ];
    (text(), identifier).prop_map(|(property, identifier)| wit::DefaultMatch {
        property,
        identifier,
    })
}

fn object_type() -> impl Strategy<Value = wit::ObjectType> {
    let through = prop_oneof![4 => Just(vec![]), 1 => several(text(), 2)];
    (
        text(),
        text(),
        text(),
        prop::option::of(default_match()),
        through,
        several(selection(), 2),
    )
        .prop_map(
            |(name, label, singular_label, default_match, through, selections)| wit::ObjectType {
                name,
                label,
                singular_label,
                default_match,
                through,
                selections,
            },
        )
}

fn description() -> impl Strategy<Value = wit::Description> {
    let connector = prop_oneof![20 => Just("crm-2".to_owned()), 1 => text()];
    let version = prop_oneof![
        20 => prop::sample::select(&["1.2.3", "0.1.0-beta+5"][..]).prop_map(str::to_owned),
        1 => text(),
    ];
    let object_types = prop_oneof![
        40 => several(object_type(), 3),
        1 => prop::collection::vec(object_type(), 0..130),
        // As many as there may be, and some more, with names that differ.
        1 => (99..103usize, object_type()).prop_map(|(count, one)| {
            let named = |number| wit::ObjectType { name: format!("type {number}"), through: vec![], ..one.clone() };
            (0..count).map(named).collect()
        }),
    ];
    (
        connector,
        text(),
        version,
        object_types,
        body(true),
        prop::option::of(body(true)),
        prop::option::of(body(false)),
        prop::option::of(body(false)),
    )
        .prop_map(
            |(
                connector,
                label,
                version,
                object_types,
                delivery,
                journal_file,
                records_page,
                associations_page,
            )| wit::Description {
                connector,
                label,
                version,
                object_types,
                delivery,
                journal_file,
                records_page,
                associations_page,
            },
        )
}

fn property() -> impl Strategy<Value = defined::Property> {
    let choice = (text(), text(), any::<Option<bool>>()).prop_map(|(value, label, closed)| {
        defined::PropertyChoice {
            value,
            label,
            closed,
        }
    });
    let group = prop_oneof![Just(String::new()), text()];
    let choices = prop_oneof![4 => Just(vec![]), 1 => several(choice, 3)];
    (text(), group.clone(), group.clone(), text(), group, choices).prop_map(
        |(name, property_type, field_type, label, group, choices)| defined::Property {
            definition: defined::PropertyDefinition {
                name,
                property_type,
                field_type,
            },
            label,
            group,
            choices,
        },
    )
}

fn definitions() -> impl Strategy<Value = Vec<defined::ObjectProperties>> {
    let object_type =
        prop_oneof![20 => Just("contacts".to_owned()), 10 => Just("deals".to_owned()), 1 => text()];
    let properties = prop_oneof![
        20 => several(property(), 3),
        1 => (999..1_003usize, property()).prop_map(|(count, one)| {
            let named = |number: usize| {
                let mut one = one.clone();
                one.definition.name = number.to_string();
                one
            };
            (0..count).map(named).collect()
        }),
    ];
    let object =
        (object_type, properties).prop_map(|(object_type, properties)| defined::ObjectProperties {
            object_type,
            properties,
        });
    several(object, 2)
}

fn is_shown(text: &str) {
    assert!((1..=NAME_BYTES_MAX).contains(&text.len()), "{text:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
}

fn is_short(text: &str) {
    assert!(text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control));
}

fn is_once<T: Ord>(all: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    all.into_iter()
        .for_each(|one| assert!(seen.insert(one), "one is there twice"));
}

fn is_sound_body(body: &BodyDescription, has_account: bool) {
    assert_eq!(body.account.is_some(), has_account);
    assert!((1..=TYPES_MAX).contains(&body.records.len()));
    let inner = body.account.iter().chain(&body.records);
    for path in inner.clone() {
        assert!(!path.is_empty());
    }
    for path in inner.chain([&body.elements]) {
        assert!(path.len() <= PATH_STEPS_MAX);
        path.iter().for_each(|step| is_shown(step));
    }
}

/// Takes over what is said, which is sound where it is not refused; whether it is.
fn describes(said: wit::Description) -> bool {
    let Ok(description) = Description::from_wit(said) else {
        return false;
    };
    let texts = [
        &description.connector,
        &description.label,
        &description.version,
    ];
    texts.into_iter().for_each(|text| is_shown(text));
    let types = &description.object_types;
    assert!((1..=TYPES_MAX).contains(&types.len()));
    is_once(types.iter().map(|one| &one.name));
    for one in types {
        is_shown(one.name.as_str());
        is_shown(&one.label);
        is_shown(&one.singular_label);
        for through in &one.through {
            assert!(*through != one.name && description.object_type(through).is_some());
            assert!(description.associations_page.is_some());
        }
        let selections: Vec<_> = one.selections.iter().map(|rule| rule.as_str()).collect();
        is_once(selections);
        if let Some(default) = &one.default_match {
            is_shown(default.property.as_str());
            assert!(!matches!(default.identifier, UserIdentifier::Variable(_)));
        }
    }
    is_sound_body(&description.delivery, true);
    let of_accounts = description.journal_file.iter();
    of_accounts.for_each(|body| is_sound_body(body, true));
    let pages = [&description.records_page, &description.associations_page];
    let pages = pages.into_iter().flatten();
    pages.for_each(|body| is_sound_body(body, false));
    true
}

fn described() -> Description {
    let object_type = |name: &str| wit::ObjectType {
        name: name.into(),
        label: name.into(),
        singular_label: name.into(),
        default_match: None,
        through: vec![],
        selections: vec![],
    };
    let said = wit::Description {
        connector: "crm".into(),
        label: "CRM".into(),
        version: "1.0.0".into(),
        object_types: vec![object_type("contacts"), object_type("deals")],
        delivery: wit::BodyDescription {
            elements: vec![],
            account: Some(vec!["account".into()]),
            records: vec![vec!["id".into()]],
        },
        journal_file: None,
        records_page: None,
        associations_page: None,
    };
    Description::from_wit(said).expect("a description")
}

/// The same of the properties of `contacts` and `deals`.
fn defines(said: Vec<defined::ObjectProperties>) -> bool {
    let Ok(objects) = definitions::from_wit(said, &described()) else {
        return false;
    };
    is_once(objects.iter().map(|object| &object.object_type));
    for object in &objects {
        assert!(["contacts", "deals"].contains(&object.object_type.as_str()));
        let properties = &object.properties;
        assert!(properties.len() <= PROPERTIES_MAX);
        is_once(properties.iter().map(|one| &one.definition.name));
        for one in properties {
            is_shown(one.definition.name.as_str());
            is_shown(&one.label);
            is_short(&one.definition.property_type);
            is_short(&one.definition.field_type);
            is_short(&one.group);
            assert!(one.choices.len() <= PROPERTIES_MAX);
            is_once(one.choices.iter().map(|choice| &choice.value));
            for choice in &one.choices {
                is_shown(&choice.value);
                is_shown(&choice.label);
            }
        }
    }
    true
}

/// Draws so many, and counts those that are taken over: neither none nor all may be.
fn drawn<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, taken: impl Fn(T) -> bool) {
    const DRAWN: usize = 3_000;
    let mut runner = TestRunner::new(Config::default());
    let taken = (0..DRAWN).filter(|_| {
        let said = strategy.new_tree(&mut runner).expect("something");
        taken(said.current())
    });
    let count = taken.count();
    assert!(
        (DRAWN / 50..DRAWN).contains(&count),
        "{count} of {DRAWN} were taken over"
    );
}

#[test]
fn what_a_component_says_of_itself_is_refused_or_sound() {
    drawn(description(), describes);
}

#[test]
fn what_a_component_says_of_properties_is_refused_or_sound() {
    drawn(definitions(), defines);
}
