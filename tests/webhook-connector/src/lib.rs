//! A connector to a source that only pushes: its deliveries are whole records, as plain JSON, and it answers no reads.
//! It is written against `wit/` alone, to show that the contract is nobody's own.
//!
//! An element is `{"workspace": "acme", "type": "people", "id": "p-1", "updated_at": "2026-01-02T03:04:05Z",
//! "properties": {"email": "ana@example.com", "seats": 3}}`, or with `"deleted": true` in place of properties. The
//! workspace is the account; `people` and `workspaces` are the types of records. What has another type says nothing to
//! anybody, and is left out.

mod definitions;
mod matching;
mod moment;
mod parse;
mod source;
mod transform;
mod value;

/// The contract's types and calls, generated from `wit/`.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
mod contract {
    wit_bindgen::generate!({ path: "../../wit", world: "connector-with-definitions" });

    pub(crate) use exports::jimo::connect::{definitions, describe, matching, parse, transform};
    pub(crate) use jimo::connect::types;

    // Natively the exported symbols would have no component to belong to, and would not link.
    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use contract::{
    definitions::ObjectProperties,
    describe::{BodyDescription, Description},
    matching::{MatchingRule, NeededProperties, RecordKeys, RuleError, Selection},
    parse::{
        AssociationSet, BodyKind, Change, Interest, ParseError, ParsedBorrow, Refusal, SourceRecord,
    },
    transform::{Converted, FieldMapping, OptionTable, StoredText, SuitableTypes, Unreadable},
    types::{PropertyDefinition, Value},
};

/// The component: each call is handed to the module of its interface.
#[derive(Debug)]
pub struct Component;

impl contract::describe::Guest for Component {
    fn describe() -> Description {
        let path = |step: &str| vec![step.to_owned()];
        Description {
            connector: "webhook".to_owned(),
            label: "JSON webhook".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            object_types: source::Object::ALL
                .iter()
                .map(|one| one.describe())
                .collect(),
            // The body is the array itself.
            delivery: BodyDescription {
                elements: Vec::new(),
                account: Some(path("workspace")),
                records: vec![path("id")],
            },
            journal_file: None,
            // Nothing can be asked of it: a delivery has all that there is.
            records_page: None,
            associations_page: None,
        }
    }
}

impl contract::definitions::Guest for Component {
    fn define() -> Vec<ObjectProperties> {
        source::Object::ALL
            .iter()
            .map(|one| definitions::of(*one))
            .collect()
    }
}

impl contract::parse::Guest for Component {
    type Parsed = parse::Parsed;

    fn parse(kind: BodyKind, elements: Vec<u8>) -> Result<contract::parse::Parsed, ParseError> {
        parse::parse(&kind, &elements).map(contract::parse::Parsed::new)
    }
}

impl contract::parse::GuestParsed for parse::Parsed {
    fn refusals(&self) -> Vec<Refusal> {
        self.refusals()
    }

    fn changes(&self, interests: Vec<Interest>) -> Vec<Change> {
        self.changes(&interests)
    }

    fn records(&self, properties: Vec<String>) -> Vec<SourceRecord> {
        self.records(&properties)
    }

    fn associations(&self) -> Vec<AssociationSet> {
        Vec::new()
    }
}

impl contract::matching::Guest for Component {
    fn needs(
        object_type: String,
        rule: Option<MatchingRule>,
        selection: Option<Selection>,
    ) -> Result<NeededProperties, RuleError> {
        matching::needs(&object_type, rule.as_ref(), selection.as_ref())
    }

    fn match_keys(page: ParsedBorrow<'_>, rule: MatchingRule) -> Vec<RecordKeys> {
        matching::match_keys(page.get::<parse::Parsed>(), &rule)
    }
}

impl contract::transform::Guest for Component {
    fn suitable(properties: Vec<PropertyDefinition>) -> Vec<SuitableTypes> {
        properties.iter().map(transform::suitable).collect()
    }

    fn convert(
        body: ParsedBorrow<'_>,
        fields: Vec<FieldMapping>,
        tables: Vec<OptionTable>,
    ) -> Vec<Converted> {
        transform::convert(body.get::<parse::Parsed>(), &fields, &tables)
    }

    fn convert_stored(
        texts: Vec<StoredText>,
        fields: Vec<FieldMapping>,
        tables: Vec<OptionTable>,
    ) -> Vec<Result<Value, Unreadable>> {
        transform::convert_stored(&texts, &fields, &tables)
    }
}
