//! Which version of a connector's plugin is the active one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::Version;

/// The versions of one connector's plugin that are compiled, of which one is
/// active: beside it the one that was before it, so that going back takes no
/// time, those that serve single connections, and the one that this release has
/// built in, where it has one.
///
/// A pass holds the version that it began with, so it ends on that one
/// whatever becomes active meanwhile.
#[derive(Debug)]
pub struct Versions {
    built_in: Option<Arc<Version>>,
    active: RwLock<Arc<Version>>,
    before: Mutex<Option<Arc<Version>>>,
    tried: Mutex<Vec<Arc<Version>>>,
}

impl Versions {
    /// Begins with the version that is built in, the active one.
    pub fn built_in(version: Version) -> Self {
        let version = Arc::new(version);
        Self {
            active: RwLock::new(version.clone()),
            before: Mutex::default(),
            tried: Mutex::default(),
            built_in: Some(version),
        }
    }

    /// Begins with a version of a connector that this release has none of.
    pub fn installed(version: Arc<Version>) -> Self {
        Self {
            active: RwLock::new(version),
            before: Mutex::default(),
            tried: Mutex::default(),
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
        let tried = self.tried().clone();
        let mut all = all.into_iter().flatten().chain(tried);
        all.find(|version| version.digest() == digest)
    }

    /// The versions that serve connections now.
    pub fn serving(&self) -> Serving {
        Serving {
            active: self.active(),
            tried: self.tried().clone(),
        }
    }

    /// Keeps a version compiled that is to serve single connections.
    pub fn try_out(&self, version: Arc<Version>) {
        let mut tried = self.tried();
        tried.retain(|one| one.digest() != version.digest());
        tried.push(version);
    }

    /// Lets go of those that serve no single connection any more.
    pub fn keep_tried(&self, digests: &[String]) {
        let is_kept = |version: &Arc<Version>| digests.iter().any(|one| one == version.digest());
        self.tried().retain(is_kept);
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

    fn tried(&self) -> MutexGuard<'_, Vec<Arc<Version>>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn before(&self) -> MutexGuard<'_, Option<Arc<Version>>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The versions that serve the connections of one connector, as they were at a
/// moment: whoever works with them ends with the same.
#[derive(Clone, Debug)]
pub struct Serving {
    active: Arc<Version>,
    tried: Vec<Arc<Version>>,
}

impl Serving {
    /// One version that serves all.
    pub fn alone(version: Arc<Version>) -> Self {
        Self {
            active: version,
            tried: Vec::new(),
        }
    }

    /// The active version.
    pub fn active(&self) -> &Arc<Version> {
        &self.active
    }

    /// The version that serves a connection: the one that it alone is tried with, by
    /// digest, else the active one.
    pub fn of(&self, trial: Option<&str>) -> &Arc<Version> {
        let is_tried = |version: &&Arc<Version>| Some(version.digest()) == trial;
        self.tried.iter().find(is_tried).unwrap_or(&self.active)
    }
}
