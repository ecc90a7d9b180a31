//! Room in memory for bodies that are being read: nobody has checked their
//! signatures yet.
//!
//! Where it is full, those that have been read longest give way. A delivery
//! comes within moments; whoever lets a body drip holds room that others need.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Room for so many bytes.
pub struct Room {
    bytes: Semaphore,
    readers: Mutex<Readers>,
}

/// Those that read a body, by when they began.
#[derive(Default)]
struct Readers {
    next: u64,
    reading: BTreeMap<u64, Holder>,
}

struct Holder {
    bytes: u32,
    gives_way: Arc<Notify>,
}

/// Others need the room more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivesWay;

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes: Semaphore::new(bytes_max),
            readers: Mutex::default(),
        }
    }

    /// Begins to read a body.
    pub fn begin(&self) -> Reader<'_> {
        let gives_way = Arc::new(Notify::new());
        let mut readers = self.lock();
        let turn = readers.next;
        readers.next += 1;
        let holder = Holder {
            bytes: 0,
            gives_way: gives_way.clone(),
        };
        readers.reading.insert(turn, holder);
        Reader {
            room: self,
            turn,
            gives_way,
            held: None,
        }
    }

    /// Has those that read longest give way, until they hold so many bytes
    /// together. The one that asks is the last that would.
    fn make_room(&self, bytes: u32, asks: u64) -> Result<(), GivesWay> {
        let mut readers = self.lock();
        let mut freed = 0;
        while freed < bytes {
            let longest = readers.reading.first_entry().ok_or(GivesWay)?;
            if *longest.key() >= asks {
                return Err(GivesWay);
            }
            let holder = longest.remove();
            holder.gives_way.notify_one();
            freed = freed.saturating_add(holder.bytes);
        }
        Ok(())
    }

    /// No code panics while it holds this lock; what it guards is whole.
    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that reads a body. What it holds is free again when it is dropped.
pub struct Reader<'r> {
    room: &'r Room,
    turn: u64,
    gives_way: Arc<Notify>,
    held: Option<SemaphorePermit<'r>>,
}

impl Reader<'_> {
    /// Takes room for more bytes, others' who have read longer if it must.
    pub async fn take(&mut self, bytes: u32) -> Result<(), GivesWay> {
        let room = self.room;
        let taken = match room.bytes.try_acquire_many(bytes) {
            Ok(taken) => taken,
            Err(_) => {
                room.make_room(bytes, self.turn)?;
                tokio::select! {
                    taken = room.bytes.acquire_many(bytes) => taken.map_err(|_| GivesWay)?,
                    () = self.gives_way() => return Err(GivesWay),
                }
            }
        };
        if let Some(holder) = room.lock().reading.get_mut(&self.turn) {
            holder.bytes = holder.bytes.saturating_add(bytes);
        }
        match &mut self.held {
            Some(held) => held.merge(taken),
            None => self.held = Some(taken),
        }
        Ok(())
    }

    /// Resolves once this one has to give way.
    pub async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.room.lock().reading.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_read_longest_give_way_and_no_more_of_them_than_must() {
        let room = Room::new(10);
        let (mut first, mut second) = (room.begin(), room.begin());
        let (mut third, mut newest) = (room.begin(), room.begin());
        first.take(2).await.expect("room");
        second.take(4).await.expect("room");
        third.take(4).await.expect("room");
        let give_way = async {
            first.gives_way().await;
            drop(first);
            second.gives_way().await;
            drop(second);
        };
        let (taken, ()) = tokio::join!(newest.take(5), give_way);
        taken.expect("room");
        assert_eq!(room.bytes.available_permits(), 1);
        third.take(1).await.expect("it was let be");
    }

    #[tokio::test]
    async fn one_that_reads_longest_itself_gives_way() {
        let room = Room::new(10);
        let (mut longest, mut other) = (room.begin(), room.begin());
        longest.take(4).await.expect("room");
        other.take(6).await.expect("room");
        assert_eq!(longest.take(1).await, Err(GivesWay));
        drop(longest);
        other.take(4).await.expect("room");
        // Alone, and larger than all the room.
        assert_eq!(other.take(1).await, Err(GivesWay));
        drop(other);
        assert_eq!(room.bytes.available_permits(), 10);
        assert!(room.lock().reading.is_empty());
    }

    #[tokio::test]
    async fn one_that_waits_for_room_gives_way_too() {
        let room = Room::new(10);
        let (mut first, mut second, mut third) = (room.begin(), room.begin(), room.begin());
        first.take(5).await.expect("room");
        second.take(5).await.expect("room");
        // The first was told, and has not gone yet when the third one comes.
        let gives_way = async {
            let taken = second.take(2).await;
            drop(second);
            taken
        };
        let (taken, others) = tokio::join!(gives_way, third.take(3));
        assert_eq!(taken, Err(GivesWay));
        others.expect("room");
        first.gives_way().await;
    }
}
