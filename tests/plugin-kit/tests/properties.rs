//! What holds for whatever comes in: no fault, and answers that a host can trust.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use plugin_kit::body::cut;
use plugin_kit::contract::exports::jimo::connect::parse::{BodyKind, ChangeKind};
use plugin_kit::contract::exports::jimo::connect::transform::{FieldMapping, Shown, StoredText};
use plugin_kit::contract::jimo::connect::types::{PropertyDefinition, Value, VariableType};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::{description, fixtures, kinds, kit, settings};

const TYPES: [VariableType; 6] = [
    VariableType::Text,
    VariableType::Number,
    VariableType::Boolean,
    VariableType::Date,
    VariableType::Datetime,
    VariableType::List,
];
pub(crate) const FIRST_MS: i64 = -62_135_596_800_000;
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

/// What recorded bodies are made of.
struct Vocabulary {
    /// Names of fields.
    keys: Vec<String>,
    /// Texts and numbers, as JSON.
    leaves: Vec<String>,
    /// Whole bodies' elements.
    recorded: Vec<String>,
}

fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let (mut keys, mut leaves) = (BTreeSet::new(), BTreeSet::new());
        let (mut recorded, description) = (Vec::new(), description());
        for fixture in fixtures() {
            if let Ok(json) = serde_json::from_slice(&fixture.body) {
                harvest(&json, &mut keys, &mut leaves);
            }
            if let (BodyKind::Delivery, Ok(accounts)) =
                (fixture.kind, cut(&fixture.body, &description.delivery))
            {
                let elements = accounts.into_values().map(|elements| elements.json);
                recorded.extend(elements.filter_map(|json| String::from_utf8(json).ok()));
            }
        }
        for described in &description.object_types {
            leaves.insert(Json::from(described.name.as_str()).to_string());
        }
        for field in &settings().fields {
            leaves.insert(Json::from(field.property.name.as_str()).to_string());
        }
        Vocabulary {
            keys: keys.into_iter().collect(),
            leaves: leaves.into_iter().collect(),
            recorded,
        }
    })
}

fn harvest(json: &Json, keys: &mut BTreeSet<String>, leaves: &mut BTreeSet<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| harvest(item, keys, leaves)),
        Json::Object(fields) => {
            for (key, value) in fields {
                keys.insert(key.clone());
                harvest(value, keys, leaves);
            }
        }
        leaf => {
            leaves.insert(leaf.to_string());
        }
    }
}

/// JSON that is near enough to what was recorded to be read, and far enough to be refused.
fn json() -> impl Strategy<Value = String> {
    let words = vocabulary();
    let key = prop::sample::select(&words.keys[..]);
    let leaf = prop_oneof![
        6 => prop::sample::select(&words.leaves[..]),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:e}")),
        1 => any::<String>().prop_map(|text| Json::from(text).to_string()),
        1 => any::<bool>().prop_map(|flag| flag.to_string()),
    ];
    let value = leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            3 => prop::collection::vec((key.clone(), inner.clone()), 0..8).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{}:{value}", Json::from(key.as_str()))).collect();
                format!("{{{}}}", fields.join(","))
            }),
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    let grown =
        prop::collection::vec(value, 0..6).prop_map(|elements| format!("[{}]", elements.join(",")));
    prop_oneof![3 => grown, 1 => prop::sample::select(&words.recorded[..])]
}

fn kind() -> impl Strategy<Value = BodyKind> {
    prop::sample::select(kinds())
}

