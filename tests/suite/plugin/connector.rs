//! A connector that is not HubSpot's, written against the contract alone: a source
//! that only pushes, whose deliveries are whole records.

use harness::components;
use jimo_connect::model::{
    ChangeKind, KeyKind, MatchKey, MatchingRule, ObjectType, PropertyDefinition, Shown,
    UserIdentifier, Value, VariableType,
};
use jimo_connect::plugin::{
    BodyKind, Conversion, ConversionField, Interest, Pass, PassOutput, Version, conforms, join,
    split,
};

use super::{RECEIVED_AT, engine};

/// A delivery of two accounts, with a record of each type and one of none.
const DELIVERY: &str = include_str!("../../webhook-connector/fixtures/deliveries/records.json");

fn property(name: &str, property_type: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.into(),
        property_type: property_type.into(),
        field_type: String::new(),
    }
}

fn field(of: &str, name: &str, property_type: &str, target: VariableType) -> ConversionField {
    ConversionField {
        object_type: of.into(),
        property: property(name, property_type),
        target,
        show: Shown::InternalValue,
        options: None,
    }
}

/// What it makes of one account's part of the delivery, handed in as this kind.
pub(super) fn pass(version: &Version, account: &str, body: BodyKind) -> PassOutput {
    let elements = split(DELIVERY.as_bytes(), &version.description().delivery).expect("elements");
    let of_account = elements
        .iter()
        .filter(|element| element.account == Some(account.into()));
    let elements: Vec<&[u8]> = of_account.map(|element| element.bytes).collect();
    let interests = [
        ("people", ["email", "seats"]),
        ("workspaces", ["owner_id", "seats"]),
    ]
    .map(|(object_type, properties)| Interest {
        object_type: object_type.into(),
        properties: properties.map(Into::into).to_vec(),
    });
    let rules = version.description().object_types.iter().map(|described| {
        let default = described.default_match.clone().expect("a default");
        let rule = MatchingRule {
            property: property(default.property.as_str(), "text"),
            identifier: default.identifier,
        };
        (described.name.clone(), rule)
    });
    let conversion = Conversion {
        fields: vec![
            field("people", "email", "text", VariableType::Text),
            field("people", "seats", "number", VariableType::Number),
            field("workspaces", "seats", "number", VariableType::Number),
        ],
        tables: vec![],
    };
    let pass = Pass {
        body,
        elements: &join(elements.iter().copied()),
        element_count: elements.len(),
        received_at: RECEIVED_AT,
        interests: &interests,
        conversions: &[conversion],
        rules: &rules.collect::<Vec<_>>(),
    };
    version.run(&pass).expect("no fault")
}

fn webhook() -> Version {
    engine().load(components::webhook()).expect("a version")
}

#[test]
fn a_connector_of_another_source_passes_what_every_connector_passes() {
    let version = webhook();
    conforms(&version).expect("all cases");
    let description = version.description();
    assert_eq!(description.connector, "webhook");
    assert_eq!(description.records_page, None, "it only pushes");
    let workspaces = description.object_type(&"workspaces".into());
    let default = workspaces.and_then(|described| described.default_match.clone());
    let identifier = default.expect("a default").identifier;
    assert_eq!(identifier, UserIdentifier::ExternalId);
}

#[test]
fn a_delivery_of_whole_records_tells_changes_of_what_is_of_interest() {
    let output = pass(&webhook(), "acme", BodyKind::Delivery);
    let told: Vec<(usize, &str, &str)> = output
        .changes
        .iter()
        .map(|change| match &change.kind {
            ChangeKind::PropertyChanged(text) => {
                (change.element, change.object_type.as_str(), &*text.text)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (0, "people", "ana@example.com"),
        (0, "people", "3"),
        (1, "people", " Bo@Example.com "),
        (1, "people", ""),
        (2, "workspaces", "17"),
        (2, "workspaces", "40"),
    ];
    assert_eq!(told, expected);
    let values = output.converted[0].iter();
    let values: Vec<_> = values.map(|one| one.outcome.clone()).collect();
    assert_eq!(values[1], Ok(Some(Value::Number(3.0))));
    assert_eq!(values[3], Ok(None));
}

#[test]
fn the_same_elements_are_a_page_of_records_of_each_type() {
    let records = |of: &str| pass(&webhook(), "acme", BodyKind::Records(of.into()));
    let (people, workspaces) = (records("people"), records("workspaces"));
    let elements = |output: &PassOutput| -> Vec<usize> {
        output.records.iter().map(|record| record.element).collect()
    };
    assert_eq!(elements(&people), [0, 1]);
    assert_eq!(elements(&workspaces), [2]);
    // What is of neither type is nobody's, and no fault of anybody's.
    assert_eq!((people.refusals, workspaces.refusals), (vec![], vec![]));
    let key = |kind, text: &str| MatchKey {
        kind,
        text: text.into(),
        rank: 0,
    };
    assert_eq!(
        people.keys[0][0].keys,
        [key(KeyKind::Email, "ana@example.com")]
    );
    assert_eq!(people.keys[1], []);
    assert_eq!(workspaces.keys[1][0].keys, [key(KeyKind::Id, "17")]);
    assert!(records("people").converted[0].len() == 4);
    let none = webhook().needs(&ObjectType::from("invoices"), None, None);
    assert!(none.expect("no fault").is_err());
}
