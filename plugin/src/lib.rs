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

/// The contract's types, generated from `wit/`.
#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../wit", world: "connector", additional_derives: [PartialEq] });

    // Natively the exported symbols would have no component to belong to, and would not link.
    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use bindings::exports::jimo::connect::{describe as d, matching as m, parse as p, transform as t};
use bindings::jimo::connect::types as contract;

/// The component: the contract's functions, each handed to the module of its interface.
#[derive(Debug)]
pub struct Component;

impl d::Guest for Component {
    fn describe() -> d::Description {
        describe::describe()
    }
}

impl p::Guest for Component {
    type Parsed = parse::Parsed;

    fn parse(kind: p::BodyKind, elements: Vec<u8>) -> Result<p::Parsed, p::ParseError> {
        parse::parse(&kind, elements).map(p::Parsed::new)
    }
}

impl p::GuestParsed for parse::Parsed {
    fn refusals(&self) -> Vec<p::Refusal> {
        self.refusals()
    }

    fn changes(&self, interests: Vec<p::Interest>) -> Vec<p::Change> {
        self.changes(&interests)
    }

    fn records(&self, properties: Vec<String>) -> Vec<p::SourceRecord> {
        self.records(&properties)
    }

    fn associations(&self) -> Vec<p::AssociationSet> {
        self.associations()
    }
}

impl m::Guest for Component {
    fn needs(
        object_type: String,
        rule: Option<m::MatchingRule>,
        selection: Option<m::Selection>,
    ) -> Result<m::NeededProperties, m::RuleError> {
        matching::needs(&object_type, rule.as_ref(), selection.as_ref())
    }

    fn match_keys(page: p::ParsedBorrow<'_>, rule: m::MatchingRule) -> Vec<m::RecordKeys> {
        matching::match_keys(page.get::<parse::Parsed>(), &rule)
    }
}

impl t::Guest for Component {
    fn suitable(properties: Vec<contract::PropertyDefinition>) -> Vec<t::SuitableTypes> {
        properties.iter().map(transform::suitable).collect()
    }

    fn convert(
        body: p::ParsedBorrow<'_>,
        fields: Vec<t::FieldMapping>,
        tables: Vec<t::OptionTable>,
    ) -> Vec<t::Converted> {
        transform::convert(body.get::<parse::Parsed>(), &fields, &tables)
    }

    fn convert_stored(
        texts: Vec<t::StoredText>,
        fields: Vec<t::FieldMapping>,
        tables: Vec<t::OptionTable>,
    ) -> Vec<Result<contract::Value, t::Unreadable>> {
        transform::convert_stored(&texts, &fields, &tables)
    }
}
