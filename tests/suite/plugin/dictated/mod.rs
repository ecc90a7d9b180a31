//! The boundary under arbitrary answers: a component that answers whatever its
//! input dictates. The host never panics, and lets out nothing of an element,
//! property, field, record or key that was not handed in.

mod alone;

use jimo_connect::model::{
    ChangeKind, MatchingRule, RecordId, Timestamp, UserIdentifier, Value, VariableType,
};
use jimo_connect::plugin::{BodyKind, Conversion, Fault, Interest, Pass, PassOutput, join};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{RECEIVED_AT, definition, field, limits, misbehaving};

/// Elements of a pass, and properties that are asked about.
const ELEMENTS: usize = 3;
const PROPERTIES: [&str; 2] = ["city", "size"];
const TARGETS: [VariableType; 3] = [VariableType::Text, VariableType::Number, VariableType::List];

/// What may happen to a record; what the component tells most is last.
const KINDS: [&str; 7] = [
    "created",
    "deleted",
    "erased",
    "merged",
    "associated",
    "property",
    "property",
];

/// The years 1 to 9999.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// An index: mostly of something that is there.
fn index() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0..3u32, 2 => 3..6u32, 1 => any::<u32>()]
}

fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..RECEIVED_AT.0 * 2,
        1 => any::<i64>(),
    ]
}

/// Ids and keys: some stand in elements.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&["10", "11", "12", "ana@example.com", "a b"][..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn object_type() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just("contacts".to_owned()),
        1 => Just("companies".to_owned()),
        1 => any::<String>(),
    ]
}

fn several<T: std::fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(one, 0..4)
}

fn property() -> impl Strategy<Value = Json> {
    (index(), any::<String>())
        .prop_map(|(property, text)| json!({"property": property, "text": text}))
}

fn change() -> impl Strategy<Value = Json> {
    let kind = prop::sample::select(&KINDS[..]);
    (
        index(),
        object_type(),
        moment(),
        kind,
        property(),
        id(),
        several(id()),
    )
        .prop_map(|(element, of, at, kind, property, id, ids)| {
            json!({
                "element": element, "type": of, "at": at, "kind": kind,
                "property": property["property"], "text": property["text"],
                "survivor": id, "merged": ids, "to_type": of, "to": id,
            })
        })
}

fn record() -> impl Strategy<Value = Json> {
    (
        index(),
        moment(),
        moment(),
        several(id()),
        several(property()),
    )
        .prop_map(|(element, created, at, merged, properties)| {
            json!({
                "element": element, "created": created, "at": at, "merged": merged,
                "properties": properties,
            })
        })
}

fn associations() -> impl Strategy<Value = Json> {
    let to = (id(), several(any::<String>()))
        .prop_map(|(record, labels)| json!({"record": record, "labels": labels}));
    (index(), several(to)).prop_map(|(element, to)| json!({"element": element, "to": to}))
}

/// What a text is said to be.
fn value() -> impl Strategy<Value = Json> {
    let word = || {
        prop_oneof![
            any::<String>(),
            Just(String::new()),
            Just("a\0b".to_owned())
        ]
    };
    prop_oneof![
        word().prop_map(|text| json!({"as": "text", "value": text})),
        (0..2_000usize).prop_map(|length| json!({"as": "text", "value": "é".repeat(length)})),
        any::<i64>().prop_map(|bits| json!({"as": "number", "value": bits})),
        any::<f64>()
            .prop_map(|number| json!({"as": "number", "value": number.to_bits().cast_signed()})),
        (-4_000_000..4_000_000i64).prop_map(|days| json!({"as": "date", "value": days})),
        moment().prop_map(|moment| json!({"as": "datetime", "value": moment})),
        several(word()).prop_map(|items| json!({"as": "list", "value": items})),
        Just(json!({"as": "boolean"})),
        Just(json!({"as": "empty"})),
        Just(json!({})),
    ]
}

fn converted() -> impl Strategy<Value = Json> {
    (index(), index(), value()).prop_map(|(element, field, mut said)| {
        said["element"] = element.into();
        said["field"] = field.into();
        said
    })
}

