//! What a plugin says of the source's bodies, after the host has checked it.
//!
//! The ids of records come from the host's own reading of the elements, never
//! from the plugin; see `plugin::elements`.

use super::{ObjectType, RecordId, Timestamp};

/// A property's text, exactly as the source wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyText {
    /// The property's index in the interest of its object type.
    pub property: usize,
    /// The source's text; the empty text where the property is empty.
    pub text: String,
}

/// Several records became one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The id under which the merged record is found from now on.
    pub survivor: RecordId,
    /// The ids that are no records any more.
    pub merged: Vec<RecordId>,
}

/// An association was made, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssociationChange {
    /// The object type of the other record.
    pub to_type: ObjectType,
    /// The other record.
    pub to_record: RecordId,
    /// Whether the association was removed.
    pub removed: bool,
}

/// What happened to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came to exist.
    Created,
    /// It was deleted, and may come back.
    Deleted,
    /// It came back.
    Restored,
    /// It was deleted for privacy: nothing of it may be kept.
    Erased,
    /// It is the outcome, or a part, of a merge.
    Merged(Merge),
    /// A property has a new text.
    PropertyChanged(PropertyText),
    /// Its associations changed.
    AssociationChanged(AssociationChange),
}

/// One thing that happened to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The index of the element that tells it.
    pub element: usize,
    /// The record's object type.
    pub object_type: ObjectType,
    /// When it happened, by the source's clock; never beyond the moment of
    /// receipt plus a small skew.
    pub occurred_at: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
}

/// One record as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// The index of the element that gives it.
    pub element: usize,
    /// When it was created, where the answer says so.
    pub created_at: Option<Timestamp>,
    /// When it was last modified, where the answer says so.
    pub modified_at: Option<Timestamp>,
    /// Whether it is deleted.
    pub archived: bool,
    /// Ids of records that were merged into it.
    pub merged: Vec<RecordId>,
    /// The properties asked for that the answer has.
    pub properties: Vec<PropertyText>,
}

/// One association of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Association {
    /// The other record.
    pub to_record: RecordId,
    /// Whether the source marks it as the primary one.
    pub primary: bool,
    /// The labels that people gave it, sorted.
    pub labels: Vec<String>,
}

/// The associations that one element gives of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssociationSet {
    /// The index of the element.
    pub element: usize,
    /// The associations.
    pub associations: Vec<Association>,
}
