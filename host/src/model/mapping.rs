//! How an object type of a connection is matched, selected and mapped.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FieldId, MappingId, ObjectType, PropertyName, Timestamp, VariableId, VariableType};

/// A property, as the source defines it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PropertyDefinition {
    /// The source's name for it.
    pub name: PropertyName,
    /// The source's own word for its type.
    pub property_type: String,
    /// The source's own word for how it is entered.
    pub field_type: String,
}

/// The identifier of a user that records are matched with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdentifier {
    /// The user's e-mail address.
    Email,
    /// The customer's own id of the user.
    ExternalId,
    /// A variable of the user.
    Variable(VariableId),
}

/// A property of a record and the user's identifier that it should equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchingRule {
    /// The property.
    pub property: PropertyDefinition,
    /// What it is compared with.
    pub identifier: UserIdentifier,
}

impl MatchingRule {
    /// Whether it finds the same users as another. How its property is entered says
    /// nothing of that; its type does, for keys of it are compared by that.
    pub fn finds_as(&self, other: &Self) -> bool {
        self.identifier == other.identifier
            && self.property.name == other.property.name
            && self.property.property_type == other.property.property_type
    }
}

/// How both sides of a comparison are brought to one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Trimmed, lower case, NFC.
    Email,
    /// Trimmed.
    Id,
    /// In one canonical decimal form.
    Number,
}

/// One text by which a record may be matched, as the source wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey {
    /// How it is compared.
    pub kind: KeyKind,
    /// The text; never empty.
    pub text: String,
    /// 0 for the record's own key, higher for additional ones.
    pub rank: u32,
}

/// How one of several records that reach a user is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelectionRule {
    /// The record that the source marks as primary.
    Primary,
    /// The record that was modified last.
    LatestModified,
    /// The record that was created last.
    LatestCreated,
    /// The record whose ranking property is largest.
    Largest,
}

impl SelectionRule {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::LatestModified => "latest_modified",
            Self::LatestCreated => "latest_created",
            Self::Largest => "largest",
        }
    }
}

/// The selection rule of an object mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The rule.
    pub rule: SelectionRule,
    /// The ranking property of `largest`.
    pub property: Option<PropertyName>,
    /// Whether open records come before closed ones.
    pub prefer_open: bool,
}

/// What of a choice a variable shows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The internal value, which does not change when people rename it.
    #[default]
    InternalValue,
    /// The label that people read.
    Label,
}

/// A property that feeds a variable, or that a selection depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMapping {
    /// Its id; registers belong to it.
    pub id: FieldId,
    /// The property.
    pub property: PropertyDefinition,
    /// The variable; none where the selection alone needs it.
    pub variable: Option<VariableId>,
    /// The variable's type, or what the selection compares.
    pub target: VariableType,
    /// What of a choice is shown.
    pub show: Shown,
    /// When it was saved; no event from before creates a register.
    pub saved_at: Timestamp,
}

/// For one object type of a connection: how records reach users, which of
/// several feeds one, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMapping {
    /// Its id.
    pub id: MappingId,
    /// The object type.
    pub object_type: ObjectType,
    /// What records are matched on; none where they are reached through
    /// another object type.
    pub matching: Option<MatchingRule>,
    /// The object type through whose associations records reach users; none
    /// where they are matched themselves.
    pub through: Option<ObjectType>,
    /// Which of several records feeds a user; none where matches decide.
    pub selection: Option<Selection>,
    /// The fields.
    pub fields: Vec<FieldMapping>,
    /// Properties that decide about matching; a change of one causes a read.
    pub matching_properties: Vec<PropertyName>,
    /// Properties that decide about the selection.
    pub selection_properties: Vec<PropertyName>,
    /// Properties that the plugin reads moments and merges from.
    pub bookkeeping_properties: Vec<PropertyName>,
}

impl ObjectMapping {
    /// Whether records reach users in the same way as by another mapping of their type.
    pub fn finds_as(&self, other: &Self) -> bool {
        let is_same_rule = match (&self.matching, &other.matching) {
            (Some(rule), Some(other)) => rule.finds_as(other),
            (rule, other) => rule.is_none() && other.is_none(),
        };
        is_same_rule && self.through == other.through
    }

    /// The field that is the same as one of another mapping of the type: what it is told
    /// apart by are its property, its variable and the type that it is shown as.
    pub fn same_field(&self, other: &FieldMapping) -> Option<&FieldMapping> {
        let mut fields = self.fields.iter();
        fields.find(|field| {
            field.property.name == other.property.name
                && field.variable == other.variable
                && field.target == other.target
        })
    }

    /// The field that the selection ranks by.
    pub fn ranking(&self) -> Option<&FieldMapping> {
        let by = self.selection.as_ref()?.property.as_ref()?;
        self.of_selection().find(|field| field.property.name == *by)
    }

    /// The fields whose choices say whether a record is closed; none where the
    /// selection does not ask for that.
    pub fn closing(&self) -> impl Iterator<Item = &FieldMapping> {
        let selection = self.selection.as_ref();
        let selection = selection.filter(|selection| selection.prefer_open);
        selection.into_iter().flat_map(|selection| {
            self.of_selection()
                .filter(|field| Some(&field.property.name) != selection.property.as_ref())
        })
    }

    fn of_selection(&self) -> impl Iterator<Item = &FieldMapping> {
        self.fields.iter().filter(|field| field.variable.is_none())
    }

    /// The properties whose changes it has to hear of, each once: those that it
    /// maps, matches on and selects by.
    pub fn told_properties(&self) -> BTreeSet<PropertyName> {
        let mapped = self.fields.iter().map(|field| &field.property.name);
        mapped
            .chain(&self.matching_properties)
            .chain(&self.selection_properties)
            .cloned()
            .collect()
    }
}

/// One choice of a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its internal value.
    pub value: String,
    /// What people read.
    pub label: String,
    /// Whether it means that the record is closed, where that is known.
    pub closed: Option<bool>,
}

/// The choices of one property, by value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionTable {
    /// Each value once.
    pub choices: Vec<Choice>,
}

impl OptionTable {
    /// The values that mean that a record is closed.
    pub fn closed(&self) -> impl Iterator<Item = &str> {
        let closed = self.choices.iter();
        closed
            .filter(|choice| choice.closed == Some(true))
            .map(|choice| choice.value.as_str())
    }
}

/// A property whose changes the app asks the source to push.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushedProperty {
    /// The type of its records.
    pub object_type: ObjectType,
    /// Its name.
    pub property: PropertyName,
    /// Whether it is pushed; what is not is named all the same.
    pub active: bool,
}
