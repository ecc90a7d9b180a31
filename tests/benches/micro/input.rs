//! A delivery of a hundred property changes, as large as HubSpot's, and what a
//! connection with ten mapped properties asks of it.

use std::sync::LazyLock;

use jimo_connect::{
    clock::Clock,
    model::{PropertyDefinition, Shown, Timestamp, VariableType},
    plugin::{
        BodyKind, Conversion, ConversionField, EMBEDDED, Engine, Interest, Limits, Pass,
        PassOutput, Version,
    },
};

use crate::{contract, parse};

/// Events of the delivery.
pub const EVENTS: usize = 100;

/// Mapped properties.
const PROPERTIES: usize = 10;

/// The delivery: some 32 KB.
pub static DELIVERY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let event = |at: usize| {
        format!(
            r#"{{"eventId":{},"subscriptionId":6527601,"portalId":48975575,"appId":39522895,"occurredAt":{},"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":{},"propertyName":"property_{}","propertyValue":"a value of some length {at}","changeSource":"INTEGRATION","sourceId":"39522895","isSensitive":false}}"#,
            2_147_210_845 + at,
            1_782_371_969_536_u64 + at as u64,
            508_369_434_347_u64 + at as u64,
            at % PROPERTIES,
        )
    };
    let events: Vec<String> = (0..EVENTS).map(event).collect();
    format!("[{}]", events.join(",")).into_bytes()
});

/// The plugin, as the host runs it.
pub static PLUGIN: LazyLock<Version> = LazyLock::new(|| {
    let engine = Engine::new(&Limits::default()).unwrap();
    engine.load(EMBEDDED).unwrap()
});

static INTERESTS: LazyLock<Vec<Interest>> = LazyLock::new(|| {
    vec![Interest {
        object_type: "contacts".into(),
        properties: properties().map(|name| name.as_str().into()).collect(),
    }]
});

static CONVERSIONS: LazyLock<Vec<Conversion>> = LazyLock::new(|| {
    let field = |name: String| ConversionField {
        object_type: "contacts".into(),
        property: PropertyDefinition {
            name: name.as_str().into(),
            property_type: "string".into(),
            field_type: "text".into(),
        },
        target: VariableType::Text,
        show: Shown::InternalValue,
        options: None,
    };
    vec![Conversion {
        fields: properties().map(field).collect(),
        tables: Vec::new(),
    }]
});

fn properties() -> impl Iterator<Item = String> {
    (0..PROPERTIES).map(|property| format!("property_{property}"))
}

/// A pass of the host's over some elements: parsed in a fresh instance, what
/// came out checked, and converted where that is asked for.
pub fn pass(elements: &[u8], element_count: usize, convert: bool) -> PassOutput {
    pass_of(&PLUGIN, elements, element_count, convert)
}

/// [`pass`] of any version.
pub fn pass_of(
    version: &Version,
    elements: &[u8],
    element_count: usize,
    convert: bool,
) -> PassOutput {
    let output = version.run(&Pass {
        body: BodyKind::Delivery,
        elements,
        element_count,
        received_at: received_at(),
        interests: &INTERESTS,
        conversions: if convert { &CONVERSIONS } else { &[] },
        rules: &[],
    });
    output.unwrap()
}

fn received_at() -> Timestamp {
    Clock::system().now()
}

/// What [`native`] asks for.
pub static NATIVE_INTERESTS: LazyLock<Vec<contract::parse::Interest>> = LazyLock::new(|| {
    vec![contract::parse::Interest {
        object_type: "contacts".to_owned(),
        properties: properties().collect(),
    }]
});

static NATIVE_FIELDS: LazyLock<Vec<contract::transform::FieldMapping>> = LazyLock::new(|| {
    let field = |name: String| contract::transform::FieldMapping {
        object_type: "contacts".to_owned(),
        property: contract::types::PropertyDefinition {
            name,
            property_type: "string".to_owned(),
            field_type: "text".to_owned(),
        },
        target: contract::types::VariableType::Text,
        show: contract::transform::Shown::InternalValue,
        options: None,
    };
    properties().map(field).collect()
});

/// The same, by the plugin's code on this machine: how many changes, and how
/// many values.
pub fn native(elements: &[u8], convert: bool) -> (usize, usize) {
    let kind = contract::parse::BodyKind::Delivery;
    let parsed = parse::parse(&kind, elements.to_vec()).unwrap();
    assert!(parsed.refusals().is_empty());
    let changes = parsed.changes(&NATIVE_INTERESTS);
    let values = if convert {
        crate::transform::convert(&parsed, &NATIVE_FIELDS, &[]).len()
    } else {
        0
    };
    (changes.len(), values)
}
