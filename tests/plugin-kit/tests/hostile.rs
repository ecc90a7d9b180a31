//! Inputs that mean harm, or nothing: each is answered, and none makes a component fault. They look like HubSpot's, but
//! hold for any connector; what the HubSpot component says of them is in `refusals`.

use plugin_kit::contract::exports::jimo::connect::parse::{BodyKind, ParseError};
use plugin_kit::{Instance, Pass};

use crate::{kinds, kit, settings};

/// More than a host hands in, by far.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

/// Runs a whole pass of every kind over these bytes: whatever they are, nothing may fault. Says how many elements each
/// kind refused; none where the bytes are not an array.
pub(crate) fn check(bytes: &[u8]) -> Vec<Option<usize>> {
    kinds().iter().map(|kind| check_kind(kind, bytes)).collect()
}

pub(crate) fn check_kind(kind: &BodyKind, bytes: &[u8]) -> Option<usize> {
    let mut instance: Instance = kit().instance().expect("an instance");
    match instance.parse(kind, bytes).expect("parsing does not fault") {
        Ok(mut pass) => Some(ask_everything(&mut pass)),
        Err(ParseError::NotAnArray(_)) => None,
        Err(ParseError::UnsupportedKind) => panic!("{kind:?} is supported"),
    }
}

fn ask_everything(pass: &mut Pass<'_>) -> usize {
    let names: Vec<String> = settings()
        .fields
        .iter()
        .map(|field| field.property.name.clone())
        .collect();
    pass.changes(&settings().interests()).expect("no fault");
    pass.records(&names).expect("no fault");
    pass.associations().expect("no fault");
    for rule in &settings().rules {
        pass.match_keys(rule).expect("no fault");
    }
    pass.convert(&settings().fields, &settings().tables)
        .expect("no fault");
    pass.refusals().expect("no fault").len()
}

#[test]
fn what_is_not_an_array_is_one_error() {
    for bytes in [
        "",
        " ",
        "{}",
        "null",
        "7",
        "\"[]\"",
        "[",
        "[1",
        "[{\"a\":",
        "[[]",
        "]",
        "[]]",
        "[] x",
        "<html>",
        "[}",
        "\u{feff}[]",
    ] {
        assert!(
            check(bytes.as_bytes()).iter().all(Option::is_none),
            "{bytes:?}"
        );
    }
    assert!(check(b"\xff\xfe[\0]\0").iter().all(Option::is_none));
}

#[test]
fn an_empty_array_is_nothing() {
    for bytes in ["[]", " [ ] \n"] {
        assert!(
            check(bytes.as_bytes())
                .iter()
                .all(|refused| *refused == Some(0)),
            "{bytes:?}"
        );
    }
}

#[test]
fn elements_of_any_type_are_answered() {
    for element in [
        "1", "null", "true", "\"x\"", "[]", "[[]]", "{}", "1e999", "-", "tru", "",
    ] {
        check(format!("[{element},{element}]").as_bytes());
    }
}

#[test]
fn deep_nesting_is_answered() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"properties":"#, "}")] {
        let nested = format!("{}1{}", open.repeat(2_000_000), close.repeat(2_000_000));
        check(format!("[{nested}]").as_bytes());
        check(format!(r#"[{{"id":"1","properties":{nested}}}]"#).as_bytes());
        check(nested.as_bytes());
    }
}

#[test]
fn thirty_two_megabytes_are_answered() {
    let fill = |unit: &str| {
        let mut bytes = b"[".to_vec();
        while bytes.len() < LARGE_BYTES {
            bytes.extend_from_slice(unit.as_bytes());
            bytes.push(b',');
        }
        bytes.extend_from_slice(unit.as_bytes());
        bytes.push(b']');
        bytes
    };
    let text = "x".repeat(LARGE_BYTES);
    let one = format!(
        r#"[{{"subscriptionType":"contact.propertyChange","occurredAt":1,"objectId":1,"propertyName":"firstname","propertyValue":"{text}"}}]"#
    );
    assert!(check_kind(&BodyKind::Delivery, one.as_bytes()).is_some());
    let event = r#"{"subscriptionType":"contact.creation","occurredAt":1,"objectId":1,"pad":"0123456789012345678901234567890123456789"}"#;
    assert!(check_kind(&BodyKind::Delivery, &fill(event)).is_some());
    assert_eq!(
        check_kind(&BodyKind::Delivery, "[".repeat(LARGE_BYTES).as_bytes()),
        None
    );
    assert_eq!(check_kind(&BodyKind::Delivery, text.as_bytes()), None);
    let mut not_utf8 = fill(event);
    not_utf8.splice(1..1, *b"\"\xff\",");
    check_kind(&BodyKind::Delivery, &not_utf8);
}

#[test]
fn values_of_very_many_items_are_answered_in_time() {
    let items: Vec<String> = (0..400_000).map(|item| format!("{item:x}")).collect();
    let (many, ids) = (items.join(";"), items.join("\",\""));
    let change = |name: &str| {
        format!(
            r#"{{"subscriptionType":"contact.propertyChange","occurredAt":1,"objectId":1,"propertyName":"{name}","propertyValue":"{many}"}}"#
        )
    };
    let merge = format!(
        r#"{{"subscriptionType":"contact.merge","occurredAt":1,"objectId":1,"mergedObjectIds":["{ids}"]}}"#
    );
    let delivery = format!(
        "[{},{},{merge}]",
        change("favourite_colours"),
        change("age")
    );
    assert!(check_kind(&BodyKind::Delivery, delivery.as_bytes()).is_some());
    let page = format!(
        r#"[{{"id":"1","properties":{{"email":"a","hs_additional_emails":"{many}","hs_merged_object_ids":"{many}"}}}}]"#
    );
    check(page.as_bytes());
}

#[test]
fn a_cap_on_memory_ends_a_call_and_nothing_else() {
    let mut small = kit().instance_with(4 * 1024 * 1024).expect("an instance");
    assert!(
        small
            .parse(&BodyKind::Delivery, &vec![b' '; LARGE_BYTES])
            .is_err(),
        "it does not fit"
    );
    assert_eq!(
        check_kind(&BodyKind::Delivery, b"[]"),
        Some(0),
        "other instances go on"
    );
}
