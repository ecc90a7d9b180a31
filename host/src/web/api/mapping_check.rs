//! A mapping document, checked against what the plugin describes and what the
//! source defines.

use std::collections::HashMap;

use super::{
    mapping_document::{
        Document, EMAIL, EXTERNAL_ID, FieldDocument, MatchingDocument, ObjectDocument, OwnMatching,
        ThroughMatching, VARIABLE,
    },
    variables::check_name,
};
use crate::{
    model::{
        FieldId, FieldMapping, MappingId, MatchingRule, ObjectMapping, ObjectType,
        PropertyDefinition, PropertyName, Shown, Timestamp, UserIdentifier, VariableId,
        VariableType,
    },
    plugin::{ObjectTypeDescription, Version},
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
    /// Properties whose choices it depends on, and where in the document each
    /// is asked for.
    pub choices: Vec<(PropertyName, String)>,
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

/// One object type of a document, and what is known of it.
pub(super) struct Context<'a> {
    document: &'a Document,
    pub(super) plugin: &'a Version,
    pub(super) described: &'a ObjectTypeDescription,
    definitions: &'a [Definition],
    pub(super) pointer: String,
}

impl Context<'_> {
    fn draft(&self, object: &ObjectDocument, errors: &mut Vec<InputError>) -> Option<Draft> {
        let known = errors.len();
        let matching = self.matching(object, errors);
        let selection = self.selection(object, errors);
        let mut fields = Vec::new();
        let mut choices = Vec::new();
        for (index, field) in object.fields.iter().enumerate() {
            let pointer = format!("{}/fields/{index}", self.pointer);
            fields.extend(self.field(field, pointer, &mut choices, errors));
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
        self.closing_fields(&mut mapping, &mut choices, errors);
        (errors.len() == known).then(|| Draft {
            pointer: self.pointer.clone(),
            mapping,
            matched_variable,
            fields,
            choices,
        })
    }

    pub(super) fn definition(&self, name: &PropertyName) -> Option<&Definition> {
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
        let default = || MatchingDocument::default_of(self.described);
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

    fn field(
        &self,
        asked: &FieldDocument,
        pointer: String,
        choices: &mut Vec<(PropertyName, String)>,
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
            let pointer = format!("{pointer}/show");
            if definition.choices_at.is_none() {
                errors.push(InputError::new(
                    pointer,
                    format!("{} has no choices, so no labels.", asked.property),
                ));
                return None;
            }
            choices.push((asked.property.clone(), pointer));
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

pub(super) fn field(
    property: PropertyDefinition,
    target: VariableType,
    show: Shown,
) -> FieldMapping {
    FieldMapping {
        id: FieldId(0),
        property,
        variable: None,
        target,
        show,
        saved_at: Timestamp::default(),
    }
}

pub(super) fn no_property(pointer: &str, property: &PropertyName) -> InputError {
    InputError::new(
        pointer,
        format!(
            "The HubSpot account has no property {:?} here.",
            property.as_str()
        ),
    )
}