fn keys() -> impl Strategy<Value = Json> {
    let key = (0..3u32, id(), index())
        .prop_map(|(kind, text, rank)| json!({"kind": kind, "text": text, "rank": rank}));
    (index(), several(key)).prop_map(|(element, keys)| json!({"element": element, "keys": keys}))
}

/// Asserts that a variable of the type holds a value.
fn holds_value(value: &Value, target: VariableType) {
    let is_text = |text: &str| !text.is_empty() && !text.contains('\0');
    assert_eq!(value.variable_type(), target);
    match value {
        Value::Text(text) => {
            assert!(is_text(text) && text.chars().count() <= 700, "{text:?}");
        }
        Value::List(items) => {
            let characters = items.iter().map(|item| item.chars().count());
            assert!(!items.is_empty() && characters.sum::<usize>() <= 700);
            assert!(items.iter().all(|item| is_text(item)), "{items:?}");
        }
        Value::Number(number) => assert!(number.is_finite()),
        Value::Date(date) => assert!((1..=9999).contains(&date.year())),
        Value::Datetime(moment) => assert!(MOMENTS.contains(&moment.0)),
        Value::Boolean(_) => {}
    }
}

/// An answer to everything that a pass asks. Half of them are in order, which what
/// is drawn would seldom be.
fn answer() -> impl Strategy<Value = Json> {
    let refusal = (index(), any::<String>())
        .prop_map(|(element, reason)| json!({"element": element, "reason": reason}));
    let lists = (
        prop::collection::vec(refusal, 0..2),
        several(change()),
        several(record()),
        several(associations()),
        several(converted()),
        several(keys()),
        any::<bool>(),
    );
    lists.prop_map(|(refusals, changes, records, associations, converted, keys, sorts)| {
        let list = |mut list: Vec<Json>| {
            if sorts {
                list.sort_by_key(|one| one["element"].as_u64());
            }
            list
        };
        json!({
            "refusals": list(refusals), "changes": list(changes), "records": list(records),
            "associations": list(associations), "converted": list(converted), "keys": list(keys),
        })
    })
}

