//! What a plugin says is a claim: an answer that the contract does not allow
//! ends the pass, whatever it claims.

use jimo_connect::model::{ChangeKind, Timestamp, Unreadable, Value, VariableType};
use jimo_connect::plugin::{
    BodyKind, Conversion, Fault, Nonsense, RuleError, StoredText, SuitableTypes,
};

use super::{
    RECEIVED_AT, associations, definition, delivery, field, limits, misbehaving, page, run_to,
};

fn nonsense<T: std::fmt::Debug>(answer: Result<T, Fault>) -> Nonsense {
    match answer.expect_err("a fault") {
        Fault::Output(nonsense) => nonsense,
        other => panic!("another fault: {other}"),
    }
}

fn told_to(misbehave: &str) -> Nonsense {
    let well = r#"{"portalId":1,"objectId":2}"#;
    let element = format!(
        r#"{{"portalId":1,"objectId":2,"misbehave":"{misbehave}","property":"city","text":"Lyon"}}"#
    );
    nonsense(delivery(&[well, &element]))
}

#[test]
fn an_answer_speaks_of_the_elements_handed_in_alone() {
    // The index after the last would be another account's element.
    assert_eq!(told_to("foreign element"), Nonsense::Element);
    assert_eq!(told_to("last element"), Nonsense::Element);
    assert_eq!(told_to("backwards"), Nonsense::Order);
    assert!(matches!(
        told_to("refuse and tell"),
        Nonsense::Contradiction(_)
    ));
}

#[test]
fn an_answer_speaks_of_what_was_asked_alone() {
    assert_eq!(told_to("foreign type"), Nonsense::ObjectType);
    assert_eq!(
        told_to("associate with a foreign type"),
        Nonsense::ObjectType
    );
    assert_eq!(told_to("foreign property"), Nonsense::Property);
    assert_eq!(told_to("foreign field"), Nonsense::Field);
}

#[test]
fn an_answer_names_no_record_that_its_element_does_not() {
    assert_eq!(told_to("foreign record"), Nonsense::Record);
    assert_eq!(told_to("empty record"), Nonsense::Name);
    let set = r#"{"from":"2","to":["3"],"misbehave":"foreign record"}"#;
    assert_eq!(nonsense(associations(&[set])), Nonsense::Record);
    // The first element names the record, the second does not.
    let first = r#"{"id":"2","properties":{},"merged":"987654321"}"#;
    assert_eq!(
        page(&[first]).expect("a page").records[0].merged[0].as_str(),
        "987654321"
    );
}

