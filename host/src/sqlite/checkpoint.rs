//! Moving what was committed from the write-ahead log into the file, beside the
//! writer: it would take a tenth of its time.
//!
//! The log starts anew only when all of it was moved, which a busy writer may
//! leave no moment for: while one part is moved, the next is written. So the
//! thread goes on until little is left, and once the log is long, the writer moves
//! that little itself between two transactions, while all others wait. Readers keep it
//! from beginning anew while any looks at what it held before: once it is too long, the
//! writer waits a moment for those that do, and once it is far too long, until they are
//! done.
//!
//! SQLite syncs the file only where nothing was committed while a part was moved
//! (`walCheckpoint` in its `wal.c`). Else the writer, moving the last little, would
//! have to wait until all that the thread wrote is on disk. So the thread moves what
//! little has come several times more: most likely one of these falls between two
//! commits. That sync has to tell of all parts before it, so one that failed ends the
//! process (`unsynced`).
//!
//! The log keeps what it held until it is written over. Whoever has to know that
//! something is nowhere any more has it moved, and the writer empties it between
//! two transactions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, MAIN_DB, hooks::Wal, wal::CheckpointMode};
use tokio::sync::oneshot;

use super::{BUSY_TIMEOUT, Error, Options, stem, unsynced};

/// The part of what the thread is asked to move, as one in so many, that is little.
const LITTLE: i32 = 16;

/// How often what is little, or no less than before, is moved: so that the file is
/// synced, and little is left to sync, too.
const LAST_PARTS: usize = 8;

/// How many times as long as is long the log may become before the writer waits for
/// readers, where little is left to move.
const OVERLONG: i32 = 3;

/// As [`OVERLONG`], however much is left, and for as long as readers take.
const FAR_OVERLONG: i32 = 6;

/// How long the writer waits for readers while the log is not far too long: all that is
/// to be written waits with it.
const READERS_WAITED_FOR_MAX: Duration = Duration::from_millis(50);

/// What the thread is asked for.
enum Task {
    /// Move what was committed.
    Move,
    /// Move it now, and say when that is done.
    MoveNow(oneshot::Sender<()>),
}

/// Asks the thread that moves a log.
pub(super) struct Asking(SyncSender<Task>);

impl Asking {
    /// Has what was committed moved, but for the rest that the writer moves by
    /// itself. Returns when that is done, or is being done for another.
    pub(super) async fn move_most(&self) -> Result<(), Error> {
        let (answer, moved) = oneshot::channel();
        match self.0.try_send(Task::MoveNow(answer)) {
            Ok(()) => moved.await.map_err(|_| Error::Closed),
            Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed),
        }
    }
}

/// What the writer does about its log: it asks the thread whenever its commits have
/// added so many pages, and moves what the thread leaves once the log is long.
pub(super) struct Checkpoints {
    moved_pages: i32,
    long_pages: i32,
    /// Pages in the log after the last commit.
    pages: Arc<AtomicI32>,
    /// How many there were when the thread was asked last.
    asked_at: i32,
    /// Whether the thread has left little.
    little_is_left: Arc<AtomicBool>,
    due: SyncSender<Task>,
}

impl Checkpoints {
    /// Lets others ask the thread.
    pub(super) fn asking(&self) -> Asking {
        Asking(self.due.clone())
    }

    /// To be called between transactions, when everybody was told of the last.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.asked_at {
            // It began anew.
            self.asked_at = 0;
        }
        let little_is_left = self.little_is_left.swap(false, Ordering::Relaxed);
        if pages >= self.long_pages.saturating_mul(FAR_OVERLONG) {
            // The thread is asked for no more, so that a later commit finds it at rest.
            self.begin_anew(writer, BUSY_TIMEOUT);
            return;
        }
        if little_is_left && pages >= self.long_pages.saturating_mul(OVERLONG) {
            self.begin_anew(writer, READERS_WAITED_FOR_MAX);
        } else if little_is_left && pages >= self.long_pages {
            // It waits for nobody.
            move_or_tell(writer, CheckpointMode::PASSIVE, Duration::ZERO);
        }
        // Where the thread is at it, the next commit asks again: so whenever it ends, it is
        // at rest until the writer was here, and not in its way.
        if pages >= self.asked_at.saturating_add(self.moved_pages)
            && self.due.try_send(Task::Move).is_ok()
        {
            self.asked_at = pages;
        }
    }

    /// Moves what is left, and has the log begin anew with the next commit, if those who
    /// look at what it held are done within `wait`.
    fn begin_anew(&mut self, writer: &Connection, wait: Duration) {
        if move_or_tell(writer, CheckpointMode::RESTART, wait) {
            self.pages.store(0, Ordering::Relaxed);
            self.asked_at = 0;
        }
    }
}

