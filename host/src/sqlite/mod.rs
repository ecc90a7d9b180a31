//! SQLite, narrowed to what the log and the store use: one writer thread a
//! file, whose jobs share commits, and a few readers beside it.
//!
//! A job's answer is sent after the commit that holds it has been synced to
//! disk (`synchronous=FULL`), never before; but for what can be done again
//! ([`Database::write_repeatable`]). Its log lines are in the span of whoever asked for
//! it.
//!
//! A write that fails is told, and may be made again. A sync that fails ends the process
//! (`unsynced`).

mod checkpoint;
mod directory;
mod error;
mod readers;
mod schema;
mod unsynced;
mod writer;

pub use directory::make as make_directory;
pub use error::Error;
pub use schema::migrate;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, MAIN_DB, config::DbConfig};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::Span;

use checkpoint::Checkpoints;
use readers::Readers;
use writer::{Durability, Extent, Task, job, write_loop};

/// Jobs that wait for the writer thread before callers wait for a place among them.
/// Each holds at most one delivery, or one batch of the pipeline; intake bounds the
/// deliveries further.
const WAITING_JOBS_MAX: usize = 4_096;

/// How long a statement waits for a lock that another process holds, such as
/// the command line beside a running host.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How a file is laid out and tuned.
pub struct Options {
    /// Where it is.
    pub path: PathBuf,
    /// The size of a page in bytes; only a new file takes it.
    pub page_size_bytes: u32,
    /// Memory that the writer keeps pages in.
    pub cache_kibibytes: u32,
    /// What another thread moves into the file as soon as so much was added to the
    /// write-ahead log. While it syncs that, commits wait longer.
    pub moved_bytes: u32,
    /// From how many bytes on a write-ahead log is long: the writer sees to it that it
    /// begins anew.
    pub long_bytes: u32,
    /// Numbered, never edited; the index is the schema version before it.
    pub migrations: &'static [&'static str],
    /// Gives each connection the functions that statements call.
    pub functions: Functions,
}

/// Gives a connection functions of our own.
pub type Functions = fn(&Connection) -> rusqlite::Result<()>;

/// No functions but SQLite's.
pub fn no_functions(_: &Connection) -> rusqlite::Result<()> {
    Ok(())
}

/// One file: a writer thread and readers.
pub struct Database {
    tasks: Option<mpsc::Sender<Task>>,
    writer: Option<JoinHandle<()>>,
    moves: Option<checkpoint::Asking>,
    readers: Arc<Readers>,
    write_ahead_log: Arc<WriteAheadLog>,
}

/// What SQLite keeps beside a file. The system tells of a write that failed whoever had
/// the log open then, once: so it stays open.
struct WriteAheadLog {
    path: PathBuf,
    file: File,
}

impl Database {
    /// Opens or creates the file, and starts its writer thread.
    ///
    /// # Errors
    ///
    /// [`Error::OlderSchema`] where an earlier release made it: see [`migrate`].
    pub fn open(options: &Options) -> Result<Self, Error> {
        let (connection, moving, checkpoints) = start(options).map_err(in_file(options))?;
        let write_ahead_log = Arc::new(WriteAheadLog::open(&options.path)?);
        let (tasks, waiting) = mpsc::channel(WAITING_JOBS_MAX);
        let moves = checkpoints.asking();
        let writer = std::thread::Builder::new()
            .name(format!("{}-writer", stem(&options.path)))
            .spawn(move || {
                write_loop(&connection, checkpoints, waiting);
                drop(connection);
                // A panic was reported.
                let _ = moving.join();
            })
            .map_err(|source| Error::Path {
                path: options.path.clone(),
                source,
            })?;
        Ok(Self {
            tasks: Some(tasks),
            writer: Some(writer),
            moves: Some(moves),
            readers: Arc::new(Readers::new(options)),
            write_ahead_log,
        })
    }

