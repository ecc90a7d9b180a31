//! Cases that every connector passes, whatever it connects to: it answers
//! nonsense by what it refuses, in time and within bounds, says the same of the
//! same, and can do what it describes.
//!
//! They know nothing of a source, so they tell little of what a version makes of
//! real data: that only real data shows.

use super::{
    BodyKind, Conversion, ConversionField, DefaultMatch, Fault, InstallError, Interest, Pass,
    StoredText, Version,
};
use crate::model::{
    MatchingRule, ObjectType, PropertyDefinition, PropertyName, Selection, SelectionRule, Shown,
    Timestamp, VariableType,
};

/// When everything here is received: 2026-01-02T03:04:05Z.
const RECEIVED_AT: Timestamp = Timestamp(1_767_323_045_000);

/// A property that no source has to know.
const PROPERTY: &str = "a_property";

/// An object type that no connector describes.
const NO_OBJECT_TYPE: &str = "no such object type";

const TYPES: [VariableType; 6] = [
    VariableType::Text,
    VariableType::Number,
    VariableType::Boolean,
    VariableType::Date,
    VariableType::Datetime,
    VariableType::List,
];

/// How a body may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is an array of nothing, and nothing is said of it.
    Nothing,
    /// It is an array; each element may be refused.
    Elements,
    /// It may be refused as a whole, or by element.
    Answer,
    /// It is no array, and is refused as a whole.
    Refusal,
}

/// A body that no source sends.
struct Body {
    name: &'static str,
    elements: Vec<u8>,
    count: usize,
    expected: Expected,
}

