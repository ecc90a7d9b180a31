//! From properties' texts to variables' values.

use crate::{
    contract::{
        transform::{Converted, FieldMapping, OptionTable, StoredText, SuitableTypes, Unreadable},
        types::{PropertyDefinition, Value},
    },
    parse::Parsed,
    value::{Kind, convert_text},
};

/// The types of variable that a property can be mapped to.
pub(crate) fn suitable(property: &PropertyDefinition) -> SuitableTypes {
    let possible = Kind::of(property).variable_types();
    SuitableTypes {
        suggested: possible.first().copied(),
        possible: possible.to_vec(),
    }
}

/// Converts every text of a body, for each field that names its property.
pub(crate) fn convert(
    body: &Parsed,
    fields: &[FieldMapping],
    tables: &[OptionTable],
) -> Vec<Converted> {
    let mut converted = Vec::new();
    for (record, name, text) in body.texts() {
        for (index, field) in (0..).zip(fields) {
            if field.object_type == record.object.name() && field.property.name == name {
                converted.push(Converted {
                    element: record.element,
                    field: index,
                    outcome: convert_text(text, field, tables),
                });
            }
        }
    }
    converted
}

/// Converts texts that were kept.
pub(crate) fn convert_stored(
    texts: &[StoredText],
    fields: &[FieldMapping],
    tables: &[OptionTable],
) -> Vec<Result<Value, Unreadable>> {
    let convert = |stored: &StoredText| match fields.get(stored.field as usize) {
        Some(field) => convert_text(&stored.text, field, tables),
        None => Err(Unreadable::Malformed),
    };
    texts.iter().map(convert).collect()
}
