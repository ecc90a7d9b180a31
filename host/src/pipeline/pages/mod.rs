//! Pages of records that a read answered, applied: match keys and links,
//! registers and values, and what was not there.

mod apply;
mod prepare;
mod pushed;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub use apply::{apply_absence, apply_record, relink};
pub use prepare::prepare_records;
pub(super) use prepare::{not_understood, tell_records};
pub(super) use pushed::apply_pushed;

use super::routing::{ConnectionRoute, FieldPlace};
use crate::{
    model::{ConnectionId, MatchKey, ObjectType, RecordId, SourceRecord, Timestamp},
    plugin::{Fault, Outcome, Version, elements::SplitError},
};

/// Why an answer could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host could not find its elements.
    #[error("the answer could not be read: {0}")]
    Split(#[from] SplitError),
    /// The plugin failed on it.
    #[error("{fault}")]
    Plugin {
        /// How.
        fault: Fault,
        /// The version that did, by digest; none where none ran.
        digest: Option<String>,
    },
}

impl Error {
    /// A version failed on it.
    pub(super) fn of(version: &Version, fault: Fault) -> Self {
        let digest = Some(version.digest().to_owned());
        Self::Plugin { fault, digest }
    }

    /// The version that failed, by digest.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Plugin { digest, .. } => digest.as_deref(),
            Self::Split(_) => None,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Plugin {
            fault,
            digest: None,
        }
    }
}

/// A record that was read, in a connection's terms.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    /// The record.
    pub record: RecordId,
    /// What the answer says of it.
    pub said: SourceRecord,
    /// Its properties, field by field.
    pub texts: Vec<(FieldPlace, String, Outcome)>,
    /// Its match keys; none where it is not matched itself, or the answer does
    /// not tell them.
    pub keys: Option<Vec<MatchKey>>,
}

/// A page of records, for each of an account's connections.
#[derive(Debug)]
pub struct RecordsPage {
    /// The records' type.
    pub object_type: ObjectType,
    /// What each connection is told.
    pub connections: Vec<(Arc<ConnectionRoute>, Vec<ReadRecord>)>,
    /// The ids that were answered, and those that were merged into them: what any
    /// version understood.
    pub answered: HashMap<RecordId, Option<Timestamp>>,
    /// What was not understood, version by version.
    pub misread: Vec<Misread>,
}

/// What a version did not understand of a page.
#[derive(Debug)]
pub struct Misread {
    /// The version, by digest.
    pub plugin: String,
    /// The connections that it serves.
    pub connections: Vec<ConnectionId>,
    /// The ids of which the answer says something that it could not understand.
    pub records: HashSet<RecordId>,
}

impl RecordsPage {
    /// Whether any version did not understand what the answer says of a record.
    pub fn is_misread(&self, record: &RecordId) -> bool {
        self.misread.iter().any(|one| one.records.contains(record))
    }

    /// The connections whose versions did not understand what the answer says of a
    /// record, with these.
    pub fn misread_for(&self, record: &RecordId) -> HashMap<ConnectionId, String> {
        let misread = self.misread.iter();
        let misread = misread.filter(|one| one.records.contains(record));
        misread
            .flat_map(|one| {
                let connections = one.connections.iter();
                connections.map(|connection| (*connection, one.plugin.clone()))
            })
            .collect()
    }

    /// What a connection's version did not understand.
    pub fn misread_by(&self, connection: ConnectionId) -> impl Iterator<Item = &RecordId> {
        let misread = self.misread.iter();
        let own = misread.filter(move |one| one.connections.contains(&connection));
        own.flat_map(|one| &one.records)
    }
}

/// When a read happened.
#[derive(Clone, Copy, Debug)]
pub struct ReadMoment {
    /// The number that it took when it began.
    pub sequence: i64,
    /// The source's own time of its answer.
    pub answered_at: Timestamp,
}

/// How a record was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The moment that the answer has to know of by now: it is the last one that
    /// is asked for.
    pub settled: Option<Timestamp>,
    /// Whether nothing was known to have changed. Fields that nothing was said
    /// of stay empty then, unless the record did change, or feeds for the first
    /// time.
    pub refresh: bool,
}
