//! Running components: what a pass gives, and what becomes of components that
//! trap, spin, hoard, or answer what the contract does not allow.

mod checks;
mod connector;
mod dictated;
mod faults;
mod hostile;
mod install;
mod kept;
mod pass;
mod shadow;
mod split;
mod versions;

use std::sync::OnceLock;
use std::time::Duration;

use harness::components;
use jimo_connect::model::{
    MatchingRule, ObjectType, PropertyDefinition, Shown, Timestamp, UserIdentifier, VariableType,
};
use jimo_connect::plugin::{
    BodyKind, Conversion, ConversionField, Engine, Fault, Interest, Limits, Pass, PassOutput,
    Version, join,
};

/// When everything here is received: 2026-01-02T03:04:05Z.
const RECEIVED_AT: Timestamp = Timestamp(1_767_323_045_000);

/// The limits of the tests: tight where reaching them takes long, and yet so
/// wide that a busy machine does not.
fn limits() -> Limits {
    Limits {
        pass_deadline: Duration::from_secs(1),
        output_bytes_max: 8 << 20,
        ..Limits::default()
    }
}

/// One engine for all tests, as there is one in a process.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&limits()).expect("an engine"))
}

/// The component that does as its input says.
fn misbehaving() -> &'static Version {
    static VERSION: OnceLock<Version> = OnceLock::new();
    VERSION.get_or_init(|| engine().load(components::misbehaving()).expect("a version"))
}

fn definition(name: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: name.into(),
        property_type: "string".into(),
        field_type: "text".into(),
    }
}

fn field(name: &str, target: VariableType) -> ConversionField {
    ConversionField {
        object_type: "contacts".into(),
        property: definition(name),
        target,
        show: Shown::InternalValue,
        options: None,
    }
}

/// Runs a pass over elements of contacts: with an interest in `city` and
/// `size`, of which the first is converted to a variable of the type given.
fn run_to(body: BodyKind, elements: &[&str], target: VariableType) -> Result<PassOutput, Fault> {
    let elements: Vec<&[u8]> = elements.iter().map(|element| element.as_bytes()).collect();
    let rule = MatchingRule {
        property: definition("city"),
        identifier: UserIdentifier::Email,
    };
    misbehaving().run(&Pass {
        body,
        elements: &join(elements.iter().copied()),
        element_count: elements.len(),
        received_at: RECEIVED_AT,
        interests: &[Interest {
            object_type: "contacts".into(),
            properties: vec!["city".into(), "size".into()],
        }],
        conversions: &[Conversion {
            fields: vec![field("city", target)],
            tables: vec![],
        }],
        rules: &[(ObjectType::from("contacts"), rule)],
    })
}

fn run(body: BodyKind, elements: &[&str]) -> Result<PassOutput, Fault> {
    run_to(body, elements, VariableType::Text)
}

fn delivery(elements: &[&str]) -> Result<PassOutput, Fault> {
    run(BodyKind::Delivery, elements)
}

fn page(elements: &[&str]) -> Result<PassOutput, Fault> {
    run(BodyKind::Records("contacts".into()), elements)
}

fn associations(elements: &[&str]) -> Result<PassOutput, Fault> {
    run(
        BodyKind::Associations {
            from: "contacts".into(),
            to: "companies".into(),
        },
        elements,
    )
}
