//! SQLite, narrowed to what the log and the store use: one writer thread a
//! file, whose jobs share commits, and a few readers beside it.
//!
//! A job's answer is sent after the commit that holds it has been synced to
//! disk (`synchronous=FULL`), never before. Its log lines are in the span of
//! whoever asked for it.

mod checkpoint;
mod directory;
mod error;
mod readers;
mod writer;

pub use directory::make as make_directory;
pub use error::Error;

use std::{
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
use writer::{Extent, Task, job, write_loop};

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
    /// Pages in the write-ahead log that start a checkpoint.
    pub checkpoint_pages: i32,
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
}

impl Database {
    /// Opens or creates the file, brings its schema up to date, and starts its
    /// writer thread.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let (connection, moving, checkpoints) = start(options).map_err(|source| match source {
            Error::NewerSchema { .. } | Error::Path { .. } => source,
            source => Error::File {
                path: options.path.clone(),
                source: Box::new(source),
            },
        })?;
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
        self.write_as(Extent::Some, work).await
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
        self.write_as(Extent::Many, work).await
    }

    async fn write_as<T, E>(
        &self,
        extent: Extent,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (job, answer) = job(extent, work);
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
        self.write_as(Extent::OneStatement, work).await
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
        emptied.await.unwrap_or(Err(Error::Closed))
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

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The writer's connection to a file that is up to date, the thread that makes its
/// checkpoints, and what the writer does for them.
fn start(options: &Options) -> Result<(Connection, JoinHandle<()>, Checkpoints), Error> {
    let mut connection = open_writer(options)?;
    migrate(&connection, options)?;
    let (moving, checkpoints) =
        checkpoint::start(&mut connection, &options.path, options.checkpoint_pages)?;
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

fn migrate(connection: &Connection, options: &Options) -> Result<(), Error> {
    let known = u32::try_from(options.migrations.len()).unwrap_or(u32::MAX);
    execute(connection, "BEGIN IMMEDIATE")?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        execute(connection, "ROLLBACK")?;
        return Err(Error::NewerSchema {
            path: options.path.clone(),
            found,
            known,
        });
    }
    for (version, migration) in (1_u32..).zip(options.migrations).skip(found as usize) {
        connection.execute_batch(migration)?;
        connection.pragma_update(None, "user_version", version)?;
    }
    execute(connection, "COMMIT")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Barrier};

    use super::{readers::READERS_MAX, *};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_write_ahead_log_begins_anew_however_busy_writer_and_readers_are() {
        // A page or two a commit, and twenty: each moves a hundred commits together.
        for (body_bytes, checkpoint_pages) in [(2_000, 160), (80_000, 1_600)] {
            begins_anew(body_bytes, checkpoint_pages, 0, 5).await;
            // Somebody always looks at what it held before, until the writer waits for them.
            begins_anew(body_bytes, checkpoint_pages, READERS_MAX, 12).await;
        }
    }

    /// Much more is written than so many times what starts a checkpoint, and it is
    /// never as long as that.
    async fn begins_anew(body_bytes: u32, checkpoint_pages: u16, readers: usize, too_long: u64) {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        let page_size_bytes = 4_096;
        let database = Database::open(&Options {
            path: directory.join("file.sqlite"),
            page_size_bytes,
            cache_kibibytes: 1_024,
            checkpoint_pages: checkpoint_pages.into(),
            migrations: &["CREATE TABLE bodies (body BLOB)"],
            functions: no_functions,
        })
        .expect("opens");
        let database = Arc::new(database);
        let ended = tokio_util::sync::CancellationToken::new();
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let (database, ended) = (database.clone(), ended.clone());
                tokio::spawn(async move {
                    while !ended.is_cancelled() {
                        let count = |connection: &Connection| {
                            let sql = "SELECT sum(length(body)) FROM bodies";
                            connection
                                .query_one(sql, [], |row| row.get::<_, Option<i64>>(0))
                                .map_err(Error::from)
                        };
                        database.read(count).await.expect("reads");
                    }
                })
            })
            .collect();
        for _ in 0..1_600 {
            let insert = move |connection: &Connection| {
                let sql = "INSERT INTO bodies VALUES (zeroblob(?1))";
                connection.execute(sql, [body_bytes]).map_err(Error::from)
            };
            database.write(insert).await.expect("writes");
        }
        // It is never made shorter: this is as long as it ever was.
        let log = std::fs::metadata(directory.join("file.sqlite-wal")).expect("a log");
        let pages = log.len() / u64::from(page_size_bytes);
        let enough = too_long * u64::from(checkpoint_pages);
        assert!(pages < enough, "{pages} pages, {body_bytes} bytes a commit");
        ended.cancel();
        for reader in readers {
            reader.await.expect("a reader");
        }
        drop(database);
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_overwritten_is_in_no_file_once_the_write_ahead_log_is_emptied() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        let database = Database::open(&Options {
            path: directory.join("file.sqlite"),
            page_size_bytes: 4_096,
            cache_kibibytes: 1_024,
            checkpoint_pages: 1_000,
            migrations: &["CREATE TABLE bodies (body TEXT)"],
            functions: no_functions,
        })
        .expect("opens");
        let write = async |sql: &'static str| {
            let work =
                move |connection: &Connection| connection.execute(sql, []).map_err(Error::from);
            database.write(work).await.expect("writes")
        };
        let files_with = |text: &str| {
            let files = std::fs::read_dir(&directory).expect("files");
            let files = files.map(|file| std::fs::read(file.expect("a file").path()));
            let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|w| w == text.as_bytes());
            files.filter(|bytes| bytes.as_ref().is_ok_and(has)).count()
        };
        write("INSERT INTO bodies VALUES ('a secret that is long enough')").await;
        write("UPDATE bodies SET body = 'open'").await;
        assert!(files_with("a secret that") > 0);
        // A reader that looks at what was is in the way, and holds up nobody.
        let (begun, looking) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let reading = database.read(move |connection| {
            let count = "SELECT count(*) FROM bodies";
            let _: i64 = connection.query_one(count, [], |row| row.get(0))?;
            begun.send(()).expect("told");
            let _ = ended.recv();
            Ok::<_, Error>(())
        });
        let emptying = async {
            tokio::task::block_in_place(|| looking.recv()).expect("begun");
            write("UPDATE bodies SET body = 'newer'").await;
            let emptied = database.empty_write_ahead_log().await;
            assert!(!emptied.expect("told"));
            write("UPDATE bodies SET body = 'newest'").await;
            end.send(()).expect("ends");
        };
        let (read, ()) = futures_util::future::join(reading, emptying).await;
        read.expect("read");
        assert!(database.empty_write_ahead_log().await.expect("told"));
        assert_eq!((files_with("a secret that"), files_with("newest")), (0, 1));
        drop(database);
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[tokio::test]
    async fn no_more_reads_run_at_once_than_may_and_the_directory_is_its_owners() {
        let parent = std::env::temp_dir().join(format!("jimo-sqlite-{:x}", rand::random::<u64>()));
        let directory = parent.join("data");
        let options = Options {
            path: directory.join("file.sqlite"),
            page_size_bytes: 4_096,
            cache_kibibytes: 1_024,
            checkpoint_pages: 1_000,
            migrations: &[],
            functions: no_functions,
        };
        let database = Database::open(&options).expect("opens");
        let mode = std::fs::metadata(&directory).expect("directory");
        assert_eq!(mode.permissions().mode() & 0o777, 0o700);

        // Each read waits until as many run as may.
        let all_at_once = Arc::new(Barrier::new(READERS_MAX));
        let reads = (0..READERS_MAX * 8).map(|_| {
            let all_at_once = all_at_once.clone();
            database.read(move |_| {
                all_at_once.wait();
                Ok::<_, Error>(())
            })
        });
        for read in futures_util::future::join_all(reads).await {
            read.expect("reads");
        }
        assert_eq!(database.readers.idle(), READERS_MAX);
        drop(database);
        std::fs::remove_dir_all(&parent).expect("removed");
    }

    fn database(directory: &Path) -> Arc<Database> {
        let database = Database::open(&Options {
            path: directory.join("file.sqlite"),
            page_size_bytes: 4_096,
            cache_kibibytes: 1_024,
            checkpoint_pages: 1_000,
            migrations: &[],
            functions: no_functions,
        });
        Arc::new(database.expect("opens"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_writes_much_begins_a_transaction_and_undoes_itself_alone() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&directory).expect("made");
        let database = database(&directory);
        let run =
            |connection: &Connection, sql: &str| connection.execute_batch(sql).map_err(Error::from);
        let making = move |connection: &Connection| run(connection, "CREATE TABLE words (word)");
        database.write(making).await.expect("made");
        // All of these wait while the writer is kept busy.
        let (let_go, kept) = std::sync::mpsc::channel::<()>();
        let busy = database.write(move |_| {
            let _ = kept.recv();
            Ok::<_, Error>(())
        });
        let before = database
            .write(move |connection| run(connection, "INSERT INTO words VALUES ('before')"));
        let (reader, path) = (database.clone(), directory.join("file.sqlite"));
        let much = database.write_much(move |connection| {
            run(connection, "INSERT INTO words VALUES ('much')")?;
            // What came before is committed: others see it.
            let other = Connection::open(&path)?;
            let seen: i64 = other.query_one("SELECT count(*) FROM words", [], |row| row.get(0))?;
            assert_eq!(seen, 1);
            Err::<(), _>(Error::Closed)
        });
        let after =
            database.write(move |connection| run(connection, "INSERT INTO words VALUES ('after')"));
        let letting_go = async { let_go.send(()).expect("waits") };
        let (busy, before, much, after, ()) =
            futures_util::join!(busy, before, much, after, letting_go);
        assert!(busy.is_ok() && before.is_ok() && much.is_err() && after.is_ok());
        let words = reader.read(|connection| {
            let sql = "SELECT group_concat(word, ' ') FROM words";
            Ok::<String, Error>(connection.query_one(sql, [], |row| row.get(0))?)
        });
        assert_eq!(words.await.expect("reads"), "before after");
        drop(reader);
        drop(database);
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    fn endless(connection: &Connection) -> Result<i64, Error> {
        let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
                   SELECT count(*) FROM n";
        Ok(connection.query_one(sql, [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_question_that_takes_too_long_ends_and_what_is_read_after_it_does_not() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&directory).expect("made");
        let database = database(&directory);
        let asked = database.ask_within(Duration::ZERO, endless).await;
        assert!(matches!(asked, Err(Error::TookTooLong)), "{asked:?}");
        let counted = database.read(|connection| {
            let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 100000)
                       SELECT count(*) FROM n";
            Ok::<i64, Error>(connection.query_one(sql, [], |row| row.get(0))?)
        });
        assert_eq!(counted.await.expect("reads"), 100_000);
        drop(database);
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_others_read_waits_for_no_question_however_many_are_asked() {
        let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&directory).expect("made");
        let database = database(&directory);
        let (under_way, end) = (
            Arc::new(Barrier::new(readers::QUESTIONS_MAX + 1)),
            Arc::new(Barrier::new(readers::QUESTIONS_MAX + 1)),
        );
        let ask = |meets: bool| {
            let (database, under_way, end) = (database.clone(), under_way.clone(), end.clone());
            tokio::spawn(async move {
                let question = move |_: &Connection| {
                    if meets {
                        under_way.wait();
                        end.wait();
                    }
                    Ok::<_, Error>(())
                };
                database.ask(question).await
            })
        };
        let mut asked: Vec<_> = (0..readers::QUESTIONS_MAX).map(|_| ask(true)).collect();
        tokio::task::block_in_place(|| under_way.wait());
        // These wait, and take nobody's place.
        asked.extend((0..readers::READERS_MAX).map(|_| ask(false)));
        database.read(|_| Ok::<_, Error>(())).await.expect("reads");
        tokio::task::block_in_place(|| end.wait());
        for asked in asked {
            asked.await.expect("task").expect("asked");
        }
        drop(database);
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
