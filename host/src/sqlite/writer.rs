//! The writer thread: jobs in the order they came, many to a commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::{
    Error,
    checkpoint::{self, Checkpoints},
    execute, unsynced,
};

/// Jobs that share one commit. Beyond a few hundred the sync is no longer what
/// a commit costs, and everyone would wait for the last of them.
const JOBS_PER_COMMIT_MAX: usize = 512;

/// What the thread is asked for.
pub(super) enum Task {
    /// Do a job.
    Write(Job),
    /// Move all that was committed, empty the write-ahead log, and say whether
    /// that went.
    EmptyLog(oneshot::Sender<Result<bool, Error>>),
}

/// How much a job writes, by which it is known how to undo it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// One statement: SQLite undoes it by itself when it fails.
    OneStatement,
    /// Some statements.
    Some,
    /// So many that SQLite's copies of what they change, by which they could be undone
    /// alone, would be large: they are undone with the transaction that they begin.
    Many,
}

/// When what a job wrote is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// When its answer comes.
    Synced,
    /// Sometime after it, and together with all that the same transaction wrote: whoever
    /// asked can do it again after a power cut that undid it.
    Repeatable,
}

/// Answers whoever asked for a job, once it is committed or is known not to be.
type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;

/// Runs in the transaction that is open, or is told why there is none.
type Run = dyn FnOnce(Result<&Connection, String>) -> Ran + Send;

/// What is to be done in a transaction.
pub(super) struct Job {
    extent: Extent,
    durability: Durability,
    run: Box<Run>,
}

/// A job that has run.
struct Ran {
    failed: bool,
    reply: Reply,
}

/// Makes a job of work, and where its answer comes.
pub(super) fn job<T, E>(
    extent: Extent,
    durability: Durability,
    work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let span = Span::current();
    let run = move |transaction: Result<&Connection, String>| {
        let outcome = match transaction {
            Ok(connection) => span.in_scope(|| work(connection)),
            Err(reason) => Err(E::from(Error::Commit(reason))),
        };
        let failed = outcome.is_err();
        let reply = move |committed: Result<(), String>| {
            let answer = match committed {
                Ok(()) => outcome,
                Err(reason) => Err(E::from(Error::Commit(reason))),
            };
            // The caller may have gone away; the work is done all the same.
            let _ = sender.send(answer);
        };
        Ran {
            failed,
            reply: Box::new(reply),
        }
    };
    let job = Job {
        extent,
        durability,
        run: Box::new(run),
    };
    (job, receiver)
}

/// Does what it is asked for until nothing can come any more.
pub(super) fn write_loop(
    connection: &Connection,
    mut checkpoints: Checkpoints,
    mut waiting: mpsc::Receiver<Task>,
) {
    // As it was opened.
    let mut durability = Durability::Synced;
    let mut next = waiting.blocking_recv();
    while let Some(task) = next.take() {
        match task {
            Task::Write(first) => {
                next = transact(connection, &mut durability, first, &mut waiting);
                checkpoints.after_commit(connection);
            }
            Task::EmptyLog(answer) => {
                // Whoever asked may have gone away.
                let _ = answer.send(checkpoint::empty(connection));
            }
        }
        next = next.or_else(|| waiting.blocking_recv());
    }
}

/// Does a job, and, where it is synced, those that wait already and write little, in one
/// transaction. Returns what is to be done after it, where that has come. `durability`: of
/// the last transaction, and of this one then.
fn transact(
    connection: &Connection,
    durability: &mut Durability,
    first: Job,
    waiting: &mut mpsc::Receiver<Task>,
) -> Option<Task> {
    let of_this = first.durability;
    let mut transaction = Transaction::begin(connection, durability, of_this);
    transaction.run(first);
    // What can be done again begins transactions of its own.
    let joins = |job: &Job| of_this == Durability::Synced && job.extent != Extent::Many;
    let mut next = None;
    while next.is_none() && transaction.replies.len() < JOBS_PER_COMMIT_MAX {
        match waiting.try_recv() {
            Ok(Task::Write(job)) if joins(&job) => transaction.run(job),
            Ok(other) => next = Some(other),
            Err(_) => break,
        }
    }
    transaction.end();
    next
}

/// A transaction, and who waits for it.
struct Transaction<'c> {
    connection: &'c Connection,
    /// Why there is none any more.
    broken: Result<(), String>,
    /// Whether no job has written to it.
    is_empty: bool,
    replies: Vec<Reply>,
}

impl<'c> Transaction<'c> {
    /// Begins one of a durability, after one of another.
    fn begin(connection: &'c Connection, last: &mut Durability, durability: Durability) -> Self {
        let mut begin = || {
            if *last != durability {
                connection.pragma_update(None, "synchronous", synchronous(durability))?;
                *last = durability;
            }
            execute(connection, "BEGIN IMMEDIATE")
        };
        Self {
            connection,
            broken: in_words(unsynced::checked(connection, begin())),
            is_empty: true,
            replies: Vec::new(),
        }
    }

    /// Runs a job; if it fails, all that it wrote is undone, and nothing of the
    /// others.
    fn run(&mut self, job: Job) {
        // SQLite copies each page that is changed under a savepoint, and keeps the
        // copies in memory. The first job, as a large one always is, needs none.
        let saved = job.extent == Extent::Some && !self.is_empty;
        if saved {
            self.execute("SAVEPOINT job");
        }
        let open = self.broken.clone().map(|()| self.connection);
        // A panic is a defect of the job; its caller is told `Closed`, and the
        // file stays usable for the others.
        let failed = match catch_unwind(AssertUnwindSafe(|| (job.run)(open))) {
            Ok(ran) => {
                self.replies.push(ran.reply);
                ran.failed
            }
            Err(_) => true,
        };
        // A full disk or a failing one makes SQLite give up the whole
        // transaction: what follows must not begin one of its own. All that a job may
        // have synced is the head of a log that begins anew, which is written again.
        if self.broken.is_ok() && self.connection.is_autocommit() {
            self.broken = Err("the disk is full or failing".into());
        }
        match (failed, saved) {
            (true, true) => {
                self.execute("ROLLBACK TO job");
                self.execute("RELEASE job");
            }
            (true, false) if self.is_empty => {
                self.execute("ROLLBACK");
                self.execute("BEGIN IMMEDIATE");
            }
            // It undid itself.
            (true, false) => {}
            (false, true) => self.execute("RELEASE job"),
            (false, false) => self.is_empty = false,
        }
    }

    /// Commits, and tells everyone.
    fn end(mut self) {
        self.execute("COMMIT");
        if !self.connection.is_autocommit() {
            // What the commit failed of is what is told.
            let _ = execute(self.connection, "ROLLBACK");
        }
        for reply in self.replies {
            reply(self.broken.clone());
        }
    }

    fn execute(&mut self, sql: &str) {
        if self.broken.is_ok() {
            let executed = execute(self.connection, sql);
            self.broken = in_words(unsynced::checked(self.connection, executed));
        }
    }
}

/// What SQLite calls it: with `NORMAL` the write-ahead log is synced before it is moved
/// into the file, and no commit waits for that
/// (<https://sqlite.org/pragma.html#pragma_synchronous>).
fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Synced => "FULL",
        Durability::Repeatable => "NORMAL",
    }
}

/// An error that everyone who shares a transaction is told.
fn in_words(outcome: Result<(), Error>) -> Result<(), String> {
    outcome.map_err(|error| error.to_string())
}