#[test]
fn a_record_or_a_property_is_told_once() {
    let record =
        |how: &str| format!(r#"{{"id":"2","properties":{{"city":"Lyon"}},"misbehave":"{how}"}}"#);
    assert_eq!(nonsense(page(&[&record("record twice")])), Nonsense::Order);
    assert_eq!(
        nonsense(page(&[&record("property twice")])),
        Nonsense::Property
    );
    assert_eq!(nonsense(page(&[&record("empty key")])), Nonsense::MatchKey);
}

#[test]
fn every_text_to_convert_has_one_outcome() {
    assert_eq!(told_to("no outcome"), Nonsense::Outcomes);
    assert_eq!(told_to("outcome twice"), Nonsense::Outcomes);
}

fn converted(misbehave: &str, target: VariableType) -> Result<Option<Value>, Nonsense> {
    let element = format!(
        r#"{{"portalId":1,"objectId":2,"misbehave":"{misbehave}","property":"city","text":"Lyon"}}"#
    );
    match run_to(BodyKind::Delivery, &[&element], target) {
        Ok(output) => Ok(output.converted[0][0].outcome.clone().expect("a value")),
        Err(Fault::Output(nonsense)) => Err(nonsense),
        Err(other) => panic!("another fault: {other}"),
    }
}

#[test]
fn a_value_is_of_its_variables_type_and_one_that_it_can_hold() {
    use VariableType::{Boolean, Date, Datetime, List, Number, Text};
    assert_eq!(converted("other type", Text), Err(Nonsense::ValueType));
    assert_eq!(
        converted("other type", Boolean),
        Ok(Some(Value::Boolean(true)))
    );
    for (misbehave, target) in [
        ("empty text", Text),
        ("text with a NUL", Text),
        ("list with an empty text", List),
        ("list with a NUL", List),
        ("long text", Text),
        ("infinite", Number),
        ("no number", Number),
        ("empty list", List),
        ("long list", List),
    ] {
        let nonsense = converted(misbehave, target).expect_err(misbehave);
        assert!(
            matches!(nonsense, Nonsense::Value(_)),
            "{misbehave}: {nonsense}"
        );
    }
    let longest = converted("longest text", Text).expect("700 characters");
    assert_eq!(longest, Some(Value::Text("é".repeat(700))));
    for (misbehave, day) in [("year 1", "0001-01-01"), ("year 9999", "9999-12-31")] {
        let Ok(Some(Value::Date(date))) = converted(misbehave, Date) else {
            panic!("no date")
        };
        assert_eq!(date.to_string(), day);
    }
    for (misbehave, target) in [
        ("year 0", Date),
        ("year 10000", Date),
        ("no day", Date),
        ("no moment", Datetime),
    ] {
        assert_eq!(
            converted(misbehave, target),
            Err(Nonsense::Moment),
            "{misbehave}"
        );
    }
}

#[test]
fn a_moment_beyond_receipt_is_taken_for_the_latest_that_can_be() {
    let latest = RECEIVED_AT.plus(limits().clock_skew_max);
    for (at, believed) in [
        (5, Timestamp(5)),
        (latest.0, latest),
        (latest.0 + 1, latest),
        (latest.0 * 2, latest),
    ] {
        let element = format!(r#"{{"portalId":1,"objectId":2,"at":{at}}}"#);
        let output = delivery(&[&element]).expect("a pass");
        assert_eq!(output.changes[0].occurred_at, believed, "{at}");
        let record = format!(r#"{{"id":"2","properties":{{}},"at":{at}}}"#);
        let output = page(&[&record]).expect("a pass");
        assert_eq!(output.records[0].modified_at, Some(believed), "{at}");
    }
    assert_eq!(told_to("no calendar"), Nonsense::Moment);
}

#[test]
fn a_reason_is_shown_in_one_short_line() {
    let element = r#"{"portalId":1,"objectId":2,"misbehave":"refuse"}"#;
    let output = delivery(&[element]).expect("a pass");
    assert_eq!(output.refusals[0].reason, "told [31m to  ");
    assert_eq!(output.changes, []);
}

#[test]
fn a_merge_that_the_element_tells_is_believed() {
    let output = delivery(&[r#"{"portalId":1,"objectId":2,"into":34}"#]).expect("a pass");
    let ChangeKind::Merged(merge) = &output.changes[0].kind else {
        panic!("no merge")
    };
    assert_eq!(
        (merge.survivor.as_str(), merge.merged[0].as_str()),
        ("34", "2")
    );
}

#[test]
fn texts_that_were_kept_have_one_outcome_each() {
    let conversion = Conversion {
        fields: vec![field("city", VariableType::Text)],
        tables: vec![],
    };
    let texts = ["Lyon", "", "empty text"].map(|text| StoredText {
        field: 0,
        text: text.into(),
    });
    let outcomes = misbehaving()
        .convert_stored(&texts[..2], &conversion)
        .expect("outcomes");
    assert_eq!(outcomes, [Ok(Some(Value::Text("Lyon".into()))), Ok(None)]);
    let outcomes = misbehaving().convert_stored(&texts, &conversion);
    assert!(matches!(nonsense(outcomes), Nonsense::Value(_)));
    let foreign = StoredText {
        field: 1,
        text: "Lyon".into(),
    };
    let outcomes = misbehaving()
        .convert_stored(&[foreign], &conversion)
        .expect("outcomes");
    assert_eq!(outcomes, [Err(Unreadable::Malformed)]);
    let forgotten = Conversion {
        fields: vec![field("forgotten", VariableType::Text)],
        tables: vec![],
    };
    let outcomes = misbehaving().convert_stored(&texts[..1], &forgotten);
    assert_eq!(nonsense(outcomes), Nonsense::Outcomes);
}

#[test]
fn a_type_is_suggested_among_the_possible_ones() {
    let plugin = misbehaving();
    let suitable = plugin.suitable(&[definition("city")]).expect("types");
    let possible = vec![VariableType::Text, VariableType::Number];
    assert_eq!(
        suitable,
        [SuitableTypes {
            suggested: Some(VariableType::Text),
            possible
        }]
    );
    let contradiction = plugin.suitable(&[definition("contradiction")]);
    assert!(matches!(
        nonsense(contradiction),
        Nonsense::Contradiction(_)
    ));
}

#[test]
fn a_rule_that_cannot_be_used_is_an_answer_and_no_fault() {
    let needed = misbehaving()
        .needs(&"tickets".into(), None, None)
        .expect("an answer");
    assert_eq!(needed, Err(RuleError::UnknownObjectType));
}
