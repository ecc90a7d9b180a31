//! How many streams of events may be open: in one session, of one project, and in all.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{PersonId, ProjectId};

/// Streams that may be open at once. Each holds a connection and renders on
/// every change; a hidden page closes its own.
pub const STREAMS_MAX: usize = 256;

/// Of one project, so that none keeps the others from theirs.
pub const STREAMS_PER_PROJECT_MAX: usize = 64;

/// Of one session: pages beside each other on a large screen, and those that
/// are closing.
pub const STREAMS_PER_SESSION_MAX: usize = 16;

/// A session or an API token, by the hash of its token.
type SessionHash = [u8; 32];

/// Whose streams share a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of a project's members and tokens.
    Project(ProjectId),
    /// An operator's, whatever project they look at.
    Operator(PersonId),
}

/// The streams that are open; clones are the same.
#[derive(Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<Vec<Opened>>>,
}

/// A stream that is open.
type Opened = (Whose, SessionHash);

impl Streams {
    /// A place for one more, where there is one.
    pub fn place(&self, whose: Whose, session: SessionHash) -> Option<Place> {
        let mut open = lock(&self.open);
        let of_session = open.iter().filter(|(_, of)| *of == session).count();
        let of_project = open.iter().filter(|(of, _)| *of == whose).count();
        if of_session >= STREAMS_PER_SESSION_MAX
            || of_project >= STREAMS_PER_PROJECT_MAX
            || open.len() >= STREAMS_MAX
        {
            return None;
        }
        open.push((whose, session));
        drop(open);
        let streams = self.clone();
        Some(Place {
            opened: (whose, session),
            streams,
        })
    }
}

/// A stream's place, left when it is dropped.
pub struct Place {
    opened: Opened,
    streams: Streams,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.open);
        if let Some(place) = open.iter().position(|one| *one == self.opened) {
            open.swap_remove(place);
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

    /// Opens all that a session may have.
    fn all_of(streams: &Streams, whose: Whose, session: u8) -> Vec<Option<Place>> {
        let place = |_| streams.place(whose, [session; 32]);
        (0..STREAMS_PER_SESSION_MAX).map(place).collect()
    }

    #[test]
    fn one_session_has_a_few_streams_a_project_more_and_all_together_the_most() {
        let streams = Streams::default();
        let project = |number| Whose::Project(ProjectId(number));
        let place = |whose, session: u8| streams.place(whose, [session; 32]);
        let mut open = all_of(&streams, project(0), 0);
        assert!(open.iter().all(Option::is_some));
        assert!(place(project(0), 0).is_none());
        open.pop();
        open.push(Some(place(project(0), 0).expect("one was left")));

        let mut sessions = 1..;
        let mut next = || sessions.next().expect("another");
        for _ in 1..STREAMS_PER_PROJECT_MAX / STREAMS_PER_SESSION_MAX {
            open.extend(all_of(&streams, project(0), next()));
        }
        assert!(open.iter().all(Option::is_some));
        assert!(place(project(0), next()).is_none());
        // Another project has its own, and so has an operator who looks at this one.
        let operator = Whose::Operator(PersonId(0));
        open.extend(all_of(&streams, operator, next()));
        open.extend(all_of(&streams, project(1), next()));
        assert!(open.iter().all(Option::is_some));

        for number in 2.. {
            if open.len() == STREAMS_MAX {
                break;
            }
            open.extend(all_of(&streams, project(number), next()));
        }
        assert!(open.iter().all(Option::is_some));
        assert!(place(project(99), next()).is_none());
        drop(open);
        assert!(place(project(99), next()).is_some());
        assert!(lock(&streams.open).is_empty());
    }
}
