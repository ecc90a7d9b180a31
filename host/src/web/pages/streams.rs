//! How many streams of events may be open: in one session, and in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Streams that may be open at once. Each holds a connection and renders on
/// every change; a hidden page closes its own.
pub const STREAMS_MAX: usize = 256;

/// Of one session: pages beside each other on a large screen, and those that
/// are closing.
pub const STREAMS_PER_SESSION_MAX: usize = 16;

/// A session, by the hash of its token.
type SessionHash = [u8; 32];

/// The streams that are open, by session; clones are the same.
#[derive(Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<SessionHash, usize>>>,
}

impl Streams {
    /// A place for one more, where there is one.
    pub fn place(&self, session: SessionHash) -> Option<Place> {
        let mut open = lock(&self.open);
        let of_session = open.get(&session).copied().unwrap_or_default();
        if of_session >= STREAMS_PER_SESSION_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        open.insert(session, of_session + 1);
        drop(open);
        let streams = self.clone();
        Some(Place { session, streams })
    }
}

/// A stream's place, left when it is dropped.
pub struct Place {
    session: SessionHash,
    streams: Streams,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.open);
        if let Some(of_session) = open.get_mut(&self.session) {
            *of_session -= 1;
            if *of_session == 0 {
                open.remove(&self.session);
            }
        }
    }
}

/// No code panics while it holds this lock; what it guards is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_has_a_few_streams_and_all_together_have_more() {
        let streams = Streams::default();
        let place = |session: u8| streams.place([session; 32]);
        let mut open: Vec<_> = (0..STREAMS_PER_SESSION_MAX).map(|_| place(0)).collect();
        assert!(open.iter().all(Option::is_some));
        assert!(place(0).is_none());
        open.pop();
        open.push(Some(place(0).expect("one was left")));

        let sessions = u8::try_from(STREAMS_MAX / STREAMS_PER_SESSION_MAX).expect("few");
        for session in 1..sessions {
            open.extend((0..STREAMS_PER_SESSION_MAX).map(|_| place(session)));
        }
        assert!(open.iter().all(Option::is_some));
        assert!(place(sessions).is_none());
        drop(open);
        assert!(place(sessions).is_some());
        assert!(lock(&streams.open).is_empty());
    }
}
