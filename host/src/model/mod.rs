//! The vocabulary that every other module shares, as plain types.
//!
//! Architecture invariant: nothing here does I/O, and nothing here knows of
//! SQL, HTTP, wasmtime or HubSpot. A type that only one module speaks lives in
//! that module.

mod actor;
mod cause;
mod change;
pub mod condition;
mod connection;
mod described;
mod fold;
mod id;
mod key;
mod mapping;
mod mapping_change;
mod missed;
mod register;
mod run;
mod time;
mod value;

pub use actor::Actor;
pub use cause::{Cause, Priority};
pub use change::{
    Association, AssociationChange, AssociationSet, Change, ChangeKind, Merge, PropertyText,
    SourceRecord,
};
pub use connection::{Connection, Problem, Status};
pub use described::{Described, DescribedBody, DescribedMatch, DescribedType};
pub use fold::fold;
pub use id::{
    AccountId, AccountKey, AlertChannelId, ConnectionId, FieldId, MappingId, ObjectType, PersonId,
    ProjectId, PropertyName, RecordId, RunId, SegmentId, UserId, VariableId,
};
pub use key::normalise;
pub use mapping::{
    Choice, FieldMapping, KeyKind, MatchKey, MatchingRule, ObjectMapping, OptionTable,
    PropertyDefinition, PushedProperty, Selection, SelectionRule, Shown, UserIdentifier,
};
pub use mapping_change::{MappingChange, MatchedBy};
pub use missed::Missed;
pub use register::{Existence, Readable, Register, Version};
pub use run::{Planned, Range, Run, RunKind, RunStatus, Stage, Way};
pub use time::Timestamp;
pub use value::{TEXT_LENGTH_MAX, Unreadable, Value, VariableType};
