//! The same of the calls that hand in no elements: what a rule needs, which types
//! suit a property, and texts that were kept.

use jimo_connect::model::{MatchingRule, PropertyDefinition, UserIdentifier, VariableType};
use jimo_connect::plugin::{Conversion, Fault, StoredText};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{
    super::{definition, field, misbehaving},
    TARGETS, holds_value, several, value,
};

/// How many texts and properties are handed in.
const COUNT: usize = 3;

const TYPES: [&str; 6] = ["text", "number", "boolean", "date", "datetime", "list"];

/// A property that dictates the answer by its name.
fn dictating(said: &Json) -> PropertyDefinition {
    PropertyDefinition {
        name: json!({"say": said}).to_string().into(),
        ..definition("")
    }
}

/// What there is, or the plugin's nonsense; nothing else may come of an answer.
fn let_out<T>(answer: Result<T, Fault>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Fault::Output(_)) => None,
        Err(fault) => panic!("{fault}"),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(&["email", "city", "a b"][..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (0..400usize).prop_map(|length| "x".repeat(length)),
        1 => Just("a\nb".to_owned()),
    ]
}

fn needs() -> impl Strategy<Value = Json> {
    let error = prop::sample::select(&["type", "property", "selection"][..]);
    prop_oneof![
        1 => error.prop_map(|error| json!({"error": error})),
        6 => (several(name()), several(name()), several(name())).prop_map(
            |(matching, selection, bookkeeping)| json!({
                "matching": matching, "selection": selection, "bookkeeping": bookkeeping,
            })
        ),
    ]
}

fn suitable() -> impl Strategy<Value = Json> {
    let variable = || prop::sample::select(&TYPES[..]);
    let any = (prop::option::of(variable()), several(variable()));
    let sound = (
        prop::option::of(variable()),
        prop::collection::vec(variable(), 0..3),
    )
        .prop_map(|(suggested, mut possible)| {
            match suggested {
                Some(suggested) => possible.push(suggested),
                None => possible.clear(),
            }
            (suggested, possible)
        });
    let one = prop_oneof![1 => any, 6 => sound]
        .prop_map(|(suggested, possible)| json!({"suggested": suggested, "possible": possible}));
    let count = prop_oneof![8 => COUNT..=COUNT, 1 => 0..6usize];
    count
        .prop_flat_map(move |count| prop::collection::vec(one.clone(), count))
        .prop_map(|all| json!({"suitable": all}))
}

/// Outcomes for as many texts as there are, mostly.
fn stored() -> impl Strategy<Value = Json> {
    let count = prop_oneof![8 => COUNT..=COUNT, 1 => 0..6usize];
    let one = prop_oneof![
        2 => Just(json!({"as": "empty"})),
        2 => Just(json!({})),
        3 => value(),
    ];
    count
        .prop_flat_map(move |count| prop::collection::vec(one.clone(), count))
        .prop_map(|all| json!({"stored": all}))
}

/// Has it say what a rule needs; whether that is let out.
fn check_needs(said: &Json) -> bool {
    let rule = MatchingRule {
        property: dictating(said),
        identifier: UserIdentifier::Email,
    };
    let needed = misbehaving().needs(&"contacts".into(), Some(&rule), None);
    let Some(needed) = let_out(needed) else {
        return false;
    };
    assert_eq!(needed.is_err(), said.get("error").is_some());
    if let Ok(needed) = needed {
        let all = [&needed.matching, &needed.selection, &needed.bookkeeping];
        for name in all.into_iter().flatten() {
            let name = name.as_str();
            assert!((1..=255).contains(&name.len()), "{name:?}");
            assert!(!name.contains(char::is_control), "{name:?}");
        }
    }
    true
}

/// Has it say which types suit properties; whether that is let out.
fn check_suitable(said: &Json) -> bool {
    let mut properties = vec![definition("city"); COUNT];
    properties[0] = dictating(said);
    let Some(suitable) = let_out(misbehaving().suitable(&properties)) else {
        return false;
    };
    assert_eq!(suitable.len(), COUNT);
    for one in suitable {
        match one.suggested {
            Some(suggested) => assert!(one.possible.contains(&suggested)),
            None => assert_eq!(one.possible, []),
        }
    }
    true
}

/// Has it say what texts mean that were kept; whether that is let out.
fn check_stored(said: &Json) -> bool {
    let mut fields = TARGETS.map(|target: VariableType| field("city", target));
    fields[0].property = dictating(said);
    let texts: Vec<StoredText> = (0..COUNT)
        .map(|field| StoredText {
            field,
            text: "Lyon".into(),
        })
        .collect();
    let conversion = Conversion {
        fields: fields.to_vec(),
        tables: vec![],
    };
    let Some(outcomes) = let_out(misbehaving().convert_stored(&texts, &conversion)) else {
        return false;
    };
    assert_eq!(outcomes.len(), COUNT);
    for (outcome, target) in outcomes.iter().zip(TARGETS) {
        if let Ok(Some(value)) = outcome {
            holds_value(value, target);
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_names_that_can_be_ones_are_let_out_of_what_a_rule_needs(said in needs()) {
        check_needs(&said);
    }

    #[test]
    fn a_type_is_suggested_for_each_property_among_the_possible_ones(said in suitable()) {
        check_suitable(&said);
    }

    #[test]
    fn each_text_that_was_kept_has_an_outcome_that_its_variable_holds(said in stored()) {
        check_stored(&said);
    }
}

#[test]
fn answers_that_keep_the_contract_are_let_out() {
    let names = json!({"matching": ["email"], "selection": [], "bookkeeping": ["city"]});
    assert!(check_needs(&names));
    assert!(check_needs(&json!({"error": "property"})));
    let text = json!({"suggested": "text", "possible": ["number", "text"]});
    let none = json!({"suggested": null, "possible": []});
    assert!(check_suitable(&json!({"suitable": [text, none, text]})));
    let list = json!({"as": "list", "value": ["a", "b"]});
    assert!(check_stored(
        &json!({"stored": [{"as": "empty"}, {}, list]})
    ));
    // And those that do not are not: what is dictated is what is answered.
    assert!(!check_needs(&json!({"matching": [""]})));
    assert!(!check_suitable(&json!({"suitable": [none, none]})));
    assert!(!check_stored(&json!({"stored": [list, list, list]})));
}