/// Has the component answer this, and checks what the host lets out.
fn check(body: BodyKind, said: &Json) -> Result<PassOutput, Fault> {
    let elements = [
        json!({"say": said}),
        json!({"id": "10", "email": "ana@example.com"}),
        json!({"id": "11", "merged": ["10", "a b"]}),
    ]
    .map(|element| element.to_string());
    let rule = MatchingRule {
        property: definition("email"),
        identifier: UserIdentifier::Email,
    };
    let fields = TARGETS.map(|target| field("city", target));
    let output = misbehaving().run(&Pass {
        body,
        elements: &join(elements.iter().map(String::as_bytes)),
        element_count: ELEMENTS,
        received_at: RECEIVED_AT,
        interests: &[Interest {
            object_type: "contacts".into(),
            properties: PROPERTIES.map(Into::into).to_vec(),
        }],
        conversions: &[Conversion {
            fields: fields.to_vec(),
            tables: vec![],
        }],
        rules: &[("contacts".into(), rule)],
    });
    let output = match output {
        Ok(output) => output,
        Err(fault) => {
            assert!(matches!(fault, Fault::Output(_)), "{fault}");
            return Err(fault);
        }
    };
    let is_given = |element: usize| {
        assert!(element < ELEMENTS);
        let refused = output.refusals.iter();
        refused.filter(|refusal| refusal.element == element).count() == 0
    };
    let is_told = |element: usize, at: Option<Timestamp>| {
        assert!(is_given(element), "refused and told");
        let latest = RECEIVED_AT.plus(limits().clock_skew_max);
        assert!(at.is_none_or(|at| MOMENTS.contains(&at.0) && at <= latest));
    };
    // What is dictated stands in the element that dictates it.
    let holds = |element: usize, text: &str| element == 0 || elements[element].contains(text);
    let is_named = |element: usize, id: &RecordId| assert!(holds(element, id.as_str()), "{id}");
    for refusal in &output.refusals {
        assert!(!is_given(refusal.element));
        assert!(refusal.reason.chars().count() <= 201);
        assert!(!refusal.reason.contains(char::is_control));
    }
    for change in &output.changes {
        is_told(change.element, Some(change.occurred_at));
        assert_eq!(change.object_type.as_str(), "contacts");
        match &change.kind {
            ChangeKind::PropertyChanged(text) => assert!(text.property < PROPERTIES.len()),
            ChangeKind::Merged(merge) => {
                is_named(change.element, &merge.survivor);
                let merged = merge.merged.iter();
                merged.for_each(|id| is_named(change.element, id));
            }
            ChangeKind::AssociationChanged(to) => is_named(change.element, &to.to_record),
            _ => {}
        }
    }
    for record in &output.records {
        is_told(record.element, record.created_at.max(record.modified_at));
        let merged = record.merged.iter();
        merged.for_each(|id| is_named(record.element, id));
        let mut properties: Vec<_> = record.properties.iter().map(|text| text.property).collect();
        properties.sort_unstable();
        assert!(
            properties
                .iter()
                .all(|property| *property < PROPERTIES.len())
        );
        assert!(properties.is_sorted_by(|one, next| one < next), "each once");
    }
    for set in &output.associations {
        is_told(set.element, None);
        let to = set.associations.iter();
        to.for_each(|one| is_named(set.element, &one.to_record));
    }
    for record in output.keys.iter().flatten() {
        is_told(record.element, None);
        for key in &record.keys {
            assert!(!key.text.is_empty());
            assert!(holds(record.element, &key.text), "{key:?}");
        }
    }
    // One outcome for each text and field, of the field's type.
    let texts = output
        .changes
        .iter()
        .filter_map(|change| match &change.kind {
            ChangeKind::PropertyChanged(text) => Some(text.property),
            _ => None,
        });
    let records = output.records.iter().flat_map(|record| &record.properties);
    let texts = texts.chain(records.map(|text| text.property));
    let cities = texts.filter(|property| *property == 0).count();
    assert_eq!(output.converted[0].len(), cities * TARGETS.len());
    for converted in &output.converted[0] {
        assert!(is_given(converted.element));
        let target = TARGETS[converted.field];
        if let Ok(Some(value)) = &converted.outcome {
            holds_value(value, target);
        }
    }
    Ok(output)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_let_out_of_a_delivery_that_was_not_handed_in(said in answer()) {
        let _ = check(BodyKind::Delivery, &said);
    }

    #[test]
    fn nothing_is_let_out_of_a_journal_file_that_was_not_handed_in(said in answer()) {
        let _ = check(BodyKind::JournalFile, &said);
    }

    #[test]
    fn nothing_is_let_out_of_a_page_of_records_that_was_not_handed_in(said in answer()) {
        let _ = check(BodyKind::Records("contacts".into()), &said);
    }

    #[test]
    fn nothing_is_let_out_of_a_page_of_associations_that_was_not_handed_in(said in answer()) {
        let body = BodyKind::Associations { from: "contacts".into(), to: "companies".into() };
        let _ = check(body, &said);
    }
}

#[test]
fn an_answer_that_keeps_the_contract_is_let_out() {
    let outcome =
        |element: u32, field: u32| json!({"element": element, "field": field, "as": "empty"});
    let said = json!({
        "refusals": [{"element": 0, "reason": "no"}],
        "changes": [
            {"element": 1, "type": "contacts", "kind": "property", "property": 0, "text": "Lyon"},
            {"element": 2, "type": "contacts", "kind": "merged", "survivor": "11", "merged": ["a b"]},
        ],
        "records": [{"element": 1, "properties": [{"property": 0, "text": "Lyon"}]}],
        "converted": [outcome(1, 2), outcome(1, 0), outcome(1, 1)],
        "associations": [{"element": 2, "to": [{"record": "10", "labels": []}]}],
        "keys": [{"element": 1, "keys": [{"kind": 0, "text": "ana@example.com", "rank": 0}]}],
    });
    let delivery = check(BodyKind::Delivery, &said).expect("a pass");
    assert_eq!((delivery.changes.len(), delivery.refusals.len()), (2, 1));
    let page = check(BodyKind::Records("contacts".into()), &said).expect("a pass");
    assert_eq!((page.records.len(), page.keys[0].len()), (1, 1));
}
