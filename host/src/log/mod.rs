//! The event log: what was taken in, in the order it was taken in.
//!
//! What a log promises:
//! - [`EventLog::append`] returns after the entry is synced to disk; an entry
//!   whose append returned survives the end of the process and of the machine.
//! - Positions grow, and are never used twice, not even after trimming.
//! - [`EventLog::read`] gives entries in the order of their positions, without
//!   gaps among those that were kept.
//! - A log has an identity, made with it, by which the store knows it again.
//! - [`EventLog::append_all`] appends all of its entries and moves its cursor, or
//!   does neither: whoever takes entries from another log goes on behind those
//!   that are in this one.
//! - [`EventLog::rewrite`] gives entries fewer bytes, where something may not be
//!   kept any more. Their positions, order and moments stay.
//! - An entry that shows that its bytes in the file are damaged is read as one without a
//!   body, which says so: it keeps nobody from reading the others.
//!
//! It never looks into a body, and never knows who reads it. Its file has bodies
//! compressed; lengths are of what came.

mod body;
mod place;
mod sqlite;

pub use place::{Place, Step};
pub use sqlite::EventLog;

use crate::model::Timestamp;

/// A place in the log. Zero is before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i64);

/// Whose an entry is: a number that intake gives, the same for all entries of
/// one account. Readers serve lanes in turn, so that none waits for another's
/// flood; what an entry does never depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub i64);

/// What an entry is. The numbers are stored, and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// The body of a webhook request, as it came, signature verified.
    Delivery = 1,
    /// A file of the source's journal.
    JournalFile = 2,
}

impl EntryKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::JournalFile => "journal_file",
        }
    }

    /// The kind that a stored number means; none where this release does not know it.
    pub fn from_number(number: i64) -> Option<Self> {
        let mut kinds = [Self::Delivery, Self::JournalFile].into_iter();
        kinds.find(|kind| *kind as i64 == number)
    }
}

/// An entry to be appended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// The connector to the source that it is of, by name.
    pub connector: String,
    /// Whose it is.
    pub lane: Lane,
    /// When we received it.
    pub received_at: Timestamp,
    /// Its bytes.
    pub body: bytes::Bytes,
}

/// How far entries were taken from another log, such as the source's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose place it is.
    pub name: String,
    /// The place, in that log's own words.
    pub place: String,
}

/// An entry that is in the log, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub position: Position,
    /// Whose it is.
    pub lane: Lane,
    /// How many bytes it has.
    pub bytes: u32,
}

/// An entry that is in the log.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Where it is.
    pub position: Position,
    /// What it is.
    pub kind: EntryKind,
    /// The connector to the source that it is of, by name.
    pub connector: String,
    /// When we received it.
    pub received_at: Timestamp,
    /// Its bytes; none where they are damaged.
    pub body: Vec<u8>,
    /// Whether what the file has of its bytes is no body any more: what came is lost.
    pub is_damaged: bool,
}

/// What can go wrong with the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file underneath.
    #[error("event log: {0}")]
    Database(#[from] crate::sqlite::Error),
    /// An entry of a kind that a newer release wrote.
    #[error(
        "the event log holds an entry of kind {0}, which this release does not know: run the release that wrote it, or a later one"
    )]
    UnknownKind(i64),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

impl Error {
    /// Whether the same call may succeed later without anyone's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::UnknownKind(_) => false,
        }
    }

    /// Whether single entries may be the cause: others may be read.
    pub fn is_of_the_data(&self) -> bool {
        match self {
            Self::Database(error) => error.is_of_the_data(),
            Self::UnknownKind(_) => true,
        }
    }
}
