//! Moving what was committed from the write-ahead log into the file, beside the
//! writer: it would take a tenth of its time.
//!
//! The log starts anew only when all of it was moved, which a busy writer may
//! leave no moment for: while one part is moved, the next is written. So the
//! thread goes on until little is left, and the writer moves that little itself
//! with what its next commit brings, while all others wait. Readers keep it from
//! beginning anew while any looks at what it held before: once it is several times
//! too long, the writer waits for those that do.
//!
//! SQLite syncs the file only where nothing was committed while a part was moved
//! (`walCheckpoint` in its `wal.c`). Else the writer, moving the last little, would
//! have to wait until all that the thread wrote is on disk. So the thread moves what
//! little has come several times more: most likely one of these falls between two
//! commits.
//!
//! The log keeps what it held until it is written over. Whoever has to know that
//! something is nowhere any more has it moved, and the writer empties it between
//! two transactions.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, hooks::Wal, wal::CheckpointMode};
use tokio::sync::oneshot;

use super::{BUSY_TIMEOUT, Error, stem};

/// The part of a log, as one in so many, that is little.
const LITTLE: i32 = 16;

/// How often what is little, or no less than before, is moved: so that the file is
/// synced, and little is left to sync, too.
const LAST_PARTS: usize = 8;

/// How many times too long the log may become before the writer waits for
/// readers, and does so again for each time that it is longer.
const OVERLONG: i32 = 6;

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

/// Has the log moved by another thread whenever commits of `writer` have added
/// this many pages to it. The thread ends with `writer`'s connection and with
/// who may ask for more.
pub(super) fn start(
    writer: &mut Connection,
    path: &Path,
    pages_max: i32,
) -> Result<(JoinHandle<()>, Asking), Error> {
    let own = Connection::open(path)?;
    own.busy_timeout(BUSY_TIMEOUT)?;
    let (due, asked) = sync_channel(1);
    let nearly_moved = Arc::new(AtomicBool::new(false));
    let thread = std::thread::Builder::new()
        .name(format!("{}-moves", stem(path)))
        .spawn({
            let nearly_moved = nearly_moved.clone();
            move || {
                while let Ok(task) = asked.recv() {
                    match move_most(&own, pages_max) {
                        Ok(most) => nearly_moved.store(most, Ordering::Relaxed),
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
            path: path.to_path_buf(),
            source,
        })?;
    let asking = Asking(due.clone());
    let mut asked_at: i32 = 0;
    writer.wal_hook(Some(move |wal: &mut Wal, pages| {
        if pages < asked_at {
            // It began anew.
            asked_at = 0;
        }
        let is_due = pages >= asked_at.saturating_add(pages_max);
        let is_overlong = pages >= pages_max.saturating_mul(OVERLONG);
        let moved = match (nearly_moved.swap(false, Ordering::Relaxed), is_overlong) {
            (_, true) if is_due => wal.checkpoint_v2(CheckpointMode::RESTART).map(|_| ()),
            (true, _) => wal.checkpoint(),
            _ => Ok(()),
        };
        // It fails while the other thread is at it, and a later commit tries
        // again. What was committed is committed.
        if let Err(error) = moved {
            tracing::debug!(%error, "the writer could not make a checkpoint");
        }
        if is_due {
            asked_at = pages;
            // Where it cannot be sent, it was asked for already.
            let _ = due.try_send(Task::Move);
        }
        Ok(())
    }))?;
    Ok((thread, asking))
}

/// Moves all but the rest that the writer moves by itself, or what it can before
/// the log is too long. Returns whether the writer is to go on: where readers
/// hold on to what is old, it could not, and where the log began anew, it need not.
fn move_most(connection: &Connection, pages_max: i32) -> rusqlite::Result<bool> {
    let (mut moved_before, mut came_before, mut last_parts) = (0, i32::MAX, 0);
    while last_parts < LAST_PARTS {
        // https://sqlite.org/pragma.html#pragma_wal_checkpoint: whether it was
        // kept from it, the pages in the log as it began, and those of them that are
        // moved.
        let (pages, moved): (i32, i32) =
            connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok((row.get(1)?, row.get(2)?))
            })?;
        if pages >= pages_max.saturating_mul(OVERLONG) {
            return Ok(true);
        }
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
        last_parts += usize::from(came <= pages_max / LITTLE || came > came_before / 2);
        (moved_before, came_before) = (moved, came);
    }
    Ok(true)
}
