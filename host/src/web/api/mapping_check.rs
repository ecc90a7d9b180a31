//! A mapping document, checked against what the plugin describes and what the
//! source defines.

use std::collections::HashMap;

use super::{
    mapping_document::{
        Document, EMAIL, EXTERNAL_ID, FieldDocument, MatchingDocument, ObjectDocument, OwnMatching,
        RuleDocument, SelectionDocument, ThroughMatching, VARIABLE,
    },
    variables::check_name,
};
use crate::{
    model::{
        Choice, FieldId, FieldMapping, MappingId, MatchingRule, ObjectMapping, ObjectType,
        OptionTable, PropertyDefinition, PropertyName, Selection, SelectionRule, Shown, Timestamp,
        UserIdentifier, VariableId, VariableType,
    },
    plugin::{ObjectTypeDescription, RuleError, Version},
    sync::definitions::Definition,
    web::problem::{InputError, step},
};

/// A mapping that is good by the source's definitions; its variables are still
/// to be found.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it stands in the document.
    pub pointer: String,
    /// The mapping, its variables left out.
    pub mapping: ObjectMapping,
    /// The user's side of the matching rule, where it is a variable.
    pub matched_variable: Option<String>,
    /// Its fields.
    pub fields: Vec<DraftField>,
    /// The choices of properties whose labels are shown.
    pub options: Vec<(PropertyName, OptionTable)>,
}

/// A field whose variable is still to be found.
#[derive(Clone, Debug)]
pub struct DraftField {
    /// Where it stands in the document.
    pub pointer: String,
    /// The field, with the type that its property suggests.
    pub mapping: FieldMapping,
    /// The variable's name.
    pub name: String,
    /// The type that the document asks for.
    pub asked_type: Option<VariableType>,
    /// The types that the property can be converted to.
    pub possible: Vec<VariableType>,
    /// Whether a variable that holds values may be taken over.
    pub take_over: bool,
}

/// Checks a document against what the plugin describes and the source defines.
/// Runs the plugin: not for a thread of the runtime.
pub fn check(
    document: &Document,
    plugin: &Version,
    definitions: &HashMap<ObjectType, Vec<Definition>>,
) -> Result<Vec<Draft>, Vec<InputError>> {
    let mut errors = Vec::new();
    let mut drafts = Vec::new();
    for (object_type, object) in document {
        let pointer = format!("/{}", step(object_type.as_str()));
        let known = plugin
            .description()
            .object_type(object_type)
            .zip(definitions.get(object_type));
        let Some((described, definitions)) = known else {
            errors.push(InputError::new(pointer, "There is no such object type."));
            continue;
        };
        let context = Context {
            document,
            plugin,
            described,
            definitions,
            pointer,
        };
        drafts.extend(context.draft(object, &mut errors));
    }
    if errors.is_empty() {
        Ok(drafts)
    } else {
        Err(errors)
    }
}

struct Context<'a> {
    document: &'a Document,
    plugin: &'a Version,
    described: &'a ObjectTypeDescription,
    definitions: &'a [Definition],
    pointer: String,
}

