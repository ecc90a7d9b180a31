//! What a plugin version says it understands of its source.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ObjectType, PropertyName, SelectionRule};

/// What a plugin version says it understands, as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Described {
    /// The object types, in the component's order.
    pub object_types: Vec<DescribedType>,
    /// The kinds of bodies that it reads.
    pub bodies: Vec<DescribedBody>,
    /// Whether it tells its source's properties itself.
    pub defines_properties: bool,
}

/// One type of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DescribedType {
    /// The name that mappings use.
    #[schema(value_type = String)]
    pub name: ObjectType,
    /// What people read.
    pub label: String,
    /// What it is matched on when nothing else is said; none where it follows another
    /// object type then.
    pub default_match: Option<DescribedMatch>,
    /// The object types through whose associations it reaches users.
    #[schema(value_type = Vec<String>)]
    pub through: Vec<ObjectType>,
    /// The ways to select among several records, the default first.
    pub selections: Vec<SelectionRule>,
}

/// What records are matched on when nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DescribedMatch {
    /// The property.
    #[schema(value_type = String)]
    pub property: PropertyName,
    /// The user's identifier: `email` or `external_id`.
    pub identifier: String,
}

/// A kind of body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DescribedBody {
    /// The body of a webhook request.
    Delivery,
    /// A file of the source's journal.
    JournalFile,
    /// A page of records.
    RecordsPage,
    /// A page of associations.
    AssociationsPage,
}

impl DescribedBody {
    /// What people call several of them.
    pub fn words(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries",
            Self::JournalFile => "journal files",
            Self::RecordsPage => "pages of records",
            Self::AssociationsPage => "pages of associations",
        }
    }
}

impl Described {
    /// The kinds of bodies, in words.
    pub fn bodies(&self) -> String {
        let words: Vec<&str> = self.bodies.iter().map(|body| body.words()).collect();
        words.join(", ")
    }
}

impl DescribedType {
    /// How its records find users, in words.
    pub fn matched(&self) -> String {
        let matched = self.default_match.as_ref();
        let own = matched.map(|own| format!("{} = {}", own.property, own.identifier));
        let through: Vec<&str> = self.through.iter().map(ObjectType::as_str).collect();
        let through = (!through.is_empty()).then(|| format!("through {}", through.join(", ")));
        let ways: Vec<String> = own.into_iter().chain(through).collect();
        match ways.is_empty() {
            true => "as a mapping says".to_owned(),
            false => ways.join("; "),
        }
    }

    /// The ways to select among several records, in words, the default first.
    pub fn selections(&self) -> String {
        let words: Vec<&str> = self.selections.iter().map(|rule| rule.as_str()).collect();
        match words.is_empty() {
            true => "by matches alone".to_owned(),
            false => words.join(", "),
        }
    }
}
