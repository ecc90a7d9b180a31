//! Moving what was committed from the write-ahead log into the file, beside the
//! writer: it would take a tenth of its time.
//!
//! The log starts anew only when all of it was moved, which a busy writer may
//! leave no moment for. So the writer moves the rest itself once the log is
//! several times as long as it should be; only readers can make it longer
//! still, while they look at what it began with.

use std::{path::Path, sync::mpsc::sync_channel, thread::JoinHandle};

use rusqlite::{Connection, hooks::Wal};

use super::{BUSY_TIMEOUT, Error, stem};

/// How many times too long the log may become before the writer stops for it.
const OVERLONG: i32 = 4;

/// Has the log moved by another thread whenever commits of `writer` have added
/// this many pages to it. The thread ends with `writer`'s connection.
pub(super) fn start(
    writer: &mut Connection,
    path: &Path,
    pages_max: i32,
) -> Result<JoinHandle<()>, Error> {
    let own = Connection::open(path)?;
    own.busy_timeout(BUSY_TIMEOUT)?;
    let (due, asked) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(format!("{}-moves", stem(path)))
        .spawn(move || {
            while asked.recv().is_ok() {
                let moved = own.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                if let Err(error) = moved {
                    tracing::warn!(%error, "a checkpoint failed; the next commits try again");
                }
            }
        })
        .map_err(|source| Error::Path {
            path: path.to_path_buf(),
            source,
        })?;
    let mut asked_at: i32 = 0;
    writer.wal_hook(Some(move |wal: &mut Wal, pages| {
        if pages >= pages_max.saturating_mul(OVERLONG) {
            // It fails while the other thread is at it, and the next commit
            // tries again. What was committed is committed.
            if let Err(error) = wal.checkpoint() {
                tracing::debug!(%error, "the writer could not make a checkpoint");
            }
        } else if pages < asked_at {
            // It began anew.
            asked_at = 0;
        } else if pages >= asked_at.saturating_add(pages_max) {
            asked_at = pages;
            // Where it cannot be sent, it was asked for already.
            let _ = due.try_send(());
        }
        Ok(())
    }))?;
    Ok(thread)
}
