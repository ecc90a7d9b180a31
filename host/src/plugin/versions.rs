//! Which version of a connector's plugin is the active one.

use std::sync::{Arc, PoisonError, RwLock};

use super::Version;

/// The versions of one connector's plugin, of which one is active.
///
/// A pass holds the version that it began with, so it ends on that one
/// whatever becomes active meanwhile.
#[derive(Debug)]
pub struct Versions {
    active: RwLock<Arc<Version>>,
}

impl Versions {
    /// Begins with one version, the active one.
    pub fn new(active: Version) -> Self {
        Self {
            active: RwLock::new(Arc::new(active)),
        }
    }

    /// The active version: what a pass that begins now runs.
    pub fn active(&self) -> Arc<Version> {
        // Nothing can panic while the lock is held.
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes another version active, and returns the one that was.
    pub fn activate(&self, version: Arc<Version>) -> Arc<Version> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut active, version)
    }
}
