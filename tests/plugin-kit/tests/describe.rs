//! What a component says of itself is what a host takes, and holds.

use plugin_kit::contract::exports::jimo::connect::describe::{BodyDescription, SelectionRule};
use plugin_kit::contract::exports::jimo::connect::matching::{MatchingRule, RuleError, Selection};
use plugin_kit::contract::jimo::connect::types::{PropertyDefinition, UserIdentifier};

use crate::{description, kit};

/// The most bytes of a name, a label or a step of a path.
const TEXT_BYTES_MAX: usize = 255;
const PATH_STEPS_MAX: usize = 8;
const COUNT_MAX: usize = 100;

fn check_text(text: &str) {
    let is_short = (1..=TEXT_BYTES_MAX).contains(&text.len());
    assert!(is_short && !text.chars().any(char::is_control), "{text:?}");
}

fn check_body(body: &BodyDescription, has_accounts: bool) {
    assert_eq!(body.account.is_some(), has_accounts);
    assert!((1..=COUNT_MAX).contains(&body.records.len()));
    for path in body.account.iter().chain(&body.records) {
        assert!(!path.is_empty(), "an id is no whole element");
    }
    for path in body
        .account
        .iter()
        .chain(&body.records)
        .chain([&body.elements])
    {
        assert!(path.len() <= PATH_STEPS_MAX);
        path.iter().for_each(|step| check_text(step));
    }
}

#[test]
fn it_describes_itself_within_the_bounds_of_the_contract() {
    let description = description();
    let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    assert!(description.connector.chars().all(is_slug));
    for text in [
        &description.connector,
        &description.label,
        &description.version,
    ] {
        check_text(text);
    }
    check_body(&description.delivery, true);
    if let Some(body) = &description.journal_file {
        check_body(body, true);
    }
    let pages = [&description.records_page, &description.associations_page];
    for body in pages.into_iter().flatten() {
        check_body(body, false);
    }
    let types = &description.object_types;
    assert!((1..=COUNT_MAX).contains(&types.len()));
    for (index, described) in types.iter().enumerate() {
        for text in [&described.name, &described.label, &described.singular_label] {
            check_text(text);
        }
        assert!(types[..index].iter().all(|one| one.name != described.name));
        for through in &described.through {
            assert!(description.associations_page.is_some());
            assert!(*through != described.name && types.iter().any(|one| one.name == *through));
        }
        if let Some(default) = &described.default_match {
            check_text(&default.property);
            assert_ne!(default.identifier, UserIdentifier::Variable);
        }
    }
}

#[test]
fn the_properties_that_it_defines_are_of_types_that_it_describes() {
    // Most leave it to their source to tell them.
    let Some(defined) = kit().define() else {
        return;
    };
    let defined = defined.expect("no fault");
    assert_eq!(kit().define().expect("again").expect("no fault"), defined);
    let description = description();
    for (index, object) in defined.iter().enumerate() {
        let mut types = description.object_types.iter();
        assert!(types.any(|described| described.name == object.object_type));
        let mut before = defined[..index].iter();
        assert!(before.all(|one| one.object_type != object.object_type));
        for (index, property) in object.properties.iter().enumerate() {
            check_text(&property.definition.name);
            check_text(&property.label);
            let mut before = object.properties[..index].iter();
            assert!(before.all(|one| one.definition.name != property.definition.name));
            for choice in &property.choices {
                check_text(&choice.value);
                check_text(&choice.label);
            }
        }
    }
}

#[test]
fn it_can_do_what_it_describes_and_says_so_of_nothing_else() {
    let needs = |object_type: &str, rule: Option<&MatchingRule>, selection: Option<&Selection>| {
        let mut instance = kit().instance().expect("an instance");
        let needs = instance.needs(object_type, rule, selection);
        needs.expect("no fault")
    };
    for described in description().object_types {
        let rule = described.default_match.map(|default| MatchingRule {
            object_type: described.name.clone(),
            property: PropertyDefinition {
                name: default.property,
                property_type: "no such type".to_owned(),
                field_type: String::new(),
            },
            identifier: default.identifier,
        });
        needs(&described.name, rule.as_ref(), None).expect("its own way of matching");
        for rule in [
            SelectionRule::Primary,
            SelectionRule::LatestModified,
            SelectionRule::LatestCreated,
            SelectionRule::Largest,
        ] {
            let selection = Selection {
                rule,
                property: (rule == SelectionRule::Largest).then(|| "size".to_owned()),
                prefer_open: false,
            };
            let answer = needs(&described.name, None, Some(&selection));
            assert_eq!(
                answer.is_ok(),
                described.selections.contains(&rule),
                "{rule:?} of {}",
                described.name
            );
        }
    }
    let answer = needs("no such object type", None, None);
    assert!(matches!(answer, Err(RuleError::UnknownObjectType)));
}
