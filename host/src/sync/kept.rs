//! What is read from HubSpot once for all who want it, and kept for a while.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    joint::{Ended, Joint},
    lock,
};
use crate::{clock::Clock, hubspot::Priority, model::Timestamp};

/// How long it is kept: people who map fields look again and again, and rarely
/// change anything in HubSpot meanwhile.
pub(super) const KEPT: Duration = Duration::from_secs(60);

/// What was read, and when that began.
struct Reading<V> {
    begun_at: Timestamp,
    read: Arc<V>,
}

impl<V> Clone for Reading<V> {
    fn clone(&self) -> Self {
        Self {
            begun_at: self.begun_at,
            read: self.read.clone(),
        }
    }
}

/// What is kept, by what it is about.
type Held<K, V> = Arc<Mutex<HashMap<K, Reading<V>>>>;

/// What is read once for all who want it, and kept for a while.
pub(super) struct Kept<K, V, E> {
    held: Held<K, V>,
    /// Whoever may wait longer is not waited for.
    reads: Joint<(K, Priority), Result<Reading<V>, E>>,
}

impl<K, V, E> Default for Kept<K, V, E> {
    fn default() -> Self {
        Self {
            held: Arc::default(),
            reads: Joint::default(),
        }
    }
}

impl<K, V, E> Kept<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
    E: Clone + From<Ended> + Send + Sync + 'static,
{
    /// What was read at `since` or later; else what `read` reads now, for all
    /// who ask meanwhile.
    pub async fn get<F>(
        &self,
        clock: &Clock,
        key: K,
        (since, priority): (Timestamp, Priority),
        read: impl Fn() -> F,
    ) -> Result<Arc<V>, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        loop {
            // A clock that was set back must not be waited for.
            let since = since.min(clock.now());
            let held = lock(&self.held).get(&key).cloned();
            let reading = match held.filter(|held| held.begun_at >= since) {
                Some(held) => held,
                None => {
                    let read = keep(self.held.clone(), key.clone(), clock.clone(), read());
                    let reads = self.reads.begin((key.clone(), priority), read);
                    reads.wait().await??
                }
            };
            // What was under way may have begun too early.
            if reading.begun_at >= since {
                return Ok(reading.read);
            }
        }
    }
}

async fn keep<K, V, E>(
    held: Held<K, V>,
    key: K,
    clock: Clock,
    read: impl Future<Output = Result<V, E>>,
) -> Result<Reading<V>, E>
where
    K: Eq + Hash,
{
    let begun_at = clock.now();
    let reading = Reading {
        begun_at,
        read: Arc::new(read.await?),
    };
    let mut held = lock(&held);
    held.retain(|_, kept| begun_at.since(kept.begun_at) < KEPT);
    // Another that was more urgent may have begun later and ended before.
    if held.get(&key).is_none_or(|kept| kept.begun_at <= begun_at) {
        held.insert(key, reading.clone());
    }
    Ok(reading)
}
