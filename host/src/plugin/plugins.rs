//! The connectors whose plugins run here.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Fault, Version, Versions};
use crate::model::Connection;

/// The versions of every connector's plugin that runs here, by the connector's name.
#[derive(Debug, Default)]
pub struct Plugins(RwLock<BTreeMap<String, Arc<Versions>>>);

impl Plugins {
    /// The versions of a connector's plugin.
    ///
    /// # Errors
    ///
    /// [`Fault::NotRunning`] where none runs: none was activated, or the one that was
    /// cannot be run and this release has none built in.
    pub fn of(&self, connector: &str) -> Result<Arc<Versions>, Fault> {
        // Nothing can panic while the lock is held, here and below.
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let versions = all.get(connector).cloned();
        versions.ok_or_else(|| Fault::NotRunning(connector.to_owned()))
    }

    /// The active version of a connector's plugin.
    ///
    /// # Errors
    ///
    /// Those of [`Plugins::of`].
    pub fn active(&self, connector: &str) -> Result<Arc<Version>, Fault> {
        self.of(connector).map(|versions| versions.active())
    }

    /// The version of a connector's plugin that serves one of its connections, which
    /// may be tried with another than the active one.
    ///
    /// # Errors
    ///
    /// Those of [`Plugins::of`].
    pub fn serving(&self, connection: &Connection) -> Result<Arc<Version>, Fault> {
        let serving = self.of(&connection.connector)?.serving();
        Ok(serving.of(connection.trial.as_deref()).clone())
    }

    /// All connectors whose plugins run here, by name.
    pub fn all(&self) -> Vec<Arc<Versions>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// The connectors whose plugins run, by name.
    pub fn running(&self) -> Vec<String> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }

    /// What people call a connector: its name, where none of its plugin runs.
    pub fn label(&self, connector: &str) -> String {
        match self.active(connector) {
            Ok(version) => version.description().label.clone(),
            Err(_) => connector.to_owned(),
        }
    }

    /// Runs a connector's plugin from now on.
    pub fn add(&self, versions: Versions) {
        let connector = versions.active().description().connector.clone();
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(connector, versions.into());
    }

    /// Makes a version the active one of its connector, and returns the one that was,
    /// which is kept; none where it is the connector's first.
    pub fn activate(&self, version: Arc<Version>) -> Option<Arc<Version>> {
        match self.of(&version.description().connector) {
            Ok(versions) => Some(versions.activate(version)),
            Err(_) => {
                self.add(Versions::installed(version));
                None
            }
        }
    }
}
