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
//!
//! Or the first element dictates all that is answered: `{"say": {…}}` ([`say`]), and
//! where there are none, the name of a property.
//!
//! What it says it connects to, and what it does whatever it is told, are texts that
//! tests write over in its bytes ([`written`]).

mod parse;
mod say;
mod transform;

use serde_json::Value as Json;

#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "connector-with-definitions" });

    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use bindings::exports::jimo::connect::{
    definitions as f, describe as d, matching as m, parse as p,
};
use bindings::jimo::connect::types::PropertyDefinition;
use parse::Parsed;

/// The component.
#[derive(Debug)]
pub struct Component;

/// What it connects to. To `webhook`, its source only pushes: an element of a delivery is
/// then one of a page of records, which has its `objectId` as well.
static CONNECTOR: &str = "connector=misbehaving";

/// What it does whatever it is told: `accept anything`, `trap on null`,
/// `spin on nothing`, `refuse selections`, `look elsewhere` than where elements of a
/// delivery stand, `define nonsense`, `trap defining`, `read otherwise` what a text
/// says, `refuse cities` in records; and `trap` or `spin` on elements that say
/// `as always`, or `spin on several` of
/// them at once.
static ALWAYS: &str = "always=nothing at all    ";

/// What is written in one of the texts now, which the compiler cannot know.
fn written(text: &'static str) -> &'static str {
    let written = std::hint::black_box(text).split_once('=');
    written.map_or("", |(_, written)| written.trim_end())
}

fn only_pushes() -> bool {
    written(CONNECTOR) == "webhook"
}

fn always(how: &str) -> bool {
    written(ALWAYS) == how
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
            default_match: through.is_empty().then(|| d::DefaultMatch {
                property: "email".into(),
                identifier: d::UserIdentifier::Email,
            }),
            through: through.iter().map(ToString::to_string).collect(),
            selections: vec![d::SelectionRule::LatestModified],
        };
        let is_read = !only_pushes();
        let mut object_types = vec![object_type("contacts", &[])];
        // What is reached through others needs pages of associations.
        if is_read {
            object_types
                .extend(["companies", "deals"].map(|name| object_type(name, &["contacts"])));
        }
        d::Description {
            connector: written(CONNECTOR).into(),
            label: "Misbehaving".into(),
            version: "0.1.0".into(),
            object_types,
            delivery: body(
                if always("look elsewhere") {
                    &["events"]
                } else {
                    &[]
                },
                Some("portalId"),
                &["objectId", "into"],
            ),
            journal_file: is_read
                .then(|| body(&["events"], Some("portalId"), &["objectId", "into"])),
            records_page: is_read.then(|| body(&["results"], None, &["id"])),
            associations_page: is_read.then(|| body(&["results"], None, &["from"])),
        }
    }
}

impl f::Guest for Component {
    fn define() -> Vec<f::ObjectProperties> {
        if always("trap defining") {
            panic!("told to");
        }
        let text = |name: &str| f::Property {
            definition: PropertyDefinition {
                name: name.into(),
                property_type: "text".into(),
                field_type: String::new(),
            },
            label: name.into(),
            group: String::new(),
            choices: vec![],
        };
        let pushed = only_pushes().then(|| f::ObjectProperties {
            object_type: "contacts".into(),
            properties: vec![text("email"), text("city")],
        });
        let nonsense = always("define nonsense").then(|| f::ObjectProperties {
            object_type: "tickets".into(),
            properties: vec![],
        });
        pushed.into_iter().chain(nonsense).collect()
    }
}

impl m::Guest for Component {
    fn needs(
        object_type: String,
        rule: Option<m::MatchingRule>,
        selection: Option<m::Selection>,
    ) -> Result<m::NeededProperties, m::RuleError> {
        if let Some(said) = say::alone(rule.iter().map(|rule| &rule.property)) {
            return say::needs(&said);
        }
        if !["contacts", "companies", "deals"].contains(&object_type.as_str()) {
            return Err(m::RuleError::UnknownObjectType);
        }
        if selection.is_some() && always("refuse selections") {
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
        if let Some(said) = page.said() {
            return say::keys(said);
        }
        let keys = page.indexed().map(|(index, element)| {
            let texts = page.texts(element).into_iter();
            let keys = texts.filter(|(name, text)| *name == rule.property.name && !text.is_empty());
            let keys = keys.map(|(_, text)| m::MatchKey {
                kind: m::KeyKind::Email,
                text,
                rank: 0,
            });
            let mut keys: Vec<_> = keys.collect();
            if misbehaves(element, "another's key") {
                keys.push(m::MatchKey {
                    kind: m::KeyKind::Email,
                    text: "somebody.else@example.com".into(),
                    rank: 1,
                });
            }
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
