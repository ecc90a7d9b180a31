//! From a property and its mapping to a typed value, or the reason why there is none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::contract::{PropertyDefinition, Value, VariableType};
use crate::hubspot::{Object, REDACTED};
use crate::moment;
use crate::parse::Parsed;
use crate::t::{
    Converted, FieldMapping, OptionTable, Shown, StoredText, SuitableTypes, Unreadable,
};
use crate::value;

/// What a property's values are, by HubSpot's type and field type (D/api-reference/latest/crm/properties/guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PropertyKind {
    /// Free text, telephone numbers among it, and whatever is unknown.
    Text,
    Number,
    Boolean,
    Date,
    Datetime,
    /// One of several choices.
    Choice,
    /// Any of several choices.
    Choices,
    /// For machines alone.
    Opaque,
}

impl PropertyKind {
    pub(crate) fn of(property: &PropertyDefinition) -> Self {
        match (&*property.property_type, &*property.field_type) {
            ("number", _) => PropertyKind::Number,
            ("bool", _) | ("enumeration", "booleancheckbox") => PropertyKind::Boolean,
            ("date", _) => PropertyKind::Date,
            ("datetime", _) => PropertyKind::Datetime,
            ("enumeration", "checkbox") => PropertyKind::Choices,
            ("enumeration", _) => PropertyKind::Choice,
            ("json" | "object_coordinates", _) => PropertyKind::Opaque,
            _ => PropertyKind::Text,
        }
    }

    /// What it can be converted to, the suggested type first.
    fn variable_types(self) -> &'static [VariableType] {
        use VariableType::{Boolean, Date, Datetime, List, Number, Text};
        match self {
            PropertyKind::Text => &[Text],
            PropertyKind::Number => &[Number, Text],
            PropertyKind::Boolean => &[Boolean, Text],
            PropertyKind::Date => &[Date, Datetime, Text],
            PropertyKind::Datetime => &[Datetime, Date, Text],
            PropertyKind::Choice => &[Text, List],
            PropertyKind::Choices => &[List, Text],
            PropertyKind::Opaque => &[],
        }
    }
}

/// The variable types that a property can be mapped to.
pub(crate) fn suitable(property: &PropertyDefinition) -> SuitableTypes {
    let possible = PropertyKind::of(property).variable_types();
    SuitableTypes {
        suggested: possible.first().copied(),
        possible: possible.to_vec(),
    }
}

/// Converts every change of a property, or every record of a page.
pub(crate) fn convert(
    body: &Parsed,
    fields: &[FieldMapping],
    tables: &[OptionTable],
) -> Vec<Converted> {
    let labels = labels(fields, tables);
    let fields: Vec<(u32, Field<'_>)> = (0..)
        .zip(fields.iter().map(|field| Field::new(field, &labels)))
        .collect();
    let mut converted = Vec::new();
    if let Some(object) = body.page_of() {
        let of_page: Vec<_> = fields
            .iter()
            .filter(|(_, field)| field.object == Some(object))
            .collect();
        let names: Vec<&str> = of_page.iter().map(|(_, field)| field.name).collect();
        body.each_record(&names, |record, texts| {
            for ((index, field), text) in of_page.iter().zip(texts) {
                if let Some(text) = text {
                    converted.push(Converted {
                        element: record.element,
                        field: *index,
                        outcome: field.convert(text),
                    });
                }
            }
        });
        return converted;
    }
    let mut by_property: BTreeMap<(Object, &str), Vec<&(u32, Field<'_>)>> = BTreeMap::new();
    for field in &fields {
        if let Some(object) = field.1.object {
            by_property
                .entry((object, field.1.name))
                .or_default()
                .push(field);
        }
    }
    body.each_property_change(|element, object, name, text| {
        for (index, field) in by_property.get(&(object, name)).into_iter().flatten() {
            converted.push(Converted {
                element,
                field: *index,
                outcome: field.convert(text),
            });
        }
    });
    converted
}

/// Converts texts that were kept.
pub(crate) fn convert_stored(
    texts: &[StoredText],
    fields: &[FieldMapping],
    tables: &[OptionTable],
) -> Vec<Result<Value, Unreadable>> {
    let labels = labels(fields, tables);
    let fields: Vec<Field<'_>> = fields
        .iter()
        .map(|field| Field::new(field, &labels))
        .collect();
    let convert = |stored: &StoredText| match fields.get(stored.field as usize) {
        Some(field) => field.convert(&stored.text),
        None => Err(Unreadable::Malformed),
    };
    texts.iter().map(convert).collect()
}

/// Labels of choices by their internal values.
type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// The labels of the tables that are asked for, by the table's index.
fn labels<'a>(fields: &[FieldMapping], tables: &'a [OptionTable]) -> BTreeMap<u32, Labels<'a>> {
    let asked = fields
        .iter()
        .filter(|field| field.show == Shown::Label)
        .filter_map(|field| field.options);
    let mut all = BTreeMap::new();
    for index in asked {
        if let Some(table) = tables.get(index as usize) {
            all.entry(index).or_insert_with(|| {
                let shown = table
                    .choices
                    .iter()
                    .filter(|choice| !choice.label.is_empty());
                shown
                    .map(|choice| (&*choice.value, &*choice.label))
                    .collect()
            });
        }
    }
    all
}

