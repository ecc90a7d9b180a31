//! Reading beside the writer.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::{BUSY_TIMEOUT, Error, Functions, Options, execute, keep_plans};

/// Reads at once, each on a connection of its own. More would only share the
/// same two cores.
pub(super) const READERS_MAX: usize = 4;

/// Of these, questions that may take long: what others read does not wait for
/// them.
pub(super) const QUESTIONS_MAX: usize = 2;

/// How long a question may take.
pub(super) const QUESTION_MAX: Duration = Duration::from_secs(5);

/// How many steps of SQLite's machine are made between two looks at the clock:
/// some tenths of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Connections that only read, as many as read at once.
pub(super) struct Readers {
    path: PathBuf,
    functions: Functions,
    /// Whoever reads holds a part of it.
    pub(super) room: Arc<Semaphore>,
    /// Whoever asks a question holds a part of this first.
    pub(super) questions: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of a file; none is open yet.
    pub(super) fn new(options: &Options) -> Self {
        Self {
            path: options.path.clone(),
            functions: options.functions,
            room: Arc::new(Semaphore::new(READERS_MAX)),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            idle: Mutex::default(),
        }
    }

    /// Runs `work` on a snapshot; a question ends when it takes longer than `max`.
    pub(super) fn run<T, E: From<Error>>(
        &self,
        max: Option<Duration>,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        if let Some(max) = max {
            let began = Instant::now();
            let is_late = move || began.elapsed() > max;
            limit(&mut connection, Some(is_late))?;
        }
        // One snapshot for all that the work reads.
        execute(&connection, "BEGIN")?;
        let outcome = work(&connection);
        if max.is_some() {
            limit(&mut connection, None::<fn() -> bool>)?;
        }
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

/// Ends statements once `is_late` says so; none takes that back.
fn limit<F>(connection: &mut Connection, is_late: Option<F>) -> Result<(), Error>
where
    F: FnMut() -> bool + Send + 'static,
{
    Ok(connection.progress_handler(STEPS_BETWEEN_LOOKS, is_late)?)
}
