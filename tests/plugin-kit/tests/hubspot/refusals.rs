//! What the HubSpot component refuses, element by element, and what it lets pass.

use plugin_kit::contract::exports::jimo::connect::parse::BodyKind;
use plugin_kit::show;

use crate::hostile::{check, check_kind};
use crate::{kit, settings};

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
        .map(|one| show::outcome(&one.outcome))
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
