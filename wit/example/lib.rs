//! A connector to a source that pushes people.

wit_bindgen::generate!({ path: "wit", world: "connector-with-definitions" });
export!(Component);

use exports::jimo::connect::{
    definitions as f, describe as d, matching as m, parse as p, transform as t,
};
use jimo::connect::types::{PropertyDefinition, UserIdentifier, Value, VariableType};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

struct Component;

/// Its properties as they are written: of a number no digit is lost.
struct Person {
    element: u32,
    at: i64,
    properties: BTreeMap<String, Box<RawValue>>,
}

struct Parsed {
    is_page: bool,
    people: Vec<Person>,
    refused: Vec<u32>,
}

impl d::Guest for Component {
    fn describe() -> d::Description {
        let path = |step: &str| vec![step.to_owned()];
        d::Description {
            connector: "my-source".into(),
            label: "My source".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            object_types: vec![d::ObjectType {
                name: "people".into(),
                label: "People".into(),
                singular_label: "Person".into(),
                default_match: Some(d::DefaultMatch {
                    property: "email".into(),
                    identifier: UserIdentifier::Email,
                }),
                through: vec![],
                selections: vec![],
            }],
            // The body of a request is the array itself.
            delivery: d::BodyDescription {
                elements: vec![],
                account: Some(path("account")),
                records: vec![path("id")],
            },
            // It only pushes.
            journal_file: None,
            records_page: None,
            associations_page: None,
        }
    }
}

impl f::Guest for Component {
    fn define() -> Vec<f::ObjectProperties> {
        let text = |name: &str, label: &str| f::Property {
            definition: PropertyDefinition {
                name: name.into(),
                property_type: "text".into(),
                field_type: String::new(),
            },
            label: label.into(),
            group: String::new(),
            choices: vec![],
        };
        vec![f::ObjectProperties {
            object_type: "people".into(),
            properties: vec![text("email", "E-mail"), text("city", "City")],
        }]
    }
}

fn person(element: u32, raw: &RawValue) -> Option<Person> {
    let person: BTreeMap<String, Box<RawValue>> = serde_json::from_str(raw.get()).ok()?;
    let at = person.get("at")?.get().parse().ok()?;
    // Moments of the years 1 to 9999 cross, and no others.
    let is_moment = (-62_135_596_800_000..=253_402_300_799_999).contains(&at);
    let properties = serde_json::from_str(person.get("properties")?.get()).ok()?;
    is_moment.then_some(Person {
        element,
        at,
        properties,
    })
}

/// A JSON text says what it says, anything else how it is written.
fn text(raw: &RawValue) -> String {
    match raw.get() {
        "null" => String::new(),
        written => serde_json::from_str(written).unwrap_or_else(|_| written.to_owned()),
    }
}

impl p::Guest for Component {
    type Parsed = Parsed;

    fn parse(kind: p::BodyKind, elements: Vec<u8>) -> Result<p::Parsed, p::ParseError> {
        let is_page = match kind {
            p::BodyKind::Delivery => false,
            p::BodyKind::Records(of) if of == "people" => true,
            _ => return Err(p::ParseError::UnsupportedKind),
        };
        let elements: Vec<&RawValue> = serde_json::from_slice(&elements)
            .map_err(|_| p::ParseError::NotAnArray("it is not a JSON array".into()))?;
        let mut parsed = Parsed {
            is_page,
            people: vec![],
            refused: vec![],
        };
        for (element, raw) in (0..).zip(elements) {
            match person(element, raw) {
                Some(person) => parsed.people.push(person),
                None => parsed.refused.push(element),
            }
        }
        Ok(p::Parsed::new(parsed))
    }
}

impl p::GuestParsed for Parsed {
    fn refusals(&self) -> Vec<p::Refusal> {
        let refusal = |element: &u32| p::Refusal {
            element: *element,
            reason: "no person".into(),
        };
        self.refused.iter().map(refusal).collect()
    }