/// Has the log moved by another thread whenever commits of `writer` have added so many
/// pages to it. The thread ends with the writer's part and with who may ask for more.
pub(super) fn start(
    writer: &mut Connection,
    options: &Options,
) -> Result<(JoinHandle<()>, Checkpoints), Error> {
    let path = &options.path;
    // A file of an earlier release may have others than are asked for.
    let page_bytes: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let in_pages = |bytes: u32| i32::try_from(bytes / page_bytes).unwrap_or(i32::MAX).max(1);
    let moved_pages = in_pages(options.moved_bytes);
    let own = Connection::open(path)?;
    own.busy_timeout(BUSY_TIMEOUT)?;
    // Whatever is sent is taken at once, or not at all.
    let (due, asked) = sync_channel(0);
    let little_is_left = Arc::new(AtomicBool::new(false));
    let thread = std::thread::Builder::new()
        .name(format!("{}-moves", stem(path)))
        .spawn({
            let little_is_left = little_is_left.clone();
            move || {
                while let Ok(task) = asked.recv() {
                    match unsynced::checked(&own, move_most(&own, moved_pages)) {
                        Ok(most) => little_is_left.store(most, Ordering::Relaxed),
                        Err(error) => {
                            tracing::warn!(%error, "a checkpoint failed; the next commits try again");
                        }
                    }
                    if let Task::MoveNow(answer) = task {
                        // Whoever asked may have gone away.
                        let _ = answer.send(());
                    }
                }
            }
        })
        .map_err(|source| Error::Path {
            path: path.clone(),
            source,
        })?;
    let pages = Arc::new(AtomicI32::new(0));
    let counted = pages.clone();
    // In place of SQLite's own checkpoints.
    writer.wal_hook(Some(move |_: &mut Wal, pages| {
        counted.store(pages, Ordering::Relaxed);
        Ok(())
    }))?;
    let checkpoints = Checkpoints {
        moved_pages,
        long_pages: in_pages(options.long_bytes),
        pages,
        asked_at: 0,
        little_is_left,
        due,
    };
    Ok((thread, checkpoints))
}

/// Moves all, by the writer, and empties the log. Returns whether it could: a reader that
/// looks at what the log holds may be in the way. The thread may be at it for a moment:
/// nothing is committed meanwhile, so it ends.
pub(super) fn empty(writer: &Connection) -> Result<bool, Error> {
    let begun = Instant::now();
    loop {
        let emptied = move_rest(writer, CheckpointMode::TRUNCATE, READERS_WAITED_FOR_MAX)?;
        if emptied || begun.elapsed() >= READERS_WAITED_FOR_MAX {
            return Ok(emptied);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As [`move_rest`]. What fails, a later commit tries again: what was committed is
/// committed.
fn move_or_tell(writer: &Connection, mode: CheckpointMode, wait: Duration) -> bool {
    let moved = move_rest(writer, mode, wait);
    match &moved {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the writer was kept from a checkpoint"),
        Err(error) => tracing::warn!(%error, "the writer could not make a checkpoint"),
    }
    moved.unwrap_or(false)
}

/// Moves what is left, by the writer, and waits for readers as the mode says. Returns
/// whether nobody was in the way. Where the thread is at it, SQLite gives up at once
/// (`sqlite3WalCheckpoint` in its `wal.c`).
fn move_rest(writer: &Connection, mode: CheckpointMode, wait: Duration) -> Result<bool, Error> {
    writer.busy_timeout(wait)?;
    let moved = writer.wal_checkpoint_v2(Some(MAIN_DB), mode);
    writer.busy_timeout(BUSY_TIMEOUT)?;
    match moved {
        Ok(_) => Ok(true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => unsynced::checked(writer, Err(error.into())),
    }
}

/// Moves all but the rest that the writer moves by itself. Returns whether the writer
/// is to go on: where readers hold on to what is old, it could not, and where the log
/// began anew, it need not.
fn move_most(connection: &Connection, moved_pages: i32) -> Result<bool, Error> {
    let (mut moved_before, mut came_before, mut last_parts) = (0, i32::MAX, 0);
    while last_parts < LAST_PARTS {
        // https://sqlite.org/pragma.html#pragma_wal_checkpoint: whether it was
        // kept from it, the pages in the log as it began, and those of them that are
        // moved.
        let (pages, moved): (i32, i32) =
            connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok((row.get(1)?, row.get(2)?))
            })?;
        let has_begun_anew = pages < moved_before;
        let is_kept_by_readers = moved < pages && moved <= moved_before;
        if has_begun_anew || is_kept_by_readers {
            return Ok(false);
        }
        // Since the part before began. Where nothing did, that part was synced, and so
        // is everything.
        let came = pages - moved_before;
        if came == 0 {
            break;
        }
        last_parts += usize::from(came <= moved_pages / LITTLE || came > came_before / 2);
        (moved_before, came_before) = (moved, came);
    }
    Ok(true)
}