/// A field mapping, looked into once for all texts.
struct Field<'a> {
    object: Option<Object>,
    name: &'a str,
    kind: PropertyKind,
    target: VariableType,
    shows_labels: bool,
    /// The labels; none where internal values are shown, or the choices are not known.
    labels: Option<&'a Labels<'a>>,
}

impl<'a> Field<'a> {
    fn new(field: &'a FieldMapping, labels: &'a BTreeMap<u32, Labels<'a>>) -> Self {
        let shows_labels = field.show == Shown::Label;
        Field {
            object: Object::named(&field.object_type),
            name: &field.property.name,
            kind: PropertyKind::of(&field.property),
            target: field.target,
            shows_labels,
            labels: field
                .options
                .filter(|_| shows_labels)
                .and_then(|table| labels.get(&table)),
        }
    }

    fn convert(&self, text: &str) -> Result<Value, Unreadable> {
        if text.is_empty() {
            return Ok(Value::Empty);
        }
        if text == REDACTED {
            return Err(Unreadable::Redacted);
        }
        if !self.kind.variable_types().contains(&self.target) {
            return Err(Unreadable::Malformed);
        }
        match self.target {
            VariableType::Text => value::text(self.written(text)?),
            VariableType::Number => value::number(text),
            VariableType::Boolean => value::boolean(text),
            VariableType::Date => value::date(text),
            VariableType::Datetime => value::datetime(text),
            VariableType::List => value::list(&self.items(text)?),
        }
    }

    /// What a text variable says: one form for values that HubSpot writes in several, else what HubSpot wrote.
    fn written<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Unreadable>
    where
        'a: 't,
    {
        Ok(match self.kind {
            PropertyKind::Boolean => {
                let plain = if value::read_boolean(text)? {
                    "true"
                } else {
                    "false"
                };
                // Of a boolean, not knowing the choices is no hindrance: it has but two.
                Cow::Borrowed(
                    self.labels
                        .and_then(|labels| labels.get(plain))
                        .copied()
                        .unwrap_or(plain),
                )
            }
            PropertyKind::Date => Cow::Owned(moment::write_day(moment::day(moment::read(text)?))),
            PropertyKind::Datetime => Cow::Owned(moment::write(moment::read(text)?)),
            PropertyKind::Choices if self.shows_labels => Cow::Owned(self.items(text)?.join("; ")),
            PropertyKind::Choice => Cow::Borrowed(self.shown(text)?),
            PropertyKind::Text
            | PropertyKind::Number
            | PropertyKind::Choices
            | PropertyKind::Opaque => Cow::Borrowed(text),
        })
    }

    /// What is shown of each choice that a text holds.
    fn items<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, Unreadable>
    where
        'a: 't,
    {
        if self.kind == PropertyKind::Choices {
            value::distinct(value::items(text).map(|item| self.shown(item)))
        } else {
            Ok(vec![self.shown(text)?])
        }
    }

    /// What is shown of a choice.
    fn shown<'t>(&self, choice: &'t str) -> Result<&'t str, Unreadable>
    where
        'a: 't,
    {
        if !self.shows_labels {
            return Ok(choice);
        }
        let label = self.labels.and_then(|labels| labels.get(choice)).copied();
        label.ok_or_else(|| Unreadable::UnknownChoice(choice.to_owned()))
    }
}
