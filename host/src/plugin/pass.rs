//! What goes into one pass of a plugin, and what comes out of it.

use crate::model::{
    AssociationSet, Change, MatchKey, MatchingRule, ObjectType, OptionTable, PropertyDefinition,
    PropertyName, Shown, SourceRecord, Timestamp, Unreadable, Value, VariableType,
};

/// What the elements of a pass are elements of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// Of webhook deliveries.
    Delivery,
    /// Of a file of the source's journal.
    JournalFile,
    /// Of pages of records of this object type.
    Records(ObjectType),
    /// Of pages of associations between these object types.
    Associations {
        /// The type of the records that were asked about.
        from: ObjectType,
        /// The type of the records that they are associated to.
        to: ObjectType,
    },
}

/// An object type, and the properties of it that the host asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The object type; one interest each.
    pub object_type: ObjectType,
    /// The properties, none twice. Outputs name them by index.
    pub properties: Vec<PropertyName>,
}

/// A field mapping as the plugin needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionField {
    /// The object type.
    pub object_type: ObjectType,
    /// The property; a pass has an interest in it.
    pub property: PropertyDefinition,
    /// The type of the variable.
    pub target: VariableType,
    /// What of a choice is shown.
    pub show: Shown,
    /// The index of the property's choices among the tables, where known.
    pub options: Option<usize>,
}

/// The fields of one connection, to be converted in a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// The fields. Outputs name them by index.
    pub fields: Vec<ConversionField>,
    /// The choices of properties.
    pub tables: Vec<OptionTable>,
}

/// One pass: elements of one account, and all that is asked about them.
#[derive(Clone, Debug)]
pub struct Pass<'a> {
    /// What the elements are elements of.
    pub body: BodyKind,
    /// The elements, as a JSON array; [`join`](super::elements::join) makes it.
    pub elements: &'a [u8],
    /// How many elements there are.
    pub element_count: usize,
    /// When the latest of them was received.
    pub received_at: Timestamp,
    /// What is asked about; an object type once.
    pub interests: &'a [Interest],
    /// What is to be converted, connection by connection.
    pub conversions: &'a [Conversion],
    /// For pages of records, the rules that match keys are wanted for.
    pub rules: &'a [(ObjectType, MatchingRule)],
}

/// An element that the plugin could not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its index.
    pub element: usize,
    /// What is wrong, in the plugin's words: short, one line, not to be
    /// trusted, and nothing to be parsed.
    pub reason: String,
}

/// What one field makes of one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The element's index.
    pub element: usize,
    /// The field's index.
    pub field: usize,
    /// The value, nothing where the property is empty, or why it is unreadable.
    pub outcome: Outcome,
}

/// A value, nothing where the property is empty, or why it is unreadable.
pub type Outcome = Result<Option<Value>, Unreadable>;

/// The match keys of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordKeys {
    /// The element's index.
    pub element: usize,
    /// The keys, by rank; none where the source says that it has none.
    pub keys: Vec<MatchKey>,
}

/// What came out of a pass; all of it checked.
///
/// An element's outcomes for a field come in the order of its changes of the
/// field's property, and there are as many of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassOutput {
    /// Elements that were not understood, by index.
    pub refusals: Vec<Refusal>,
    /// Of a delivery or journal file, in the order of elements.
    pub changes: Vec<Change>,
    /// Of a page of records, in the order of elements.
    pub records: Vec<SourceRecord>,
    /// Of a page of associations, in the order of elements.
    pub associations: Vec<AssociationSet>,
    /// For each conversion of the pass, in the order of elements.
    pub converted: Vec<Vec<Converted>>,
    /// For each rule of the pass, in the order of elements.
    pub keys: Vec<Vec<RecordKeys>>,
}

/// A text that was kept from an earlier body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredText {
    /// The index of its field in the conversion.
    pub field: usize,
    /// The source's text; the empty text where the property is empty.
    pub text: String,
}

/// The properties that an object type needs beside the mapped ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededProperties {
    /// Match keys depend on them.
    pub matching: Vec<PropertyName>,
    /// The selection depends on them.
    pub selection: Vec<PropertyName>,
    /// Moments and merges are read from them.
    pub bookkeeping: Vec<PropertyName>,
}

/// Why a rule or a selection cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The connector has no such object type.
    #[error("there is no such object type")]
    UnknownObjectType,
    /// The property cannot be compared with that identifier.
    #[error("this property cannot be compared with that identifier")]
    UnsuitableProperty,
    /// The object type has no such selection, or its property is missing or
    /// no number.
    #[error("records of this type cannot be selected in this way")]
    UnsupportedSelection,
}

/// The types of variable that a property can be mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuitableTypes {
    /// The type to create a variable with; none where it cannot be mapped.
    pub suggested: Option<VariableType>,
    /// All that it can be converted to.
    pub possible: Vec<VariableType>,
}