impl Context<'_> {
    fn draft(&self, object: &ObjectDocument, errors: &mut Vec<InputError>) -> Option<Draft> {
        let known = errors.len();
        let matching = self.matching(object, errors);
        let selection = self.selection(object, errors);
        let mut fields = Vec::new();
        let mut options = Vec::new();
        for (index, field) in object.fields.iter().enumerate() {
            let pointer = format!("{}/fields/{index}", self.pointer);
            fields.extend(self.field(field, pointer, &mut options, errors));
        }
        if errors.len() > known {
            return None;
        }
        let (matching, matched_variable, through) = matching?;
        let mut mapping = ObjectMapping {
            id: MappingId(0),
            object_type: self.described.name.clone(),
            matching,
            through,
            selection,
            fields: Vec::new(),
            matching_properties: Vec::new(),
            selection_properties: Vec::new(),
            bookkeeping_properties: Vec::new(),
        };
        if let Some(property) = mapping
            .selection
            .as_ref()
            .and_then(|selection| selection.property.as_ref())
        {
            mapping.fields.extend(self.ranking_field(property, errors));
        }
        self.needs(&mut mapping, errors);
        (errors.len() == known).then(|| Draft {
            pointer: self.pointer.clone(),
            mapping,
            matched_variable,
            fields,
            options,
        })
    }

    fn definition(&self, name: &PropertyName) -> Option<&Definition> {
        self.definitions
            .iter()
            .find(|definition| definition.property.name == *name)
    }

    fn matching(
        &self,
        object: &ObjectDocument,
        errors: &mut Vec<InputError>,
    ) -> Option<(Option<MatchingRule>, Option<String>, Option<ObjectType>)> {
        let pointer = format!("{}/matching", self.pointer);
        let default = || match (
            &self.described.default_match_property,
            &self.described.through[..],
        ) {
            (Some(property), _) => MatchingDocument::Own(OwnMatching {
                property: property.clone(),
                user: EMAIL.into(),
            }),
            (None, [first, ..]) => MatchingDocument::Through(ThroughMatching {
                through: first.clone(),
            }),
            (None, []) => MatchingDocument::Own(OwnMatching {
                property: "email".into(),
                user: EMAIL.into(),
            }),
        };
        match object.matching.clone().unwrap_or_else(default) {
            MatchingDocument::Through(ThroughMatching { through }) => {
                if !self.described.through.contains(&through) {
                    errors.push(InputError::new(
                        format!("{pointer}/through"),
                        format!("{} cannot follow {through}.", self.described.label),
                    ));
                    return None;
                }
                if !self.document.contains_key(&through) {
                    let said = object.matching.is_some();
                    errors.push(InputError::new(
                        if said {
                            format!("{pointer}/through")
                        } else {
                            self.pointer.clone()
                        },
                        format!(
                            "{} follow {through}, which are not mapped: map them too, with or \
                             without fields.",
                            self.described.label
                        ),
                    ));
                    return None;
                }
                Some((None, None, Some(through)))
            }
            MatchingDocument::Own(OwnMatching { property, user }) => {
                let (identifier, variable) = match user.as_str() {
                    EMAIL => (UserIdentifier::Email, None),
                    EXTERNAL_ID => (UserIdentifier::ExternalId, None),
                    other => match other.strip_prefix(VARIABLE) {
                        // Its id is found when the mapping is saved.
                        Some(name) => (
                            UserIdentifier::Variable(VariableId(0)),
                            Some(name.to_owned()),
                        ),
                        None => {
                            errors.push(InputError::new(
                                format!("{pointer}/user"),
                                "This is `email`, `external_id` or `variable:NAME`.",
                            ));
                            return None;
                        }
                    },
                };
                let Some(definition) = self.definition(&property) else {
                    errors.push(no_property(&format!("{pointer}/property"), &property));
                    return None;
                };
                let property = definition.definition();
                Some((
                    Some(MatchingRule {
                        property,
                        identifier,
                    }),
                    variable,
                    None,
                ))
            }
        }
    }

    fn selection(
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
        if prefer_open {
            errors.push(InputError::new(
                format!("{pointer}/prefer_open"),
                "Open records cannot be preferred yet: leave it out.",
            ));
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

    fn ranking_field(
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

    fn needs(&self, mapping: &mut ObjectMapping, errors: &mut Vec<InputError>) {
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
                    "The plugin could not check this; the host's log says why.".into(),
                )
            }
        };
        errors.push(InputError::new(format!("{}{place}", self.pointer), detail));
    }

    fn field(
        &self,
        asked: &FieldDocument,
        pointer: String,
        options: &mut Vec<(PropertyName, OptionTable)>,
        errors: &mut Vec<InputError>,
    ) -> Option<DraftField> {
        let Some(definition) = self.definition(&asked.property) else {
            errors.push(no_property(&format!("{pointer}/property"), &asked.property));
            return None;
        };
        let Some(suggested) = definition.suitable.suggested else {
            errors.push(InputError::new(
                format!("{pointer}/property"),
                format!(
                    "{} holds nothing that people read: it cannot be mapped.",
                    asked.property
                ),
            ));
            return None;
        };
        if let Err(detail) = check_name(&asked.variable) {
            errors.push(InputError::new(format!("{pointer}/variable"), detail));
            return None;
        }
        if asked.show == Shown::Label {
            if definition.property.options.is_empty() {
                errors.push(InputError::new(
                    format!("{pointer}/show"),
                    format!("{} has no choices, so no labels.", asked.property),
                ));
                return None;
            }
            options.push((asked.property.clone(), choices(definition)));
        }
        Some(DraftField {
            mapping: field(definition.definition(), suggested, asked.show),
            pointer,
            name: asked.variable.clone(),
            asked_type: asked.variable_type,
            possible: definition.suitable.possible.clone(),
            take_over: asked.take_over,
        })
    }
}

fn field(property: PropertyDefinition, target: VariableType, show: Shown) -> FieldMapping {
    FieldMapping {
        id: FieldId(0),
        property,
        variable: None,
        target,
        show,
        saved_at: Timestamp::default(),
    }
}

fn choices(definition: &Definition) -> OptionTable {
    let mut choices: Vec<Choice> = definition
        .property
        .options
        .iter()
        .map(|option| Choice {
            value: option.value.clone(),
            label: option.label.clone(),
            closed: None,
        })
        .collect();
    choices.sort_by(|one, other| one.value.cmp(&other.value));
    choices.dedup_by(|one, other| one.value == other.value);
    OptionTable { choices }
}

fn no_property(pointer: &str, property: &PropertyName) -> InputError {
    InputError::new(
        pointer,
        format!(
            "The HubSpot account has no property {:?} here.",
            property.as_str()
        ),
    )
}
