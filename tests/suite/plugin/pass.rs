//! A pass of the embedded component and of one that does as it is told.

use jimo_connect::model::{ChangeKind, KeyKind, Unreadable, Value, VariableType};
use jimo_connect::plugin::{BodyKind, EMBEDDED, Versions};

use super::{delivery, engine, page, run, run_to};

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

#[test]
fn a_pass_ends_on_the_version_that_it_began_with() {
    let component = harness::components::misbehaving();
    let versions = Versions::new(engine().load(component).expect("a version"));
    let held = versions.active();
    let next = std::sync::Arc::new(engine().load(EMBEDDED).expect("a version"));
    let before = versions.activate(next);
    assert_eq!(before.digest(), held.digest());
    assert_eq!(versions.active().description().connector, "hubspot");
    assert_eq!(held.description().connector, "misbehaving");
    assert!(held.suitable(&[]).expect("an answer").is_empty());
}
