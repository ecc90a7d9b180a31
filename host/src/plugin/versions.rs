//! Which version of a connector's plugin is the active one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::Version;

/// The versions of one connector's plugin that are compiled, of which one is
/// active: beside it the one that was before it, so that going back takes no
/// time, and the one that this release has built in, where it has one.
///
/// A pass holds the version that it began with, so it ends on that one
/// whatever becomes active meanwhile.
#[derive(Debug)]
pub struct Versions {
    built_in: Option<Arc<Version>>,
    active: RwLock<Arc<Version>>,
    before: Mutex<Option<Arc<Version>>>,
}

impl Versions {
    /// Begins with the version that is built in, the active one.
    pub fn built_in(version: Version) -> Self {
        let version = Arc::new(version);
        Self {
            active: RwLock::new(version.clone()),
            before: Mutex::default(),
            built_in: Some(version),
        }
    }

    /// Begins with a version of a connector that this release has none of.
    pub fn installed(version: Arc<Version>) -> Self {
        Self {
            active: RwLock::new(version),
            before: Mutex::default(),
            built_in: None,
        }
    }

    /// The active version: what a pass that begins now runs.
    pub fn active(&self) -> Arc<Version> {
        // Nothing can panic while the lock is held.
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version that this release has built in; none where it has none of this
    /// connector.
    pub fn release(&self) -> Option<Arc<Version>> {
        self.built_in.clone()
    }

    /// The version with this digest, where it is compiled.
    pub fn compiled(&self, digest: &str) -> Option<Arc<Version>> {
        let before = self.before().clone();
        let all = [Some(self.active()), before, self.release()];
        let mut all = all.into_iter().flatten();
        all.find(|version| version.digest() == digest)
    }

    /// Keeps a version compiled that may be gone back to.
    pub fn keep(&self, before: Arc<Version>) {
        *self.before() = Some(before);
    }

    /// Makes another version active, and returns the one that was, which is kept.
    pub fn activate(&self, version: Arc<Version>) -> Arc<Version> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *active, version);
        drop(active);
        self.keep(before.clone());
        before
    }

    fn before(&self) -> MutexGuard<'_, Option<Arc<Version>>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