    /// Runs `work` on the writer thread, in a transaction that it may share
    /// with others. Its error undoes what it wrote, and nothing of the others.
    ///
    /// Waits for a place in the queue.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Extent::Some, Durability::Synced, work).await
    }

    /// As [`Self::write`], for work that writes a lot: it begins the transaction that
    /// it shares.
    pub async fn write_much<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Extent::Many, Durability::Synced, work).await
    }

    /// As [`Self::write_much`], for work that whoever asks for it does again after a
    /// power cut that undid it: its answer does not wait for the disk. It is synced with
    /// the next other that writes anything, with a checkpoint, or by [`Self::sync`].
    pub async fn write_repeatable<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Extent::Many, Durability::Repeatable, work)
            .await
    }

    async fn write_as<T, E>(
        &self,
        extent: Extent,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (job, answer) = job(extent, durability, work);
        let tasks = self.tasks.as_ref().ok_or(Error::Closed)?;
        let sending = tasks.send(Task::Write(job)).await;
        sending.map_err(|_| Error::Closed)?;
        answer.await.unwrap_or(Err(E::from(Error::Closed)))
    }

    /// As [`Self::write`], for work that is one statement, which undoes itself
    /// when it fails.
    pub async fn write_once<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write_as(Extent::OneStatement, Durability::Synced, work)
            .await
    }

    /// Has all that was committed before on disk.
    pub async fn sync(&self) -> Result<(), Error> {
        self.sync_log(File::sync_data).await
    }

    /// Syncs the write-ahead log, with or without what the system says of the file.
    async fn sync_log(&self, sync: fn(&File) -> io::Result<()>) -> Result<(), Error> {
        let log = self.write_ahead_log.clone();
        let syncing = tokio::task::spawn_blocking(move || {
            if let Err(error) = sync(&log.file) {
                unsynced::end(&log.path, &error);
            }
        });
        syncing.await.map_err(|_| Error::Closed)
    }

    /// Moves all that was committed into the file, and empties the write-ahead
    /// log: what was overwritten before is in neither then. Returns whether it
    /// could be; a reader may be in the way for a moment.
    pub async fn empty_write_ahead_log(&self) -> Result<bool, Error> {
        let moves = self.moves.as_ref().ok_or(Error::Closed)?;
        moves.move_most().await?;
        let (answer, emptied) = oneshot::channel();
        let tasks = self.tasks.as_ref().ok_or(Error::Closed)?;
        let emptying = tasks.send(Task::EmptyLog(answer)).await;
        emptying.map_err(|_| Error::Closed)?;
        let emptied = emptied.await.unwrap_or(Err(Error::Closed))?;
        if emptied {
            // SQLite does not sync its length: after a power cut it could be as it was.
            self.sync_log(File::sync_all).await?;
        }
        Ok(emptied)
    }

    /// The bytes of the file that nothing is in: what is written fills them before the
    /// file grows.
    pub async fn reusable_bytes(&self) -> Result<u64, Error> {
        self.read(|connection| {
            let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0));
            let (pages, page_bytes): (u32, u32) = (pragma("freelist_count")?, pragma("page_size")?);
            Ok(u64::from(pages) * u64::from(page_bytes))
        })
        .await
    }

    /// Runs `work` on a reader, which sees what was committed when it begins.
    ///
    /// Waits while as many read as may.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.read_with(None, work).await
    }

    /// Runs `work` on a reader, as a question that may take long: few do at once,
    /// and what others read waits for none of them.
    ///
    /// # Errors
    ///
    /// [`Error::TookTooLong`] after some seconds, beside those of `work`.
    pub async fn ask<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.ask_within(readers::QUESTION_MAX, work).await
    }

    async fn ask_within<T, E>(
        &self,
        max: Duration,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let place = self.readers.questions.clone().acquire_owned().await;
        let place = place.map_err(|_| Error::Closed)?;
        self.read_with(Some((max, place)), work).await
    }

    /// What is held goes when the work has ended, whoever waits for it.
    async fn read_with<T, E>(
        &self,
        question: Option<(Duration, OwnedSemaphorePermit)>,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let readers = self.readers.clone();
        let room = readers.room.clone().acquire_owned().await;
        let room = room.map_err(|_| Error::Closed)?;
        let span = Span::current();
        let reading = move || {
            let max = question.as_ref().map(|(max, _)| *max);
            let outcome = span.in_scope(|| readers.run(max, work));
            drop((room, question));
            outcome
        };
        tokio::task::spawn_blocking(reading)
            .await
            .unwrap_or(Err(E::from(Error::Closed)))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The last connection to close moves the write-ahead log into the file,
        // which readers may not.
        self.readers.close();
        self.tasks = None;
        self.moves = None;
        if let Some(writer) = self.writer.take() {
            // What was sent before is still written; a panic was reported.
            let _ = writer.join();
        }
    }
}

/// A file's name without its end, to tell threads by.
fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

impl WriteAheadLog {
    /// That of a file that is open.
    fn open(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        let path = PathBuf::from(name);
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(Error::Path { path, source }),
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Says which file it was, where that is not said.
fn in_file(options: &Options) -> impl FnOnce(Error) -> Error {
    move |source| match source {
        Error::NewerSchema { .. } | Error::OlderSchema { .. } | Error::Path { .. } => source,
        source => Error::File {
            path: options.path.clone(),
            source: Box::new(source),
        },
    }
}

/// The writer's connection to a file that is up to date, the thread that makes its
/// checkpoints, and what the writer does for them.
fn start(options: &Options) -> Result<(Connection, JoinHandle<()>, Checkpoints), Error> {
    let mut connection = open_writer(options)?;
    schema::make_or_check(&connection, options)?;
    let (moving, checkpoints) = checkpoint::start(&mut connection, options)?;
    Ok((connection, moving, checkpoints))
}

fn open_writer(options: &Options) -> Result<Connection, Error> {
    if let Some(parent) = options.path.parent() {
        directory::make(parent)?;
    }
    let connection = Connection::open(&options.path)?;
    // SQLite takes what it gets; nothing could be written later.
    if connection.is_readonly(MAIN_DB)? {
        let cause = "its file system is read-only, or it belongs to another user";
        return Err(Error::Path {
            path: options.path.clone(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, cause),
        });
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", options.page_size_bytes)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: privacy deletion must reach the file.
    connection.pragma_update(None, "secure_delete", true)?;
    // Below zero: not pages, but KiB.
    connection.pragma_update(None, "cache_size", -i64::from(options.cache_kibibytes))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    keep_plans(&connection)?;
    (options.functions)(&connection)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Plans statements once, not anew for the values that are bound to them.
fn keep_plans(connection: &Connection) -> Result<(), Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

#[cfg(test)]
mod tests;
