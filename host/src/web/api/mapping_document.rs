//! The document that says how a connection maps: read, checked, and written
//! out again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::variables::check_name;
use crate::{
    model::{
        Choice, ConnectionId, FieldId, FieldMapping, MappingId, MatchingRule, ObjectMapping,
        ObjectType, OptionTable, ProjectId, PropertyDefinition, PropertyName, Selection,
        SelectionRule, Shown, Timestamp, UserIdentifier, VariableId, VariableType,
    },
    pipeline::mapping::NewMappings,
    plugin::{ObjectTypeDescription, RuleError, Version},
    store::{self, Tx},
    sync::definitions::Definition,
    web::error::{InputError, step},
};

/// How a connection maps, by object type.
pub type Document = BTreeMap<ObjectType, ObjectDocument>;

/// How one object type is matched, selected and mapped.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectDocument {
    /// How records reach users; the object type's own way when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<MatchingDocument>,
    /// Which of several records feeds a user; the object type's own way when
    /// not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionDocument>,
    /// The properties that feed variables.
    #[serde(default)]
    pub fields: Vec<FieldDocument>,
}

/// `{property, user}` or `{through}`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum MatchingDocument {
    /// A property of the record equals an identifier of the user.
    Own(OwnMatching),
    /// Records reach the users of the records they are associated to.
    Through(ThroughMatching),
}

/// A property of the record equals an identifier of the user.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnMatching {
    /// The property.
    pub property: PropertyName,
    /// `email`, `external_id` or `variable:NAME`.
    pub user: String,
}

/// Records reach the users of the records they are associated to.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughMatching {
    /// The object type that is followed.
    pub through: ObjectType,
}

/// A selection rule, or its name alone.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SelectionDocument {
    /// The rule's name.
    Name(SelectionRule),
    /// The rule.
    Rule(RuleDocument),
}

/// A selection rule.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    /// The rule's name.
    pub rule: SelectionRule,
    /// The property that `largest` ranks by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub property: Option<PropertyName>,
    /// Whether open records come before closed ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefer_open: bool,
}

/// A property that feeds a variable.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldDocument {
    /// The property.
    pub property: PropertyName,
    /// The variable's name; it is made where there is none.
    pub variable: String,
    /// The variable's type; what the property suggests when it is made and
    /// nothing is said.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub variable_type: Option<VariableType>,
    /// What of a choice is shown.
    #[serde(default, skip_serializing_if = "is_internal_value")]
    pub show: Shown,
    /// Whether a variable that holds values may be taken over.
    #[serde(default, skip_serializing)]
    pub take_over: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_internal_value(show: &Shown) -> bool {
    *show == Shown::InternalValue
}

/// A mapping that is good by the source's definitions; its variables are still
/// to be found.
#[derive(Clone, Debug)]
pub struct Draft {
    pointer: String,
    mapping: ObjectMapping,
    /// The user's side of the matching rule, where it is a variable.
    matched_variable: Option<String>,
    fields: Vec<DraftField>,
    options: Vec<(PropertyName, OptionTable)>,
}