/// Checks everything that the contract promises of a pass over these bytes.
fn check(kind: &BodyKind, bytes: &[u8]) {
    let mut instance = kit().instance().expect("an instance");
    let Ok(mut pass) = instance.parse(kind, bytes).expect("parsing does not fault") else {
        return;
    };
    let elements =
        serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(bytes).map(|all| all.len() as u32);
    let given = |element: u32| {
        assert!(elements.as_ref().is_ok_and(|all| element < *all) || elements.is_err())
    };
    let refusals = pass.refusals().expect("no fault");
    assert!(
        refusals.is_sorted_by(|one, next| one.element < next.element),
        "each refused element once"
    );
    refusals.iter().for_each(|refusal| given(refusal.element));
    let refused = |element: u32| refusals.iter().any(|refusal| refusal.element == element);

    let interests = settings().interests();
    let changes = pass.changes(&interests).expect("no fault");
    assert!(
        changes.is_sorted_by_key(|change| change.element),
        "in the order of elements"
    );
    for change in &changes {
        given(change.element);
        assert!((FIRST_MS..=LAST_MS).contains(&change.occurred_at));
        let interest = interests
            .iter()
            .find(|interest| interest.object_type == change.object_type);
        let interest = interest.expect("only of types of interest");
        if let ChangeKind::PropertyChanged(property) = &change.kind {
            assert!((property.property as usize) < interest.properties.len());
        }
        if let ChangeKind::Merged(merge) = &change.kind {
            assert!(!merge.merged.contains(&merge.survivor));
        }
    }
    let names = interests.first().expect("an interest").properties.clone();
    let records = pass.records(&names).expect("no fault");
    assert!(records.is_sorted_by(|one, next| one.element < next.element));
    for record in &records {
        given(record.element);
        assert!(!refused(record.element), "a record is told or refused");
        assert!(
            record
                .properties
                .is_sorted_by(|one, next| one.property < next.property),
            "each property once"
        );
    }
    for set in pass.associations().expect("no fault") {
        given(set.element);
        assert!(
            set.associations
                .is_sorted_by(|one, next| one.to_record < next.to_record),
            "each record once"
        );
    }
    for keys in settings()
        .rules
        .iter()
        .flat_map(|rule| pass.match_keys(rule).expect("no fault"))
    {
        assert!(keys.keys.iter().all(|key| !key.text.is_empty()));
        assert!(keys.keys.is_sorted_by_key(|key| key.rank));
    }
    for converted in pass
        .convert(&settings().fields, &settings().tables)
        .expect("no fault")
    {
        let field = settings()
            .fields
            .get(converted.field as usize)
            .expect("a field that was given");
        if let Ok(value) = converted.outcome {
            check_value(field.target, &value);
        }
    }
}

/// Checks that a value is one that a variable of this type can hold.
fn check_value(target: VariableType, value: &Value) {
    let fits = |texts: &[String]| {
        texts.iter().map(|text| text.chars().count()).sum::<usize>() <= 700
            && texts
                .iter()
                .all(|text| !text.is_empty() && !text.contains('\0'))
    };
    match (target, value) {
        (_, Value::Empty) | (VariableType::Boolean, Value::Boolean(_)) => {}
        (VariableType::Text, Value::Text(text)) => assert!(fits(std::slice::from_ref(text))),
        (VariableType::Number, Value::Number(number)) => assert!(number.is_finite()),
        (VariableType::Date, Value::Date(day)) => assert!((-719_162..=2_932_896).contains(day)),
        (VariableType::Datetime, Value::Datetime(ms)) => assert!((FIRST_MS..=LAST_MS).contains(ms)),
        (VariableType::List, Value::List(items)) => assert!(!items.is_empty() && fits(items)),
        _ => panic!("{value:?} is no value of {target:?}"),
    }
}

pub(crate) fn convert(
    property_type: &str,
    field_type: &str,
    target: VariableType,
    text: &str,
) -> Option<Value> {
    let property = PropertyDefinition {
        name: "p".to_owned(),
        property_type: property_type.to_owned(),
        field_type: field_type.to_owned(),
    };
    let field = FieldMapping {
        object_type: description().object_types[0].name.clone(),
        property,
        target,
        show: Shown::InternalValue,
        options: None,
    };
    let texts = [StoredText {
        field: 0,
        text: text.to_owned(),
    }];
    let mut instance = kit().instance().expect("an instance");
    let mut outcomes = instance
        .convert_stored(&texts, &[field], &[])
        .expect("no fault");
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).ok()
}

/// Texts around what the readers look for.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,25}[.]?[0-9]{0,10}([eE][-+]?[0-9]{1,4})?",
        "[-+]?[0-9]{4,5}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{0,9})?)?(Z|[-+][0-9]{2}:?[0-9]{2})?)?",
        "[a-c;\u{0}]{0,12}",
        "(true|FALSE|REDACTED)",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(kind in kind(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&kind, &bytes);
    }

    #[test]
    fn anything_like_a_body_is_answered_as_the_contract_says(kind in kind(), json in json()) {
        check(&kind, json.as_bytes());
    }

    #[test]
    fn a_body_with_one_byte_changed_is_answered(kind in kind(), json in json(), at: prop::sample::Index, byte: u8) {
        let mut bytes = json.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        check(&kind, &bytes);
    }

    #[test]
    fn any_text_becomes_a_value_that_fits_or_a_reason(
        text in text(),
        target in prop::sample::select(&TYPES[..]),
        property_type in prop::sample::select(&["string", "number", "bool", "boolean", "date", "datetime", "enumeration", "list", "json", "?"][..]),
        field_type in prop::sample::select(&["text", "checkbox", "booleancheckbox", "select", ""][..]),
    ) {
        if let Some(value) = convert(property_type, field_type, target, &text) {
            check_value(target, &value);
        }
    }
}
