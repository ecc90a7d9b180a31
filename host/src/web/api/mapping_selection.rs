//! How a document says that one of several records is selected, checked; and the
//! properties that rules and selections need.

use super::{
    mapping_check::{Context, field, no_property},
    mapping_document::{ObjectDocument, RuleDocument, SelectionDocument},
};
use crate::{
    model::{
        FieldMapping, ObjectMapping, PropertyName, Selection, SelectionRule, Shown, VariableType,
    },
    plugin::RuleError,
    web::problem::InputError,
};

impl Context<'_> {
    pub(super) fn selection(
        &self,
        object: &ObjectDocument,
        errors: &mut Vec<InputError>,
    ) -> Option<Selection> {
        let pointer = format!("{}/selection", self.pointer);
        let default = self.described.selections.first().copied();
        let (rule, property, prefer_open) = match object.selection.clone() {
            None => (default?, None, false),
            Some(SelectionDocument::Name(rule)) => (rule, None, false),
            Some(SelectionDocument::Rule(RuleDocument {
                rule,
                property,
                prefer_open,
            })) => (rule, property, prefer_open),
        };
        if !self.described.selections.contains(&rule) {
            errors.push(InputError::new(
                pointer,
                format!("{} cannot be selected in this way.", self.described.label),
            ));
            return None;
        }
        if (rule == SelectionRule::Largest) != property.is_some() {
            errors.push(InputError::new(
                format!("{pointer}/property"),
                "`largest` names the number property that it ranks by; no other rule does.",
            ));
        }
        Some(Selection {
            rule,
            property,
            prefer_open,
        })
    }

    pub(super) fn ranking_field(
        &self,
        property: &PropertyName,
        errors: &mut Vec<InputError>,
    ) -> Option<FieldMapping> {
        let pointer = format!("{}/selection/property", self.pointer);
        let Some(definition) = self.definition(property) else {
            errors.push(no_property(&pointer, property));
            return None;
        };
        if !definition.suitable.possible.contains(&VariableType::Number) {
            errors.push(InputError::new(
                pointer,
                format!("{property} is no number."),
            ));
            return None;
        }
        Some(field(
            definition.definition(),
            VariableType::Number,
            Shown::InternalValue,
        ))
    }

    /// Adds the fields that say whether a record is closed, where open ones come
    /// first.
    pub(super) fn closing_fields(
        &self,
        mapping: &mut ObjectMapping,
        choices: &mut Vec<(PropertyName, String)>,
        errors: &mut Vec<InputError>,
    ) {
        let Some(selection) = mapping.selection.as_ref().filter(|one| one.prefer_open) else {
            return;
        };
        let needed = mapping.selection_properties.iter();
        let needed = needed.filter(|name| selection.property.as_ref() != Some(name));
        for property in needed {
            let pointer = format!("{}/selection/prefer_open", self.pointer);
            match self.definition(property) {
                Some(definition) => {
                    let definition = definition.definition();
                    let (target, show) = (VariableType::Text, Shown::InternalValue);
                    mapping.fields.push(field(definition, target, show));
                    choices.push((property.clone(), pointer));
                }
                None => errors.push(no_property(&pointer, property)),
            }
        }
    }

    pub(super) fn needs(&self, mapping: &mut ObjectMapping, errors: &mut Vec<InputError>) {
        let (rule, selection) = (mapping.matching.as_ref(), mapping.selection.as_ref());
        let (place, detail) = match self.plugin.needs(&mapping.object_type, rule, selection) {
            Ok(Ok(needs)) => {
                mapping.matching_properties = needs.matching;
                mapping.selection_properties = needs.selection;
                mapping.bookkeeping_properties = needs.bookkeeping;
                return;
            }
            Ok(Err(error @ RuleError::UnsuitableProperty)) => ("/matching", error.to_string()),
            Ok(Err(error @ RuleError::UnsupportedSelection)) => ("/selection", error.to_string()),
            Ok(Err(error @ RuleError::UnknownObjectType)) => ("", error.to_string()),
            Err(fault) => {
                tracing::error!(%fault, "the plugin could not say what a rule needs");
                (
                    "",
                    "The plugin could not check this; the host’s log says why.".into(),
                )
            }
        };
        errors.push(InputError::new(format!("{}{place}", self.pointer), detail));
    }
}