#[derive(Clone, Debug)]
struct DraftField {
    pointer: String,
    mapping: FieldMapping,
    name: String,
    asked_type: Option<VariableType>,
    possible: Vec<VariableType>,
    take_over: bool,
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
        let (matching, matched_variable, through) = self.matching(object, errors)?;
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
                user: "email".into(),
            }),
            (None, [first, ..]) => MatchingDocument::Through(ThroughMatching {
                through: first.clone(),
            }),
            (None, []) => MatchingDocument::Own(OwnMatching {
                property: "email".into(),
                user: "email".into(),
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
                    errors.push(InputError::new(
                        pointer,
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
                    "email" => (UserIdentifier::Email, None),
                    "external_id" => (UserIdentifier::ExternalId, None),
                    other => match other.strip_prefix("variable:") {
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
        format!("The HubSpot account has no property {property:?} here."),
    )
}

/// Finds the drafts' variables, and makes those that are new. Makes nothing
/// where anything is wrong.
pub fn resolve(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    drafts: Vec<Draft>,
    now: Timestamp,
) -> Result<Result<NewMappings, Vec<InputError>>, store::Error> {
    let mut errors = Vec::new();
    let mut names = BTreeSet::new();
    for field in drafts.iter().flat_map(|draft| &draft.fields) {
        if !names.insert(&field.name) {
            errors.push(InputError::new(
                format!("{}/variable", field.pointer),
                format!("{:?} is fed twice in this document.", field.name),
            ));
        }
        errors.extend(check_field(tx, project, connection, field)?);
    }
    for draft in &drafts {
        let Some(name) = &draft.matched_variable else {
            continue;
        };
        let pointer = format!("{}/matching/user", draft.pointer);
        let fed_by_other = match tx.variable(project, name)? {
            None => {
                errors.push(InputError::new(
                    pointer,
                    format!("There is no variable {name:?}."),
                ));
                continue;
            }
            Some(variable) => variable
                .fed_by
                .is_some_and(|fed| fed.connection != connection),
        };
        if fed_by_other || names.contains(name) {
            errors.push(InputError::new(
                pointer,
                format!("{name:?} is fed by HubSpot itself, so nothing can be matched on it."),
            ));
        }
    }
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    let mut new = NewMappings {
        mappings: Vec::new(),
        options: Vec::new(),
    };
    for mut draft in drafts {
        let object_type = draft.mapping.object_type.clone();
        for field in draft.fields {
            let variable = match tx.variable(project, &field.name)? {
                Some(variable) => (variable.id, variable.variable_type),
                None => {
                    let made = field.asked_type.unwrap_or(field.mapping.target);
                    (
                        tx.create_variable(project, &field.name, None, made, now)?,
                        made,
                    )
                }
            };
            draft.mapping.fields.push(FieldMapping {
                variable: Some(variable.0),
                target: variable.1,
                ..field.mapping
            });
        }
        if let (Some(name), Some(rule)) = (&draft.matched_variable, &mut draft.mapping.matching)
            && let Some(variable) = tx.variable(project, name)?
        {
            rule.identifier = UserIdentifier::Variable(variable.id);
        }
        let options = draft.options.into_iter();
        new.options
            .extend(options.map(|(name, table)| (object_type.clone(), name, table)));
        new.mappings.push(draft.mapping);
    }
    Ok(Ok(new))
}

fn check_field(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
    field: &DraftField,
) -> Result<Option<InputError>, store::Error> {
    let held = tx.variable(project, &field.name)?;
    let target = held.as_ref().map(|variable| variable.variable_type);
    if let (Some(held), Some(asked)) = (target, field.asked_type)
        && held != asked
    {
        return Ok(Some(InputError::new(
            format!("{}/type", field.pointer),
            format!("{:?} is a {held} variable already.", field.name),
        )));
    }
    let target = target.or(field.asked_type).unwrap_or(field.mapping.target);
    if !field.possible.contains(&target) {
        return Ok(Some(InputError::new(
            format!("{}/variable", field.pointer),
            format!("{} cannot become a {target}.", field.mapping.property.name),
        )));
    }
    let Some(held) = held else { return Ok(None) };
    let pointer = format!("{}/variable", field.pointer);
    match held.fed_by {
        Some(fed) if fed.connection != connection => Ok(Some(InputError::new(
            pointer,
            format!(
                "{:?} is fed by {} of another connection; a variable has one source.",
                field.name, fed.property
            ),
        ))),
        Some(_) => Ok(None),
        None if !field.take_over && tx.variable_is_used(project, held.id)? => {
            Ok(Some(InputError::new(
                pointer,
                format!(
                    "{:?} holds values that HubSpot's would replace: say `take_over` if it should.",
                    field.name
                ),
            )))
        }
        None => Ok(None),
    }
}

/// A connection's mappings as a document.
pub fn of(
    tx: &Tx<'_>,
    project: ProjectId,
    connection: ConnectionId,
) -> Result<Document, store::Error> {
    let variables: HashMap<VariableId, (String, VariableType)> = tx
        .variables(project)?
        .into_iter()
        .map(|variable| (variable.id, (variable.name, variable.variable_type)))
        .collect();
    let name = |id: VariableId| variables.get(&id).map_or("", |(name, _)| name.as_str());
    let document = tx.mappings(connection)?.into_iter().map(|mapping| {
        let matching = match (mapping.matching, mapping.through) {
            (_, Some(through)) => Some(MatchingDocument::Through(ThroughMatching { through })),
            (Some(rule), None) => Some(MatchingDocument::Own(OwnMatching {
                property: rule.property.name,
                user: match rule.identifier {
                    UserIdentifier::Email => "email".into(),
                    UserIdentifier::ExternalId => "external_id".into(),
                    UserIdentifier::Variable(id) => format!("variable:{}", name(id)),
                },
            })),
            (None, None) => None,
        };
        let fields = mapping.fields.into_iter().filter_map(|field| {
            let (name, variable_type) = variables.get(&field.variable?)?;
            Some(FieldDocument {
                property: field.property.name,
                variable: name.clone(),
                variable_type: Some(*variable_type),
                show: field.show,
                take_over: false,
            })
        });
        let selection = mapping.selection.map(|selection| {
            SelectionDocument::Rule(RuleDocument {
                rule: selection.rule,
                property: selection.property,
                prefer_open: selection.prefer_open,
            })
        });
        (
            mapping.object_type,
            ObjectDocument {
                matching,
                selection,
                fields: fields.collect(),
            },
        )
    });
    Ok(document.collect())
}
