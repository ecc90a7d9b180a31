//! The document that says how a connection maps: its shape, and the one that
//! a connection has.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use crate::{
    model::{
        ConnectionId, ObjectType, ProjectId, PropertyName, SelectionRule, Shown, UserIdentifier,
        VariableId, VariableType,
    },
    plugin::ObjectTypeDescription,
    store::{self, Tx},
};

/// The user's e-mail address, as a matching rule names it.
pub const EMAIL: &str = "email";

/// The customer's own id of the user, as a matching rule names it.
pub const EXTERNAL_ID: &str = "external_id";

/// What stands before a variable's name in a matching rule.
pub const VARIABLE: &str = "variable:";

/// How a connection maps, by object type.
pub type Document = BTreeMap<ObjectType, ObjectDocument>;

/// How one object type is matched, selected and mapped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
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

impl ObjectDocument {
    /// Whether any of its fields shows labels.
    pub fn shows_labels(&self) -> bool {
        self.fields.iter().any(|field| field.show == Shown::Label)
    }

    /// The properties that it names.
    pub fn properties(&self) -> impl Iterator<Item = &PropertyName> {
        let matching = match &self.matching {
            Some(MatchingDocument::Own(own)) => Some(&own.property),
            Some(MatchingDocument::Through(_)) | None => None,
        };
        let ranking = match &self.selection {
            Some(SelectionDocument::Rule(rule)) => rule.property.as_ref(),
            Some(SelectionDocument::Name(_)) | None => None,
        };
        let fields = self.fields.iter().map(|field| &field.property);
        matching.into_iter().chain(ranking).chain(fields)
    }
}

/// `{property, user}` or `{through}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(untagged, try_from = "MatchingWire")]
pub enum MatchingDocument {
    /// A property of the record equals an identifier of the user.
    Own(OwnMatching),
    /// Records reach the users of the records they are associated to.
    Through(ThroughMatching),
}

/// Either form of [`MatchingDocument`], so that what is wrong with one is told
/// where it is wrong.
impl MatchingDocument {
    /// The object type's own way.
    pub fn default_of(described: &ObjectTypeDescription) -> Self {
        if let Some(default) = &described.default_match {
            let user = match default.identifier {
                UserIdentifier::ExternalId => EXTERNAL_ID,
                // Nothing is matched on a variable by default.
                UserIdentifier::Email | UserIdentifier::Variable(_) => EMAIL,
            };
            return Self::Own(OwnMatching {
                property: default.property.clone(),
                user: user.to_owned(),
            });
        }
        match described.through.first() {
            Some(through) => Self::Through(ThroughMatching {
                through: through.clone(),
            }),
            None => Self::Own(OwnMatching {
                property: EMAIL.into(),
                user: EMAIL.to_owned(),
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchingWire {
    property: Option<PropertyName>,
    user: Option<String>,
    through: Option<ObjectType>,
}

impl TryFrom<MatchingWire> for MatchingDocument {
    type Error = &'static str;

    fn try_from(wire: MatchingWire) -> Result<Self, Self::Error> {
        match (wire.property, wire.user, wire.through) {
            (Some(property), user, None) => Ok(Self::Own(OwnMatching {
                property,
                user: user.unwrap_or_else(|| EMAIL.to_owned()),
            })),
            (None, None, Some(through)) => Ok(Self::Through(ThroughMatching { through })),
            _ => Err("name the `property` and the `user` identifier, or what it goes `through`"),
        }
    }
}

/// A property of the record equals an identifier of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnMatching {
    /// The property.
    pub property: PropertyName,
    /// `email` (when not said), `external_id` or `variable:NAME`.
    pub user: String,
}

/// Records reach the users of the records they are associated to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThroughMatching {
    /// The object type that is followed.
    pub through: ObjectType,
}

/// A selection rule, or its name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SelectionDocument {
    /// The rule's name.
    Name(SelectionRule),
    /// The rule.
    Rule(RuleDocument),
}

/// By hand, so that what is wrong with either form is told where it is wrong.
impl<'de> Deserialize<'de> for SelectionDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;

        impl<'de> Visitor<'de> for EitherForm {
            type Value = SelectionDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a selection rule, or its name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                SelectionRule::deserialize(name.into_deserializer()).map(SelectionDocument::Name)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                RuleDocument::deserialize(MapAccessDeserializer::new(map))
                    .map(SelectionDocument::Rule)
            }
        }

        deserializer.deserialize_any(EitherForm)
    }
}

/// A selection rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_internal_value(show: &Shown) -> bool {
    *show == Shown::InternalValue
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
                    UserIdentifier::Email => EMAIL.into(),
                    UserIdentifier::ExternalId => EXTERNAL_ID.into(),
                    UserIdentifier::Variable(id) => format!("{VARIABLE}{}", name(id)),
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
