//! What can go wrong with a file of SQLite, told so that an operator knows what
//! to do.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// What can go wrong with a file of SQLite.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused, with its own words.
    #[error("the database refused: {0}")]
    Sqlite(rusqlite::Error),
    /// The file is not what SQLite wrote.
    #[error(
        "the file is damaged ({0}): stop the host, keep a copy of the data directory as it is, and \
         restore this file from the last backup; the README says what goes with it"
    )]
    Damaged(rusqlite::Error),
    /// The disk has no room.
    #[error("the disk is full ({0}): make room on it")]
    Full(rusqlite::Error),
    /// The disk failed, or its file system turned read-only for a fault.
    #[error(
        "the disk fails, or has become read-only ({0}): look at the system's log; once it is \
         mended, start the host again"
    )]
    Disk(rusqlite::Error),
    /// Nothing can be written there.
    #[error(
        "the file cannot be written ({0}): make its file system writable again, and the file for \
         the user that the host runs as"
    )]
    ReadOnly(rusqlite::Error),
    /// A question took longer than one may.
    #[error("the question took too long")]
    TookTooLong,
    /// The writer thread has ended.
    #[error("the database is closed")]
    Closed,
    /// The transaction was given up: its commit failed.
    #[error("the transaction could not be committed: {0}")]
    Commit(String),
    /// The file was written by a newer release.
    #[error("{} has schema version {found}, newer than this release knows ({known}): run the release that wrote it, or a later one", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The file was made by an earlier release, whose host may be running.
    #[error(
        "{} was made by an earlier release, and a host works on its data directory: restart the \
         host with this release first",
        path.display()
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// The directory or file cannot be used.
    #[error("{} cannot be used: {source}", path.display())]
    Path {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(ErrorCode::SystemIoFailure) => Self::Disk(error),
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error),
            // Nothing but a question's deadline interrupts anything.
            Some(ErrorCode::OperationInterrupted) => Self::TookTooLong,
            _ => Self::Sqlite(error),
        }
    }
}

impl Error {
    /// Whether the same call may succeed later without anyone's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Commit(_) | Self::Full(_) | Self::Disk(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ),
            Self::File { source, .. } => source.is_retryable(),
            Self::Damaged(_)
            | Self::ReadOnly(_)
            | Self::Closed
            | Self::TookTooLong
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Path { .. } => false,
        }
    }

    /// Whether what a transaction did may be the cause, rather than the file as a whole
    /// or the machine: another may succeed. A transaction that panicked is told as
    /// [`Self::Closed`].
    pub fn is_of_the_data(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Closed => true,
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::OutOfMemory
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::AuthorizationForStatementDenied
                )
            ),
            Self::File { source, .. } => source.is_of_the_data(),
            Self::Commit(_)
            | Self::Full(_)
            | Self::Disk(_)
            | Self::ReadOnly(_)
            | Self::TookTooLong
            | Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Path { .. } => false,
        }
    }
}
