//! Work that is done once for all who want it meanwhile, and to its end even
//! when all of them go away.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::lock;

/// The work itself ended; a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// What is under way, by what it is about.
type UnderWay<K, T> = Mutex<HashMap<K, Outcome<T>>>;

/// Work that several may want at once, one at a time for each key.
pub struct Joint<K, T> {
    under_way: Arc<UnderWay<K, T>>,
    tasks: TaskTracker,
}

impl<K, T> Default for Joint<K, T> {
    fn default() -> Self {
        Self {
            under_way: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }
}

impl<K, T> Joint<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Begins `work` on a task of its own, unless some for that key is under
    /// way: then that one's outcome is the answer.
    pub fn begin<F>(&self, key: K, work: F) -> Outcome<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(outcome) = under_way.get(&key) {
            return outcome.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let outcome = Outcome(receiver);
        under_way.insert(key.clone(), outcome.clone());
        let place = Place {
            key,
            under_way: self.under_way.clone(),
        };
        self.tasks.spawn(async move {
            let outcome = work.await;
            drop(place);
            sender.send_replace(Some(outcome));
        });
        outcome
    }

    /// Returns once nothing is under way.
    pub async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What comes of work; it goes on when this is dropped.
#[derive(Debug)]
pub struct Outcome<T>(watch::Receiver<Option<T>>);

impl<T> Clone for Outcome<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Outcome<T> {
    /// Waits for it.
    ///
    /// # Errors
    ///
    /// [`Ended`], where the work panicked.
    pub async fn wait(mut self) -> Result<T, Ended> {
        let outcome = self.0.wait_for(Option::is_some).await.map_err(|_| Ended)?;
        outcome.clone().ok_or(Ended)
    }
}

/// The place of work among what is under way, left however it ends.
struct Place<K: Eq + Hash, T> {
    key: K,
    under_way: Arc<UnderWay<K, T>>,
}

impl<K: Eq + Hash, T> Drop for Place<K, T> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// Work that waits for `go`, and tells how often it was done.
    async fn work(go: Arc<Notify>, done: Arc<AtomicUsize>) -> usize {
        go.notified().await;
        done.fetch_add(1, Ordering::SeqCst) + 1
    }

    #[tokio::test]
    async fn all_who_want_it_meanwhile_share_one_outcome_and_the_next_begins_anew() {
        let joint = Joint::default();
        let (go, done) = (Arc::new(Notify::new()), Arc::default());
        let begin = || joint.begin((), work(go.clone(), Arc::clone(&done)));
        let (first, second) = (begin(), begin());
        go.notify_one();
        assert_eq!(first.wait().await, Ok(1));
        assert_eq!(second.wait().await, Ok(1));
        let third = begin();
        go.notify_one();
        assert_eq!(third.wait().await, Ok(2));
    }

    #[tokio::test]
    async fn it_goes_on_when_all_who_wanted_it_went_away() {
        let joint = Joint::default();
        let (go, done) = (Arc::new(Notify::new()), Arc::default());
        drop(joint.begin((), work(go.clone(), Arc::clone(&done))));
        go.notify_one();
        joint.settled().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn work_that_panics_holds_up_no_later_one() {
        let joint: Joint<(), ()> = Joint::default();
        let broken = joint.begin((), async { panic!("a test") });
        assert_eq!(broken.wait().await, Err(Ended));
        assert_eq!(joint.begin((), async {}).wait().await, Ok(()));
    }
}
