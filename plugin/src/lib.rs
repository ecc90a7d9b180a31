//! The HubSpot component of Jimo Connect: what HubSpot's bytes say, whom they concern, and which values they hold.
//!
//! Pure functions: nothing here reads a clock, a file or a network, and nothing outlives a pass. The contract is `wit/`,
//! each of its interfaces is one module here, and [`Component`] hands each call to its module. Built for WebAssembly it
//! is the component; built for anything else it is a plain library, for its own tests.

mod describe;
mod event;
mod hubspot;
mod json;
mod matching;
mod moment;
mod page;
mod parse;
mod transform;
mod value;

/// The contract's types and calls, generated from `wit/`.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
mod contract {
    wit_bindgen::generate!({ path: "../wit", world: "connector", additional_derives: [PartialEq] });

    pub(crate) use exports::jimo::connect::{describe, matching, parse, transform};
    pub(crate) use jimo::connect::types;

    // Natively the exported symbols would have no component to belong to, and would not link.
    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use contract::matching::{MatchingRule, NeededProperties, RecordKeys, RuleError, Selection};
use contract::parse::{
    AssociationSet, BodyKind, Change, Interest, ParseError, ParsedBorrow, Refusal, SourceRecord,
};
use contract::transform::{
    Converted, FieldMapping, OptionTable, StoredText, SuitableTypes, Unreadable,
};
use contract::types::{PropertyDefinition, Value};

/// The component: the contract's functions, each handed to the module of its interface.
#[derive(Debug)]
pub struct Component;

impl contract::describe::Guest for Component {
    fn describe() -> contract::describe::Description {
        describe::describe()
    }
}

impl contract::parse::Guest for Component {
    type Parsed = parse::Parsed;

    fn parse(kind: BodyKind, elements: Vec<u8>) -> Result<contract::parse::Parsed, ParseError> {
        parse::parse(&kind, elements).map(contract::parse::Parsed::new)
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
        self.associations()
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