fn bodies() -> Vec<Body> {
    let body = |name, elements: &[u8], count, expected| Body {
        name,
        elements: elements.to_vec(),
        count,
        expected,
    };
    let nonsense = br#"[null,true,-1,0.5,"x",[],{},[[{}]],{"id":{}},{"id":[null],"properties":7}]"#;
    let deep = [vec![b'['; 10_000], b"1".to_vec(), vec![b']'; 10_000]].concat();
    let deep_objects = [
        b"[".to_vec(),
        br#"{"id":"#.repeat(10_000),
        b"1".to_vec(),
        vec![b'}'; 10_000],
        b"]".to_vec(),
    ]
    .concat();
    let text = "x".repeat(512 << 10);
    let long = format!(r#"["{text}",{{"id":"{text}","{text}":"{text}"}}]"#);
    let many = format!("[{}0]", "{},".repeat(9_999));
    vec![
        body("an empty array", b"[]", 0, Expected::Nothing),
        body("an array of nonsense", nonsense, 10, Expected::Elements),
        body(
            "an element nested ten thousand deep",
            &deep,
            1,
            Expected::Answer,
        ),
        body(
            "objects nested ten thousand deep",
            &deep_objects,
            1,
            Expected::Answer,
        ),
        body(
            "texts of half a mebibyte",
            long.as_bytes(),
            2,
            Expected::Elements,
        ),
        body(
            "ten thousand elements of nothing",
            many.as_bytes(),
            10_000,
            Expected::Elements,
        ),
        body(
            "bytes that are not UTF-8",
            b"[\"\xff\xfe\",{\"id\":\"\xc0\x80\"}]",
            2,
            Expected::Answer,
        ),
        body(
            "an array that ends early",
            br#"[{"id":"1""#,
            1,
            Expected::Answer,
        ),
        body(
            "an object in place of an array",
            b"{}",
            0,
            Expected::Refusal,
        ),
        body("no bytes at all", b"", 0, Expected::Refusal),
    ]
}

/// Tries all cases on a version.
pub(super) fn check(version: &Version) -> Result<(), InstallError> {
    describes_itself_the_same(version)?;
    answers_what_it_needs(version)?;
    for kind in kinds(version) {
        for body in &bodies() {
            answers_a_body(version, &kind, body)?;
        }
    }
    converts_texts(version)?;
    tells_suitable_types(version)
}

fn failed(case: impl Into<String>, found: impl Into<String>) -> InstallError {
    InstallError::Conformance {
        case: case.into(),
        found: found.into(),
    }
}

fn faulted(case: &str) -> impl Fn(Fault) -> InstallError {
    move |fault| failed(case, fault.to_string())
}

/// Asks twice, and hands on what was answered where it is the same.
fn same<T: PartialEq>(
    case: &str,
    ask: impl Fn() -> Result<T, Fault>,
) -> Result<Result<T, Fault>, InstallError> {
    let (first, again) = (ask(), ask());
    if let Err(fault @ Fault::Host(_)) = &first {
        return Err(failed(case, fault.to_string()));
    }
    if first == again {
        Ok(first)
    } else {
        Err(failed(case, "it answers the same in two ways"))
    }
}

fn describes_itself_the_same(version: &Version) -> Result<(), InstallError> {
    match version.describe_again()? {
        Ok(again) if again == *version.description() => {}
        _ => return Err(failed("what it is", "it describes itself in two ways")),
    }
    if version.define_again()?.as_deref() == version.definitions() {
        Ok(())
    } else {
        Err(failed(
            "its source's properties",
            "it defines them in two ways",
        ))
    }
}

fn answers_what_it_needs(version: &Version) -> Result<(), InstallError> {
    for described in &version.description().object_types {
        let rule = described.default_match.as_ref().map(rule);
        let selections = described.selections.iter().map(|rule| {
            Some(Selection {
                rule: *rule,
                property: (*rule == SelectionRule::Largest).then(|| PropertyName::from(PROPERTY)),
                prefer_open: false,
            })
        });
        for selection in std::iter::once(None).chain(selections) {
            for rule in [None, rule.as_ref()] {
                let case = format!("what {} need", described.name);
                let ask = || version.needs(&described.name, rule, selection.as_ref());
                let answer = same(&case, ask)?.map_err(faulted(&case))?;
                answer.map_err(|error| {
                    let what = "it refuses a rule or a selection that it describes";
                    failed(&case, format!("{what}: {error}"))
                })?;
            }
        }
    }
    let case = "what records of a type need that it does not describe";
    let ask = || version.needs(&ObjectType::from(NO_OBJECT_TYPE), None, None);
    match same(case, ask)?.map_err(faulted(case))? {
        Err(_) => Ok(()),
        Ok(_) => Err(failed(case, "it does not refuse it")),
    }
}

/// All kinds of body that a version describes.
fn kinds(version: &Version) -> Vec<BodyKind> {
    let description = version.description();
    let journal = description.journal_file.is_some();
    let mut kinds = vec![BodyKind::Delivery];
    kinds.extend(journal.then_some(BodyKind::JournalFile));
    for object_type in &description.object_types {
        kinds.push(BodyKind::Records(object_type.name.clone()));
        kinds.extend(
            object_type
                .through
                .iter()
                .map(|through| BodyKind::Associations {
                    from: through.clone(),
                    to: object_type.name.clone(),
                }),
        );
    }
    kinds
}

fn answers_a_body(version: &Version, kind: &BodyKind, body: &Body) -> Result<(), InstallError> {
    let description = version.description();
    let types = || description.object_types.iter();
    let interests: Vec<Interest> = types()
        .map(|described| Interest {
            object_type: described.name.clone(),
            properties: vec![PropertyName::from(PROPERTY)],
        })
        .collect();
    let fields = types().flat_map(|described| {
        TYPES.map(|target| ConversionField {
            object_type: described.name.clone(),
            ..field(target)
        })
    });
    let conversion = Conversion {
        fields: fields.collect(),
        tables: Vec::new(),
    };
    let rules: Vec<(ObjectType, MatchingRule)> = types()
        .filter_map(|described| {
            let default = described.default_match.as_ref()?;
            Some((described.name.clone(), rule(default)))
        })
        .collect();
    let case = format!("{}, as {}", body.name, said(kind));
    let pass = Pass {
        body: kind.clone(),
        elements: &body.elements,
        element_count: body.count,
        received_at: RECEIVED_AT,
        interests: &interests,
        conversions: std::slice::from_ref(&conversion),
        rules: &rules,
    };
    let answer = same(&case, || version.run_again(&pass))?;
    match (body.expected, answer) {
        (Expected::Nothing, Ok(output)) => {
            let told = output.converted.iter().map(Vec::len).sum::<usize>()
                + output.keys.iter().map(Vec::len).sum::<usize>()
                + output.refusals.len()
                + output.changes.len()
                + output.records.len()
                + output.associations.len();
            match told {
                0 => Ok(()),
                _ => Err(failed(case, "it tells something of nothing")),
            }
        }
        (Expected::Elements | Expected::Answer, Ok(_))
        | (Expected::Answer | Expected::Refusal, Err(Fault::Refused(_))) => Ok(()),
        (Expected::Refusal, Ok(_)) => Err(failed(case, "it does not refuse it")),
        (_, Err(fault)) => Err(failed(case, fault.to_string())),
    }
}

fn said(kind: &BodyKind) -> String {
    match kind {
        BodyKind::Delivery => "a delivery".to_owned(),
        BodyKind::JournalFile => "a journal file".to_owned(),
        BodyKind::Records(of) => format!("a page of {of}"),
        BodyKind::Associations { from, to } => {
            format!("a page of associations from {from} to {to}")
        }
    }
}

fn converts_texts(version: &Version) -> Result<(), InstallError> {
    let case = "texts that were kept, converted again";
    let long = "9".repeat(1 << 20);
    let texts = [
        "",
        " ",
        "x",
        "-1",
        "0.5",
        "1e999",
        "NaN",
        "true",
        "1767323045000",
        "2026-02-30",
        "9999999999999999999",
        "a;b;;a",
        "\u{0}\u{202e}\u{fffd}",
        &long,
    ];
    let conversion = Conversion {
        fields: TYPES.map(field).to_vec(),
        tables: Vec::new(),
    };
    let texts: Vec<StoredText> = texts
        .iter()
        .flat_map(|text| {
            (0..TYPES.len()).map(|field| StoredText {
                field,
                text: (*text).to_owned(),
            })
        })
        .collect();
    // All at once would be more than one pass takes.
    for texts in texts.chunks(TYPES.len() / 2) {
        same(case, || version.convert_stored_again(texts, &conversion))?.map_err(faulted(case))?;
    }
    Ok(())
}

fn tells_suitable_types(version: &Version) -> Result<(), InstallError> {
    let case = "the variables that a property can be mapped to";
    let words = ["", "string", "number", "no such type", "\u{202e}"];
    let properties: Vec<PropertyDefinition> = words
        .iter()
        .flat_map(|property_type| {
            words.map(|field_type| PropertyDefinition {
                name: PropertyName::from(PROPERTY),
                property_type: (*property_type).to_owned(),
                field_type: field_type.to_owned(),
            })
        })
        .collect();
    same(case, || version.suitable(&properties))?.map_err(faulted(case))?;
    same(case, || version.suitable(&[]))?.map_err(faulted(case))?;
    Ok(())
}

fn text_property(name: &PropertyName) -> PropertyDefinition {
    PropertyDefinition {
        name: name.clone(),
        property_type: "string".into(),
        field_type: "text".into(),
    }
}

fn rule(default: &DefaultMatch) -> MatchingRule {
    MatchingRule {
        property: text_property(&default.property),
        identifier: default.identifier,
    }
}

/// A field of any object type.
fn field(target: VariableType) -> ConversionField {
    ConversionField {
        object_type: ObjectType::from(NO_OBJECT_TYPE),
        property: text_property(&PropertyName::from(PROPERTY)),
        target,
        show: Shown::InternalValue,
        options: None,
    }
}
