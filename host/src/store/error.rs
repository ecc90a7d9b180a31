//! What can go wrong with the store, and what to do then.

use crate::model::{ConnectionId, RunId, UserId};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file underneath.
    #[error("user store: {0}")]
    Database(#[from] crate::sqlite::Error),
    /// Something asked for does not exist, or belongs to another project.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// A run is about to take values from more users than it may without asking.
    #[error("{run} would take values from {lost} users")]
    Braked {
        /// The run.
        run: RunId,
        /// From how many it would have taken some, with those from whom it has.
        lost: u64,
        /// Some of those from whom it would.
        examples: Vec<UserId>,
    },
    /// What comes live is about to take values from more of a connection's users
    /// than it was found to be allowed without asking.
    #[error("what comes live would have taken values from {lost} users of {connection}")]
    BrakedLive {
        /// The connection.
        connection: ConnectionId,
        /// How many of its users would have lost values lately.
        lost: u64,
    },
    /// Something exists already.
    #[error("{0}")]
    Conflict(String),
    /// What the work was prepared by is not so any more: it is to be prepared again.
    #[error("what this was prepared by changed meanwhile")]
    Outdated,
    /// The store goes with another log than the one given.
    #[error(
        "the event log in this data directory is not the one that this store was written with: \
         restore both from the same backup, or go on with this one: `jimo-connect log accept`"
    )]
    ForeignLog,
    /// The store is new, and the log beside it is not.
    #[error(
        "there is no store in this data directory, but an event log with deliveries: restore \
         store.sqlite from the backup, or begin with an empty data directory"
    )]
    NoStore,
    /// The store's tokens are sealed with another secret key.
    #[error(
        "this data directory goes with another secret key: set JIMO_SECRET_KEY to it, or restore \
         the file secret.key from the backup"
    )]
    ForeignKeys,
    /// The log ends before the place that the store has reached.
    #[error(
        "the event log ends at {log}, but this store has applied up to {store}: the log is from an \
         older backup than the store; restore both from the same backup, or go on with this one: \
         `jimo-connect log accept`"
    )]
    LogBehind {
        /// The newest position in the log.
        log: i64,
        /// The place in the store.
        store: i64,
    },
    /// The log does not reach back to the place that the store has reached.
    #[error(
        "this store has applied up to {store}, but the event log begins at {log}: the store is \
         from a backup older than what the log keeps, and the deliveries between them are in \
         neither; restore a newer backup, or go on without them: `jimo-connect log accept`"
    )]
    LogTrimmed {
        /// The oldest position in the log.
        log: i64,
        /// The place in the store.
        store: i64,
    },
    /// A stored value that this release cannot read.
    #[error("the store holds a {0} that this release does not understand")]
    Undecodable(&'static str),
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
            Self::Outdated => true,
            _ => false,
        }
    }

    /// Whether what a transaction read or did may be the cause: another may succeed.
    pub fn is_of_the_data(&self) -> bool {
        match self {
            Self::Database(error) => error.is_of_the_data(),
            Self::NotFound(_) | Self::Conflict(_) | Self::Undecodable(_) => true,
            // None of these comes of a batch, but the change, which is no failure.
            _ => false,
        }
    }
}
