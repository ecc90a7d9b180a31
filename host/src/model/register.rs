//! What the source last said, with the time it said it of.

use super::{RecordId, Timestamp, Value};

/// When something was said: the source's stamp first; among equal stamps a read
/// beats an event, and a later read an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The source's own moment: of the change, or of the record's last
    /// modification when it was read.
    pub stamp: Timestamp,
    /// 0 for an event; for a read, the number it took when it began.
    pub sequence: i64,
}

/// The newest thing that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Readable {
    /// The source's text.
    pub text: String,
    /// When it was said.
    pub version: Version,
    /// The value it became; none where the property is empty.
    pub value: Option<Value>,
}

/// What the source last said of one property of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// The newest text.
    pub text: String,
    /// When it was said.
    pub version: Version,
    /// Why the newest text could not be read; none where it could.
    pub unreadable: Option<String>,
    /// The newest text that could be read: what users show.
    pub readable: Option<Readable>,
}

/// Whether a record exists, as last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Existence {
    /// Nothing was heard.
    #[default]
    Unknown,
    /// It exists.
    Exists,
    /// It was deleted, and may come back.
    Deleted,
    /// It became part of another, which is asked for instead. Final.
    Merged(Option<RecordId>),
    /// It was deleted for privacy. Final.
    Erased,
}
