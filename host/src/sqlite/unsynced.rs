//! A sync that failed is never made again. The system tells of pages that it could not
//! write once, and takes them for written: the next sync says that all is well, and a
//! write-ahead log would be cut, or begin anew, whose pages never reached the disk. So the
//! process ends, and at once: in order, SQLite would go on from what it believes to be on
//! disk. The next start, where no command has the file open meanwhile, knows of nothing that
//! was moved, and moves all of it again.

use std::{
    fmt::Display,
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, ffi};

use super::Error;

const SAID: &str = "a file could not be synced to disk, and nobody knows what of it is there: \
    this process ends at once. Look at the system's log and check the disk, end all commands on \
    the data directory, then start again: what was answered is in the files as far as they were \
    synced, and is read from them anew";

/// Passes on what came of work with a file, unless a sync of it failed.
pub(super) fn checked<T>(connection: &Connection, outcome: Result<T, Error>) -> Result<T, Error> {
    match outcome {
        Err(error) if is_of_a_sync(&error) => {
            end(Path::new(connection.path().unwrap_or_default()), &error)
        }
        outcome => outcome,
    }
}

/// Ends the process, for this file could not be synced.
pub(super) fn end(file: &Path, error: &dyn Display) -> ! {
    // Whoever comes second waits for the end: it is said once.
    static ENDING: Mutex<()> = Mutex::new(());
    let _first = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    let file = file.display();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(%file, %error, "{SAID}");
    } else {
        // Of commands nobody keeps a log. Where nobody listens, it ends all the same.
        let _ = writeln!(io::stderr(), "jimo-connect: {file}: {error}: {SAID}");
    }
    std::process::abort()
}

fn is_of_a_sync(error: &Error) -> bool {
    let Error::Disk(error) = error else {
        return false;
    };
    matches!(
        error.sqlite_error().map(|error| error.extended_code),
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sync_that_failed_is_not_made_again() {
        let failed = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            is_of_a_sync(&error.into())
        };
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            assert!(failed(code), "{code}");
        }
        for code in [
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
        ] {
            assert!(!failed(code), "{code}");
        }
    }
}
