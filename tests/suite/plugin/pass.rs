//! A pass of the embedded component and of one that does as it is told.

use jimo_connect::model::{AccountKey, ChangeKind, KeyKind, Unreadable, Value, VariableType};
use jimo_connect::plugin::{
    BodyKind, Conversion, Converted, EMBEDDED, Interest, Pass, Versions, join, split,
};

use super::{RECEIVED_AT, delivery, engine, field, page, run, run_to};

#[test]
fn a_delivery_gives_changes_with_their_values() {
    let output = delivery(&[
        r#"{"portalId":1,"objectId":2,"property":"city","text":"Lyon"}"#,
        r#"{"portalId":1,"objectId":3}"#,
        r#"{"portalId":1,"objectId":4,"property":"size","text":"7"}"#,
        r#"{"portalId":1,"objectId":5,"property":"unasked","text":"7"}"#,
        r#"{"portalId":1,"objectId":2,"property":"city","text":""}"#,
    ])
    .expect("a pass");
    let elements: Vec<usize> = output.changes.iter().map(|change| change.element).collect();
    assert_eq!(elements, [0, 1, 2, 4]);
    assert_eq!(output.changes[1].kind, ChangeKind::Created);
    let outcomes: Vec<_> = output.converted[0]
        .iter()
        .map(|c| (c.element, c.field, c.outcome.clone()))
        .collect();
    let lyon = Value::Text("Lyon".into());
    assert_eq!(outcomes, [(0, 0, Ok(Some(lyon))), (4, 0, Ok(None))]);
    assert_eq!(output.keys, [vec![]]);
}

#[test]
fn a_page_gives_records_with_their_values_and_keys() {
    let output = page(&[
        r#"{"id":"2","properties":{"city":"Lyon","size":"7"}}"#,
        r#"{"id":"3","properties":{"city":""}}"#,
        r#"{"id":"4","properties":{}}"#,
    ])
    .expect("a pass");
    assert_eq!(output.records.len(), 3);
    assert_eq!(output.records[0].properties.len(), 2);
    let converted: Vec<usize> = output.converted[0].iter().map(|c| c.element).collect();
    assert_eq!(converted, [0, 1]);
    let keys = &output.keys[0];
    assert_eq!(keys.len(), 3);
    assert_eq!(
        (keys[0].keys[0].kind, keys[0].keys[0].text.as_str()),
        (KeyKind::Email, "Lyon")
    );
    assert!(keys[1].keys.is_empty());
}

#[test]
fn what_cannot_be_converted_has_its_reason() {
    let element = r#"{"portalId":1,"objectId":2,"property":"city","text":"Lyon"}"#;
    let output = run_to(BodyKind::JournalFile, &[element], VariableType::Number).expect("a pass");
    assert_eq!(output.converted[0][0].outcome, Err(Unreadable::Malformed));
}

#[test]
fn the_same_pass_gives_the_same_output() {
    let elements: Vec<String> = (0..200)
        .map(|id| format!(r#"{{"id":"{id}","properties":{{"city":"c{id}","size":"{id}"}}}}"#))
        .collect();
    let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
    let kind = BodyKind::Records("contacts".into());
    let first = run(kind.clone(), &elements).expect("a pass");
    for _ in 0..10 {
        assert_eq!(run(kind.clone(), &elements).expect("a pass"), first);
    }
}

#[test]
fn no_elements_give_nothing() {
    let output = delivery(&[]).expect("a pass");
    assert!(output.changes.is_empty() && output.refusals.is_empty());
}

/// Documented at <https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide>.
const HUBSPOTS: &str = r#"[
    {"eventId":1,"portalId":62515,"objectId":123,"subscriptionType":"contact.propertyChange",
     "occurredAt":1767323044000,"propertyName":"city","propertyValue":"Lyon","changeSource":"CRM"},
    {"eventId":2,"portalId":62516,"objectId":123,"subscriptionType":"contact.propertyChange",
     "occurredAt":1767323044000,"propertyName":"city","propertyValue":"Nice","changeSource":"CRM"},
    {"eventId":3,"portalId":62515,"objectId":124,"subscriptionType":"contact.creation",
     "occurredAt":1767323044000,"changeSource":"IMPORT"},
    {"eventId":4,"portalId":62515,"objectId":125,"subscriptionType":"contact.propertyChange",
     "propertyName":"city"}]"#;

#[test]
fn a_delivery_of_hubspots_for_two_accounts_is_two_passes() {
    let plugin = engine()
        .load(EMBEDDED)
        .expect("the component built with the host");
    let body = HUBSPOTS.as_bytes();
    let elements = split(body, &plugin.description().delivery).expect("elements");
    let records: Vec<&str> = elements.iter().map(|e| e.records[0].as_str()).collect();
    assert_eq!(records, ["123", "123", "124", "125"]);
    let of = |account: &str| {
        let account = AccountKey::from(account);
        let theirs: Vec<&[u8]> = elements
            .iter()
            .filter(|e| e.account.as_ref() == Some(&account))
            .map(|e| e.bytes)
            .collect();
        let pass = Pass {
            body: BodyKind::Delivery,
            elements: &join(theirs.iter().copied()),
            element_count: theirs.len(),
            received_at: RECEIVED_AT,
            interests: &[Interest {
                object_type: "contacts".into(),
                properties: vec!["city".into()],
            }],
            conversions: &[
                Conversion {
                    fields: vec![field("city", VariableType::Text)],
                    tables: vec![],
                },
                Conversion::default(),
                Conversion {
                    fields: vec![
                        field("city", VariableType::Number),
                        field("city", VariableType::Text),
                    ],
                    tables: vec![],
                },
            ],
            rules: &[],
        };
        plugin.run(&pass).expect("a pass")
    };
    let (one, other) = (of("62515"), of("62516"));
    let lyon = Converted {
        element: 0,
        field: 0,
        outcome: Ok(Some(Value::Text("Lyon".into()))),
    };
    let nice = Converted {
        outcome: Ok(Some(Value::Text("Nice".into()))),
        ..lyon.clone()
    };
    assert_eq!(one.changes.len(), 2);
    assert_eq!((one.refusals.len(), one.refusals[0].element), (1, 2));
    assert_eq!(one.converted[0], [lyon]);
    assert_eq!(other.changes.len(), 1);
    assert_eq!(other.converted[0][0], nice);
    assert_eq!(other.converted[1], []);
    let malformed = Converted {
        outcome: Err(Unreadable::Malformed),
        ..nice.clone()
    };
    assert_eq!(
        other.converted[2],
        [malformed, Converted { field: 1, ..nice }]
    );
}

#[test]
fn a_pass_ends_on_the_version_that_it_began_with() {
    let component = harness::components::misbehaving();
    let versions = Versions::built_in(engine().load(component).expect("a version"));
    let held = versions.active();
    let next = std::sync::Arc::new(engine().load(EMBEDDED).expect("a version"));
    let before = versions.activate(next);
    assert_eq!(before.digest(), held.digest());
    assert_eq!(versions.active().description().connector, "hubspot");
    assert_eq!(held.description().connector, "misbehaving");
    assert!(held.suitable(&[]).expect("an answer").is_empty());
}
