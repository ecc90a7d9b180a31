//! Inputs that mean harm, or nothing: each is answered, with a refusal or an error, and none makes the component fault.

use plugin_kit::contract::exports::jimo::connect::parse::{AssociationPair, BodyKind, ParseError};
use plugin_kit::{Instance, Pass};

use crate::{kit, settings};

/// More than a host hands in, by far.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

fn kinds() -> Vec<BodyKind> {
    let pair = AssociationPair {
        from_type: "contacts".to_owned(),
        to_type: "companies".to_owned(),
    };
    let records =
        ["contacts", "companies", "deals"].map(|object| BodyKind::Records(object.to_owned()));
    [
        BodyKind::Delivery,
        BodyKind::JournalFile,
        BodyKind::Associations(pair),
    ]
    .into_iter()
    .chain(records)
    .collect()
}

/// Runs a whole pass of every kind over these bytes: whatever they are, nothing may fault. Says how many elements each
/// kind refused; none where the bytes are not an array.
fn check(bytes: &[u8]) -> Vec<Option<usize>> {
    kinds().iter().map(|kind| check_kind(kind, bytes)).collect()
}

fn check_kind(kind: &BodyKind, bytes: &[u8]) -> Option<usize> {
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
fn elements_of_the_wrong_type_are_refused_one_by_one() {
    let elements = [
        "1", "null", "true", "\"x\"", "[]", "[[]]", "1e999", "-", "{", "tru", "",
    ];
    for element in elements {
        // Unbalanced brackets leave no array to speak of; whatever else is wrong stays with its element.
        if element == "{" {
            continue;
        }
        let bytes = format!("[{element},{element}]");
        assert!(
            check(bytes.as_bytes())
                .iter()
                .all(|refused| *refused == Some(2)),
            "{bytes}"
        );
    }
}

#[test]
fn a_bad_element_never_spoils_its_neighbours() {
    let good = r#"{"subscriptionType":"contact.creation","occurredAt":1,"objectId":1,"type":"object","action":"CREATE","objectTypeId":"0-1","id":"1","from":{"id":"1"}}"#;
    let bad: [&[u8]; 8] = [
        b"null",
        b"{\"subscriptionType\":\"\xff\"}",
        b"{\"subscriptionType\":\"\xed\xa0\x80\",\"objectId\":1}",
        b"{\"a\":\"\0\"}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"subscriptionType\" \"contact.creation\"}",
        b"{\"a\":01}",
    ];
    for bad in bad {
        let bytes = [
            b"[",
            good.as_bytes(),
            b",",
            bad,
            b",",
            good.as_bytes(),
            b"]",
        ]
        .concat();
        let answered = check(&bytes);
        assert!(
            answered.iter().all(|refused| *refused == Some(1)),
            "{}: {answered:?}",
            String::from_utf8_lossy(bad)
        );
    }
}

#[test]
fn nul_is_told_as_it_is_written_and_is_no_value() {
    let body = br#"[{"subscriptionType":"contact.propertyChange","occurredAt":1,"objectId":1,"propertyName":"firstname","propertyValue":"a\u0000b"}]"#;
    let mut instance = kit().instance().expect("an instance");
    let mut pass = instance
        .parse(&BodyKind::Delivery, body)
        .expect("no fault")
        .expect("an array");
    let converted = pass
        .convert(&settings().fields, &settings().tables)
        .expect("no fault");
    let outcomes: Vec<String> = converted
        .iter()
        .map(|one| plugin_kit::show::outcome(&one.outcome))
        .collect();
    assert_eq!(outcomes, ["unreadable: malformed"]);
}

#[test]
fn deep_nesting_is_passed_over_or_refused() {
    for depth in [127, 128, 129, 100_000, 2_000_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_eq!(
            check_kind(&BodyKind::Delivery, format!("[{open}{close}]").as_bytes()),
            Some(1),
            "{depth}"
        );
        let objects = format!("[{}1{}]", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(
            check_kind(&BodyKind::Delivery, objects.as_bytes()),
            Some(1),
            "{depth}"
        );
        let unknown = format!(
            r#"[{{"x":{open}{close},"subscriptionType":"contact.creation","occurredAt":1,"objectId":1,"id":"1","properties":{{"firstname":{open}{close}}}}}]"#
        );
        assert_eq!(
            check_kind(&BodyKind::Delivery, unknown.as_bytes()),
            Some(0),
            "{depth}"
        );
        assert_eq!(
            check_kind(
                &BodyKind::Records("contacts".to_owned()),
                unknown.as_bytes()
            ),
            Some(1),
            "{depth}"
        );
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
    assert_eq!(check_kind(&BodyKind::Delivery, one.as_bytes()), Some(0));
    let event = r#"{"subscriptionType":"contact.creation","occurredAt":1,"objectId":1,"pad":"0123456789012345678901234567890123456789"}"#;
    assert_eq!(check_kind(&BodyKind::Delivery, &fill(event)), Some(0));
    assert_eq!(
        check_kind(&BodyKind::Delivery, "[".repeat(LARGE_BYTES).as_bytes()),
        None
    );
    assert_eq!(check_kind(&BodyKind::Delivery, text.as_bytes()), None);
    let mut not_utf8 = fill(event);
    not_utf8.splice(1..1, *b"\"\xff\",");
    assert_eq!(check_kind(&BodyKind::Delivery, &not_utf8), Some(1));
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
    assert_eq!(
        check_kind(&BodyKind::Delivery, delivery.as_bytes()),
        Some(0)
    );
    let page = format!(
        r#"[{{"id":"1","properties":{{"email":"a","hs_additional_emails":"{many}","hs_merged_object_ids":"{many}"}}}}]"#
    );
    let contacts = BodyKind::Records("contacts".to_owned());
    assert_eq!(check_kind(&contacts, page.as_bytes()), Some(0));
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