    fn changes(&self, interests: Vec<p::Interest>) -> Vec<p::Change> {
        let mut changes = vec![];
        let people = interests
            .iter()
            .find(|interest| interest.object_type == "people");
        let (false, Some(interest)) = (self.is_page, people) else {
            return changes;
        };
        for person in &self.people {
            for (name, json) in &person.properties {
                let place = interest.properties.iter().position(|wanted| wanted == name);
                if let Some(place) = place {
                    let property = place as u32;
                    let text = text(json);
                    changes.push(p::Change {
                        element: person.element,
                        object_type: "people".into(),
                        occurred_at: person.at,
                        kind: p::ChangeKind::PropertyChanged(p::PropertyText { property, text }),
                    });
                }
            }
        }
        changes
    }

    fn records(&self, properties: Vec<String>) -> Vec<p::SourceRecord> {
        let people = self.people.iter().filter(|_| self.is_page);
        let record = |person: &Person| p::SourceRecord {
            element: person.element,
            created_at: None,
            modified_at: Some(person.at),
            archived: false,
            merged: vec![],
            properties: (0..)
                .zip(&properties)
                .filter_map(|(property, name)| {
                    let text = text(person.properties.get(name)?);
                    Some(p::PropertyText { property, text })
                })
                .collect(),
        };
        people.map(record).collect()
    }

    fn associations(&self) -> Vec<p::AssociationSet> {
        vec![]
    }
}

impl m::Guest for Component {
    fn needs(
        object_type: String,
        rule: Option<m::MatchingRule>,
        selection: Option<m::Selection>,
    ) -> Result<m::NeededProperties, m::RuleError> {
        if object_type != "people" || rule.as_ref().is_some_and(|one| one.object_type != "people") {
            return Err(m::RuleError::UnknownObjectType);
        }
        if selection.is_some() {
            return Err(m::RuleError::UnsupportedSelection);
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
        let kind = match rule.identifier {
            UserIdentifier::Email => m::KeyKind::Email,
            _ => m::KeyKind::Id,
        };
        let is_page = page.is_page && rule.object_type == "people";
        let people = page.people.iter().filter(|_| is_page);
        let keys = people.filter_map(|person| {
            // A property that is not there says nothing; one that is empty says: no key.
            let text = text(person.properties.get(&rule.property.name)?);
            let key = (!text.is_empty()).then_some(m::MatchKey {
                kind,
                text,
                rank: 0,
            });
            Some(m::RecordKeys {
                element: person.element,
                keys: key.into_iter().collect(),
            })
        });
        keys.collect()
    }
}

fn value(text: &str, target: VariableType) -> Result<Value, t::Unreadable> {
    match (text.chars().count(), target) {
        (0, _) => Ok(Value::Empty),
        (1..=700, VariableType::Text) if !text.contains('\0') => Ok(Value::Text(text.into())),
        (701.., VariableType::Text) => Err(t::Unreadable::TooLong(text.chars().count() as u32)),
        _ => Err(t::Unreadable::Malformed),
    }
}

impl t::Guest for Component {
    fn suitable(properties: Vec<PropertyDefinition>) -> Vec<t::SuitableTypes> {
        let suitable = |_| t::SuitableTypes {
            suggested: Some(VariableType::Text),
            possible: vec![VariableType::Text],
        };
        properties.into_iter().map(suitable).collect()
    }

    fn convert(
        body: p::ParsedBorrow<'_>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<t::Converted> {
        let mut converted = vec![];
        for person in &body.get::<Parsed>().people {
            for (name, json) in &person.properties {
                for (index, field) in (0..).zip(&fields) {
                    if field.object_type == "people" && field.property.name == *name {
                        converted.push(t::Converted {
                            element: person.element,
                            field: index,
                            outcome: value(&text(json), field.target),
                        });
                    }
                }
            }
        }
        converted
    }

    fn convert_stored(
        texts: Vec<t::StoredText>,
        fields: Vec<t::FieldMapping>,
        _: Vec<t::OptionTable>,
    ) -> Vec<Result<Value, t::Unreadable>> {
        let convert = |stored: t::StoredText| match fields.get(stored.field as usize) {
            Some(field) => value(&stored.text, field.target),
            None => Err(t::Unreadable::Malformed),
        };
        texts.into_iter().map(convert).collect()
    }
}
