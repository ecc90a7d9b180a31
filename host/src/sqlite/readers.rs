//! Reading beside the writer.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::{BUSY_TIMEOUT, Error, Functions, Options, execute, keep_plans};

/// Reads at once, each on a connection of its own. More would only share the
/// same two cores.
pub(super) const READERS_MAX: usize = 4;

/// Connections that only read, as many as read at once.
pub(super) struct Readers {
    path: PathBuf,
    functions: Functions,
    /// Whoever reads holds a part of it.
    pub(super) room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of a file; none is open yet.
    pub(super) fn new(options: &Options) -> Self {
        Self {
            path: options.path.clone(),
            functions: options.functions,
            room: Arc::new(Semaphore::new(READERS_MAX)),
            idle: Mutex::default(),
        }
    }

    /// Runs `work` on a snapshot.
    pub(super) fn run<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        // One snapshot for all that the work reads.
        execute(&connection, "BEGIN")?;
        let outcome = work(&connection);
        execute(&connection, "COMMIT")?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        outcome
    }

    fn open(&self) -> Result<Connection, Error> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // What a query gathers is smaller than what it is gathered from.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        keep_plans(&connection)?;
        (self.functions)(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// Closes those that are idle.
    pub(super) fn close(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How many are open and idle.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().expect("readers").len()
    }
}
