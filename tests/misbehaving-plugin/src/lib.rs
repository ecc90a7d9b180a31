//! A component that keeps the contract in the plainest way, except where an
//! element tells it not to: `{"misbehave": "spin"}`. So one component shows how
//! the host meets every fault, and that an element's neighbours do not suffer.
//!
//! An element of a delivery is `{"portalId": 1, "objectId": 2}`: it tells that
//! the record was created, or with `"property": "city", "text": "Lyon"` that a
//! property changed, or with `"into": 3` that it was merged; `"at"` is when. An
//! element of a page of records is `{"id": "2", "properties": {"city": "Lyon"}}`,
//! one of a page of associations `{"from": "2", "to": ["3"]}`. The first interest
//! names the object type of all.

use serde_json::Value as Json;

#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "connector" });

    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use bindings::exports::jimo::connect::{describe as d, matching as m, parse as p, transform as t};
use bindings::jimo::connect::types;

/// The component.
#[derive(Debug)]
pub struct Component;

/// What was parsed: the elements as they are.
#[derive(Debug)]
pub struct Parsed {
    kind: p::BodyKind,
    elements: Vec<Json>,
}

fn text(json: &Json, key: &str) -> Option<String> {
    match json.get(key)? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn misbehaves(element: &Json, how: &str) -> bool {
    element.get("misbehave").and_then(Json::as_str) == Some(how)
}

fn path(step: &str) -> Vec<String> {
    vec![step.to_owned()]
}

impl d::Guest for Component {
    fn describe() -> d::Description {
        let body =
            |elements: &[&str], account: Option<&str>, records: &[&str]| d::BodyDescription {
                elements: elements.iter().map(ToString::to_string).collect(),
                account: account.map(path),
                records: records.iter().map(|step| path(step)).collect(),
            };
        let object_type = |name: &str, through: &[&str]| d::ObjectType {
            name: name.into(),
            label: name.into(),
            singular_label: name.into(),
            default_match_property: through.is_empty().then(|| "email".into()),
            through: through.iter().map(ToString::to_string).collect(),
            selections: vec![],
        };
        d::Description {
            connector: "misbehaving".into(),
            label: "Misbehaving".into(),
            version: "0.1.0".into(),
            object_types: vec![
                object_type("contacts", &[]),
                object_type("companies", &["contacts"]),
                object_type("deals", &["contacts"]),
            ],
            delivery: body(&[], Some("portalId"), &["objectId", "into"]),
            journal_file: Some(body(&["events"], Some("portalId"), &["objectId", "into"])),
            records_page: body(&["results"], None, &["id"]),
            associations_page: body(&["results"], None, &["from"]),
        }
    }
}

impl p::Guest for Component {
    type Parsed = Parsed;

    fn parse(kind: p::BodyKind, elements: Vec<u8>) -> Result<p::Parsed, p::ParseError> {
        let elements: Vec<Json> = serde_json::from_slice(&elements)
            .map_err(|error| p::ParseError::NotAnArray(error.to_string()))?;
        for element in &elements {
            match element.get("misbehave").and_then(Json::as_str) {
                Some("trap") => panic!("told to"),
                Some("spin") => spin(),
                Some("hoard") => hoard(),
                Some("recurse") => drop(recurse(0)),
                Some("divide") => {
                    let zero = element.as_array().map_or(0, Vec::len);
                    let _ = std::hint::black_box(1 / std::hint::black_box(zero));
                }
                Some("read") => {
                    let mut line = String::new();
                    let _ = std::io::stdin().read_line(&mut line);
                }
                Some("exit") => std::process::exit(0),
                Some("print") => {
                    println!("to standard output");
                    eprintln!("to standard error");
                }
                Some("refuse all") => {
                    return Err(p::ParseError::NotAnArray("told\nto".into()));
                }
                Some("do not read") => return Err(p::ParseError::UnsupportedKind),
                _ => {}
            }
        }
        Ok(p::Parsed::new(Parsed { kind, elements }))
    }
}

fn spin() {
    let mut turns = 0u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns = turns.wrapping_add(2);
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let kept = std::hint::black_box([depth; 64]);
    if std::hint::black_box(depth) == u64::MAX {
        0
    } else {
        recurse(depth + 1) + kept[7]
    }
}

impl Parsed {
    fn indexed(&self) -> impl Iterator<Item = (u32, &Json)> {
        (0..)
            .zip(&self.elements)
            .filter(|(_, element)| !misbehaves(element, "refuse"))
    }

    fn tells_changes(&self) -> bool {
        matches!(self.kind, p::BodyKind::Delivery | p::BodyKind::JournalFile)
    }

    /// What an element has to convert: a change's property, or a record's.
    fn texts(&self, element: &Json) -> Vec<(String, String)> {
        if self.tells_changes() {
            return text(element, "property")
                .zip(text(element, "text"))
                .into_iter()
                .collect();
        }
        let properties = element.get("properties").and_then(Json::as_object);
        let texts = properties.into_iter().flatten();
        texts
            .map(|(name, json)| (name.clone(), json.as_str().unwrap_or("").to_owned()))
            .collect()
    }
}

impl p::GuestParsed for Parsed {
    fn refusals(&self) -> Vec<p::Refusal> {
        (0..)
            .zip(&self.elements)
            .filter(|(_, element)| {
                misbehaves(element, "refuse") || misbehaves(element, "refuse and tell")
            })
            .map(|(element, _)| p::Refusal {
                element,
                reason: "told\u{1b}[31m to\u{202e}\n".into(),
            })
            .collect()
    }

    fn changes(&self, interests: Vec<p::Interest>) -> Vec<p::Change> {
        let (true, Some(interest)) = (self.tells_changes(), interests.first()) else {
            return vec![];
        };
        let mut changes: Vec<p::Change> = Vec::new();
        for (index, element) in self.indexed() {
            let kind = if let Some(property) = text(element, "property") {
                let place = interest
                    .properties
                    .iter()
                    .position(|name| *name == property);
                let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else {
                    continue;
                };
                let text = text(element, "text").unwrap_or_default();
                p::ChangeKind::PropertyChanged(p::PropertyText {
                    property: place,
                    text,
                })
            } else if let Some(survivor) = text(element, "into") {
                let merged = text(element, "objectId").into_iter().collect();
                p::ChangeKind::Merged(p::Merge { survivor, merged })
            } else {
                p::ChangeKind::Created
            };
            let mut change = p::Change {
                element: index,
                object_type: interest.object_type.clone(),
                occurred_at: element.get("at").and_then(Json::as_i64).unwrap_or(0),
                kind,
            };
            match element.get("misbehave").and_then(Json::as_str) {
                Some("foreign element") => {
                    change.element = u32::try_from(self.elements.len()).unwrap_or(0)
                }
                Some("last element") => change.element = u32::MAX,
                Some("foreign type") => change.object_type = "tickets".into(),
                Some("foreign property") => {
                    let property = u32::try_from(interest.properties.len()).unwrap_or(0);
                    let text = "x".into();
                    change.kind =
                        p::ChangeKind::PropertyChanged(p::PropertyText { property, text });
                }
                Some("foreign record") => {
                    let merged = vec!["987654321".into()];
                    change.kind = p::ChangeKind::Merged(p::Merge {
                        survivor: "2".into(),
                        merged,
                    });
                }
                Some("empty record") => {
                    change.kind = p::ChangeKind::AssociationChanged(p::AssociationChange {
                        to_type: "companies".into(),
                        to_record: String::new(),
                        removed: false,
                    });
                }
                Some("associate with a foreign type") => {
                    change.kind = p::ChangeKind::AssociationChanged(p::AssociationChange {
                        to_type: "tickets".into(),
                        to_record: "2".into(),
                        removed: false,
                    });
                }
                Some("no calendar") => change.occurred_at = i64::MAX,
                Some("backwards") => {
                    changes.insert(0, change);
                    continue;
                }
                Some("flood") => changes.extend(std::iter::repeat_n(change.clone(), 100_000)),
                Some("flood of text") => {
                    change.kind = p::ChangeKind::PropertyChanged(p::PropertyText {
                        property: 0,
                        text: "x".repeat(16 << 20),
                    });
                }
                _ => {}
            }
            changes.push(change);
        }
        changes
    }

    fn records(&self, properties: Vec<String>) -> Vec<p::SourceRecord> {
        if !matches!(self.kind, p::BodyKind::Records(_)) {
            return vec![];
        }
        let records = self.indexed().flat_map(|(index, element)| {
            let named = |place: u32, name: &String| {
                let text = element.get("properties")?.get(name)?.as_str()?.to_owned();
                Some(p::PropertyText {
                    property: place,
                    text,
                })
            };
            let mut record = p::SourceRecord {
                element: index,
                created_at: None,
                modified_at: element.get("at").and_then(Json::as_i64),
                archived: false,
                merged: text(element, "merged").into_iter().collect(),
                properties: (0..)
                    .zip(&properties)
                    .filter_map(|(place, name)| named(place, name))
                    .collect(),
            };
            if misbehaves(element, "property twice") {
                record.properties.extend(record.properties.clone());
            }
            let times = if misbehaves(element, "record twice") {
                2
            } else {
                1
            };
            std::iter::repeat_n(record, times)
        });
        records.collect()
    }

    fn associations(&self) -> Vec<p::AssociationSet> {
        if !matches!(self.kind, p::BodyKind::Associations(_)) {
            return vec![];
        }
        let sets = self.indexed().map(|(element, json)| {
            let to = json
                .get("to")
                .and_then(Json::as_array)
                .into_iter()
                .flatten();
            let associations = to.filter_map(Json::as_str).map(|to_record| p::Association {
                to_record: to_record.to_owned(),
                primary: false,
                labels: vec![],
            });
            let mut associations: Vec<_> = associations.collect();
            if misbehaves(json, "foreign record") {
                associations.clear();
                associations.push(p::Association {
                    to_record: "987654321".into(),
                    primary: true,
                    labels: vec![],
                });
            }
            p::AssociationSet {
                element,
                associations,
            }
        });
        sets.collect()
    }
}

impl m::Guest for Component {
    fn needs(
        object_type: String,
        rule: Option<m::MatchingRule>,
        _: Option<m::Selection>,
    ) -> Result<m::NeededProperties, m::RuleError> {
        if object_type == "tickets" {
            return Err(m::RuleError::UnknownObjectType);
        }
        let matching = rule.into_iter().map(|rule| rule.property.name).collect();
        Ok(m::NeededProperties {
            matching,
            selection: vec![],
            bookkeeping: vec![],
        })
    }

    fn match_keys(page: p::ParsedBorrow<'_>, rule: m::MatchingRule) -> Vec<m::RecordKeys> {
        let page = page.get::<Parsed>();
        let keys = page.indexed().map(|(index, element)| {
            let texts = page.texts(element).into_iter();
            let keys = texts.filter(|(name, text)| *name == rule.property.name && !text.is_empty());
            let keys = keys.map(|(_, text)| m::MatchKey {
                kind: m::KeyKind::Email,
                text,
                rank: 0,
            });
            let mut keys: Vec<_> = keys.collect();
            if misbehaves(element, "empty key") {
                keys.push(m::MatchKey {
                    kind: m::KeyKind::Id,
                    text: String::new(),
                    rank: 1,
                });
            }
            m::RecordKeys {
                element: index,
                keys,
            }
        });
        keys.collect()
    }
}

/// The plainest conversion: a text's own type decides.
fn value(text: &str, target: types::VariableType) -> Result<types::Value, t::Unreadable> {
    if text.is_empty() {
        return Ok(types::Value::Empty);
    }
    match target {
        types::VariableType::Text => Ok(types::Value::Text(text.to_owned())),
        types::VariableType::Number => match text.parse() {
            Ok(number) => Ok(types::Value::Number(number)),
            Err(_) => Err(t::Unreadable::Malformed),
        },
        types::VariableType::List => Ok(types::Value::List(vec![text.to_owned()])),
        _ => Err(t::Unreadable::Malformed),
    }
}

/// What an element that is told to misbehave makes of its text.
fn misvalue(how: &str) -> Option<types::Value> {
    Some(match how {
        "other type" => types::Value::Boolean(true),
        "empty text" => types::Value::Text(String::new()),
        "long text" => types::Value::Text("é".repeat(701)),
        "longest text" => types::Value::Text("é".repeat(700)),
        "infinite" => types::Value::Number(f64::INFINITY),
        "no number" => types::Value::Number(f64::NAN),
        "empty list" => types::Value::List(vec![]),
        "long list" => types::Value::List(vec!["é".repeat(350), "é".repeat(351)]),
        "year 0" => types::Value::Date(-719_163),
        "year 1" => types::Value::Date(-719_162),
        "year 9999" => types::Value::Date(2_932_896),
        "year 10000" => types::Value::Date(2_932_897),
        "no day" => types::Value::Date(i32::MIN),
        "no moment" => types::Value::Datetime(253_402_300_800_000),
        _ => return None,
    })
}

impl t::Guest for Component {
    fn suitable(properties: Vec<types::PropertyDefinition>) -> Vec<t::SuitableTypes> {
        let types = |property: types::PropertyDefinition| t::SuitableTypes {
            suggested: (property.property_type != "secret").then_some(types::VariableType::Text),
            possible: match property.name.as_str() {
                "contradiction" => vec![types::VariableType::Number],
                _ => vec![types::VariableType::Text, types::VariableType::Number],
            },
        };
        properties.into_iter().map(types).collect()
    }

    fn convert(
        body: p::ParsedBorrow<'_>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<t::Converted> {
        let body = body.get::<Parsed>();
        let mut converted = Vec::new();
        for (index, element) in body.indexed() {
            let how = element
                .get("misbehave")
                .and_then(Json::as_str)
                .unwrap_or("");
            for (name, text) in body.texts(element) {
                for (place, field) in (0..).zip(&fields).filter(|(_, f)| f.property.name == name) {
                    let outcome = match misvalue(how) {
                        Some(value) => Ok(value),
                        None => value(&text, field.target),
                    };
                    let field = if how == "foreign field" {
                        u32::MAX
                    } else {
                        place
                    };
                    let times = match how {
                        "no outcome" => 0,
                        "outcome twice" => 2,
                        _ => 1,
                    };
                    let outcome = t::Converted {
                        element: index,
                        field,
                        outcome,
                    };
                    converted.extend(std::iter::repeat_n(outcome, times));
                }
            }
        }
        converted
    }

    fn convert_stored(
        texts: Vec<t::StoredText>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<Result<types::Value, t::Unreadable>> {
        let outcome = |text: t::StoredText| {
            let field = usize::try_from(text.field)
                .ok()
                .and_then(|field| fields.get(field));
            let Some(field) = field else {
                return Err(t::Unreadable::Malformed);
            };
            match misvalue(&text.text) {
                Some(value) => Ok(value),
                None => value(&text.text, field.target),
            }
        };
        let mut outcomes: Vec<_> = texts.into_iter().map(outcome).collect();
        if fields
            .first()
            .is_some_and(|field| field.property.name == "forgotten")
        {
            outcomes.pop();
        }
        outcomes
    }
}
