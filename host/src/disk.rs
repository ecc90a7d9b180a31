//! Room on the disk that log and store share. Intake refuses before a flood has
//! filled it, so that the store can still work off what waits.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::log;

/// The room that intake leaves: more than the write-ahead logs of both files
/// may grow to, and what moving them into the files takes.
const RESERVE_BYTES_MAX: u64 = 1 << 30;

/// The part of a small disk that intake leaves.
const RESERVE_SHARE: u64 = 10;

/// How many times the reserve has to be free for the log to keep what was
/// applied.
const AMPLE: u64 = 2;

/// The part of the reserve that what is free within the files does not stand for: what
/// their write-ahead logs may grow to.
const LOGS_SHARE: u64 = 2;

/// Bytes of the files that nothing is in: each file grows into its own alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reusable {
    /// Of the log's.
    pub log_bytes: u64,
    /// Of the store's.
    pub store_bytes: u64,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that the disk has.
    pub available_bytes: u64,
    /// These, and those that are free in the log's file.
    pub free_bytes: u64,
    /// Bytes that intake leaves to the store, beside those that its file has.
    pub reserve_bytes: u64,
    /// Of these, those that have to be free on the disk itself, for the write-ahead logs.
    logs_bytes: u64,
    /// Bytes with which the log can keep what was applied.
    ample_bytes: u64,
}

impl Room {
    fn new(available_bytes: u64, total_bytes: u64, reusable: Reusable) -> Self {
        let reserve_bytes = RESERVE_BYTES_MAX.min(total_bytes / RESERVE_SHARE);
        let of_disk_bytes = reserve_bytes.saturating_sub(reusable.store_bytes);
        let logs_bytes = reserve_bytes / LOGS_SHARE;
        Self {
            available_bytes,
            free_bytes: available_bytes.saturating_add(reusable.log_bytes),
            reserve_bytes: of_disk_bytes.max(logs_bytes),
            logs_bytes,
            ample_bytes: reserve_bytes.saturating_mul(AMPLE),
        }
    }

    /// Whether deliveries can be taken in.
    pub fn is_enough(self) -> bool {
        self.free_bytes >= self.reserve_bytes && self.available_bytes >= self.logs_bytes
    }

    /// Whether the log can keep what was applied.
    pub fn is_ample(self) -> bool {
        self.free_bytes >= self.ample_bytes
    }
}

/// The disk that the data directory is on, as it was last looked at.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    room: Mutex<Room>,
    /// Whether an entry could not be appended, and none could be since.
    failing: AtomicBool,
}

impl Disk {
    /// The disk of a directory, which is not looked at yet.
    pub fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_path_buf(),
            room: Mutex::new(Room {
                available_bytes: u64::MAX,
                free_bytes: u64::MAX,
                reserve_bytes: 0,
                logs_bytes: 0,
                ample_bytes: 0,
            }),
            failing: AtomicBool::new(false),
        }
    }

    /// How much room there was when it was last looked at.
    pub fn room(&self) -> Room {
        *self.held()
    }

    fn held(&self) -> MutexGuard<'_, Room> {
        // Nothing can panic while the lock is held.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at it.
    pub fn look(&self, reusable: Reusable) -> std::io::Result<Room> {
        let found = rustix::fs::statvfs(&self.directory)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let room = Room::new(bytes(found.f_bavail), bytes(found.f_blocks), reusable);
        let before = std::mem::replace(&mut *self.held(), room);
        let Room {
            free_bytes,
            reserve_bytes,
            ..
        } = room;
        match (before.is_enough(), room.is_enough()) {
            (true, false) => tracing::error!(
                free_bytes,
                reserve_bytes,
                "the disk is nearly full: deliveries are refused until there is room again; \
                 remove what is not ours from it, or enlarge it"
            ),
            (false, true) => tracing::info!(
                free_bytes,
                reserve_bytes,
                "there is room on the disk again: deliveries are taken in"
            ),
            _ => {}
        }
        Ok(room)
    }

    /// Whether entries cannot be appended, whatever room there is.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Takes note that an entry could not be appended. It is said once, not for
    /// each delivery.
    pub fn append_failed(&self, error: &log::Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                %error,
                "a delivery could not be made durable: deliveries are answered 503 while the log \
                 cannot be written, which is tried every second"
            );
        }
    }

    /// Takes note that the log can be written.
    pub fn append_worked(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the log can be written again: deliveries are taken in");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_gibibyte_is_left_to_the_store_and_a_tenth_of_a_small_disk() {
        let large = |free| Room::new(free, 500 * GIB, Reusable::default());
        assert!(large(GIB).is_enough() && !large(GIB - 1).is_enough());
        assert!(large(2 * GIB).is_ample() && !large(2 * GIB - 1).is_ample());
        let small = |free| Room::new(free, 1_000, Reusable::default());
        assert!(small(100).is_enough() && !small(99).is_enough());
        assert!(small(200).is_ample() && !small(199).is_ample());
    }

    #[test]
    fn what_trimming_left_free_in_the_log_is_room() {
        let of_log = |log_bytes| Reusable {
            log_bytes,
            ..Reusable::default()
        };
        assert!(Room::new(GIB / 2, 500 * GIB, of_log(GIB / 2)).is_enough());
        // But not for the store.
        assert!(!Room::new(GIB / 2 - 1, 500 * GIB, of_log(9 * GIB)).is_enough());
    }

    #[test]
    fn what_is_free_in_the_store_need_not_be_left_to_it() {
        let of_store = |store_bytes| Reusable {
            store_bytes,
            ..Reusable::default()
        };
        let some = |free| Room::new(free, 500 * GIB, of_store(GIB / 4));
        assert!(some(GIB / 4 * 3).is_enough() && !some(GIB / 4 * 3 - 1).is_enough());
        // But for the write-ahead logs, whatever is free in the log's file, too.
        let both = Reusable {
            log_bytes: GIB,
            store_bytes: GIB,
        };
        assert!(!Room::new(GIB / 2 - 1, 500 * GIB, both).is_enough());
        let all = |free| Room::new(free, 500 * GIB, of_store(9 * GIB));
        assert!(all(GIB / 2).is_enough() && !all(GIB / 2 - 1).is_enough());
        // What the log keeps for replays has no use for it.
        assert!(!all(2 * GIB - 1).is_ample());
    }

    #[test]
    fn a_disk_that_was_not_looked_at_has_room() {
        assert!(Disk::of(Path::new("/nonexistent")).room().is_ample());
    }
}
