//! The versions that are there: installed, removed, and opened at the start.

use std::path::Path;

use super::{Error, history};
use crate::{
    model::Timestamp,
    plugin::{self, Engine, Version, Versions, files},
    store::{
        self, Store,
        plugins::{PluginVersion, Running},
    },
    telemetry::spawn_blocking,
};

/// Who a built-in version is installed by.
const RELEASE: &str = "the release";

/// A component that an operator brings.
#[derive(Debug)]
pub struct Brought {
    /// Its bytes.
    pub component: Vec<u8>,
    /// The name of the file that it comes in.
    pub file: String,
    /// Who brings it.
    pub by: String,
}

/// Checks a component, keeps it, and returns the version that it is. One that is
/// installed already is written again, which mends its file.
pub async fn install(
    engine: &Engine,
    store: &Store,
    directory: &Path,
    brought: Brought,
    now: Timestamp,
) -> Result<PluginVersion, Error> {
    let (engine, directory) = (engine.clone(), directory.to_path_buf());
    let work = spawn_blocking(move || {
        let version = plugin::check(&engine, &brought.component)?;
        // First its file: one that no version names is in nobody's way.
        files::write(&directory, &brought.component)?;
        Ok::<_, Error>(known(
            &version,
            brought.component.len(),
            Some(brought.file),
            &brought.by,
            now,
        ))
    });
    let installed = work.await.map_err(|_| Error::Ended)??;
    let kept = store.transact(move |tx| {
        tx.add_plugin_version(&installed)?;
        tx.plugin_version(&installed.digest)
    });
    Ok(kept.await?)
}

/// Removes a version, the one whose digest begins so. The active one stays.
pub async fn remove(
    store: &Store,
    directory: &Path,
    begins: String,
) -> Result<PluginVersion, Error> {
    let removed = store.transact(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let chosen = history::chosen_version(tx, &version.connector)?;
        let running = tx.running(&version.connector)?;
        let is_used = chosen.is_some_and(|chosen| chosen.digest == version.digest)
            || running
                .as_ref()
                .is_some_and(|running| running.digest == version.digest)
            || tx.is_switch_waiting(&version.digest)?;
        if version.file.is_none() {
            return Ok(Err(Error::BuiltIn));
        }
        if is_used {
            return Ok(Err(Error::InUse));
        }
        // Without its file, what is built in is still there to go back to.
        match running.is_some_and(|running| running.built_in == version.digest) {
            true => tx.remove_plugin_file(&version.digest)?,
            false => tx.remove_plugin_version(&version.digest)?,
        }
        Ok(Ok(version))
    });
    let removed = removed.await??;
    files::remove(directory, &removed.digest)?;
    Ok(removed)
}

/// Reads and compiles a version that is installed. Takes some seconds of this
/// thread.
pub fn load(engine: &Engine, directory: &Path, version: &PluginVersion) -> Result<Version, Error> {
    if version.file.is_none() {
        return Err(Error::NotKept);
    }
    let component = files::read(directory, &version.digest)?;
    Ok(engine.load(&component)?)
}

/// The versions that a host begins with, the chosen one active; and why it is not
/// that, where it cannot be run.
///
/// Then the built-in one stands in. A host that did not start would answer no
/// delivery, and HubSpot gives up after a day; the built-in version is the one
/// that this release was tested with, what it does is recorded as its doing, and
/// registers keep the source's texts. The choice stays: once the file is back, the
/// next start, or activating it, goes on with it.
pub async fn open(
    engine: &Engine,
    store: &Store,
    directory: &Path,
    built_in: (Version, usize),
    now: Timestamp,
) -> Result<(Versions, Option<String>), store::Error> {
    let (built_in, size) = built_in;
    let own = known(&built_in, size, None, RELEASE, now);
    let connector = own.connector.clone();
    let own_digest = own.digest.clone();
    let chosen = store
        .transact(move |tx| {
            tx.add_plugin_version(&own)?;
            history::chosen_version(tx, &own.connector)
        })
        .await?;
    let versions = Versions::new(built_in);
    let mut problem = None;
    if let Some(chosen) = chosen.filter(|chosen| chosen.digest != versions.built_in().digest()) {
        match load(engine, directory, &chosen) {
            Ok(version) => {
                versions.activate(version.into());
            }
            Err(error) => {
                tracing::error!(
                    digest = chosen.digest, version = chosen.version, %error,
                    "the plugin version that was activated cannot be run: the built-in version \
                     stands in for it; install it again and activate it, or activate another"
                );
                problem = Some(error.to_string());
            }
        }
    }
    let active = versions.active();
    tracing::info!(
        connector = active.description().connector,
        version = active.description().version,
        digest = active.digest(),
        "plugin loaded"
    );
    let running = Running {
        digest: active.digest().to_owned(),
        built_in: own_digest,
        problem: problem.clone(),
    };
    store
        .transact(move |tx| tx.set_running(&connector, &running))
        .await?;
    Ok((versions, problem))
}

fn known(
    version: &Version,
    size: usize,
    file: Option<String>,
    by: &str,
    now: Timestamp,
) -> PluginVersion {
    let description = version.description();
    PluginVersion {
        digest: version.digest().to_owned(),
        connector: description.connector.clone(),
        label: description.label.clone(),
        version: description.version.clone(),
        contract: Some(version.contract().to_owned()),
        size_bytes: size as u64,
        file,
        installed_by: by.to_owned(),
        installed_at: now,
    }
}
