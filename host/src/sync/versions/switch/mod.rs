//! Switches from one version to another: asked for, made, and taken back by the
//! host itself where the new version fails too often.

mod asked;
mod looked_after;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use looked_after::{Watched, Watching, begin, look_after};

use super::{Error, described::described, installing::apart, library, trials, watch::Watch};
use crate::{
    host::Host,
    model::Timestamp,
    plugin::{Version, files},
    sources::Source,
    store::{
        self, Tx,
        plugins::{PluginVersion, Running, Switch, Why},
    },
    telemetry::{SwitchLabels, spawn_blocking},
};

pub use asked::{Ask, Requested, ask, compared, outcome, request};
pub(super) use looked_after::Left;

/// How often it looks when nothing in this process says that something is asked
/// for, and how long it waits after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who switches where the host does by itself.
pub(super) const HOST: &str = "the host";

/// Makes the switches that are asked for, and watches the version that was made
/// active last, until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let mut watched = Watched::new();
    if let Err(error) = look_at_installed(&host).await {
        tracing::warn!(%error, "the installed plugin versions could not be looked at");
    }
    while !stop.is_cancelled() {
        let begun = begin(&host, &mut watched).await;
        if let Err(error) = &begun {
            tracing::error!(
                %error,
                "plugin versions are not watched yet, and none that fails is taken back: it is \
                 tried again"
            );
        }
        let failed = match step(&host, &mut watched).await {
            Ok(true) => continue,
            Ok(false) => begun.is_err(),
            Err(error) => {
                tracing::warn!(%error, "a switch of plugin versions could not be made yet");
                true
            }
        };
        tokio::select! {
            _ = changed.changed(), if !failed => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Says which of the installed versions cannot be read.
async fn look_at_installed(host: &Host) -> Result<(), Error> {
    let installed = host.store.read(|tx| tx.plugin_versions()).await?;
    let directory = host.config.data.directory.clone();
    let looked = spawn_blocking(move || {
        for version in installed.iter().filter(|version| version.file.is_some()) {
            if let Err(error) = files::read(&directory, &version.digest) {
                tracing::warn!(digest = version.digest, %error, "an installed plugin version cannot be read");
            }
        }
    });
    looked.await.map_err(|_| Error::Ended)
}

/// Does one thing. Returns whether there was any.
async fn step(host: &Host, watched: &mut Watched) -> Result<bool, Error> {
    if let Some((request, switch)) = host.store.read(|tx| tx.next_switch()).await? {
        let watching = watched.entry(switch.connector.clone()).or_default();
        make(host, request, switch, watching).await?;
        return Ok(true);
    }
    for (connector, watching) in watched {
        if look_after(host, connector, watching).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a switch that was asked for, or says why not.
async fn make(
    host: &Host,
    request: i64,
    switch: Switch,
    watching: &mut Watching,
) -> Result<(), Error> {
    let made = match (switch.connection, switch.why) {
        // Whether or not its version can be run.
        (Some(connection), Why::Rollback) => {
            trials::give_back(host, request, switch.clone(), connection).await
        }
        _ => switch_over(host, request, switch.clone(), watching).await,
    };
    let refused = match made {
        Ok(()) => return Ok(()),
        Err(Error::Store(error)) if error.is_retryable() => return Err(error.into()),
        Err(error) => error,
    };
    tracing::warn!(digest = switch.digest, error = %refused, "a switch of plugin versions could not be made");
    let reason = refused.to_string();
    host.store
        .transact(move |tx| tx.end_switch(request, Some(&reason)))
        .await?;
    Ok(())
}

/// Has another version serve all, or one connection, as was asked for.
async fn switch_over(
    host: &Host,
    request: i64,
    switch: Switch,
    watching: &mut Watching,
) -> Result<(), Error> {
    let (digest, connector) = (switch.digest.clone(), switch.connector.clone());
    let known = host.store.read(move |tx| {
        let with = tx.compared_with(request)?;
        Ok((tx.plugin_version(&digest)?, tx.running(&connector)?, with))
    });
    let (version, running, with) = known.await?;
    // Another version may have become active since it was asked for.
    if with.is_some_and(|with| active(running.as_ref()) != with) {
        let why = "it was not compared with the version that became active meanwhile";
        return Err(Error::NotCompared(why.into()));
    }
    let version = load(host, &version).await?;
    if running.is_some_and(|running| running.is_chosen(version.digest())) {
        return Err(Error::Active);
    }
    match switch.connection {
        Some(connection) => {
            let tried = &mut watching.tried;
            trials::begin(host, request, version, switch, connection, tried).await
        }
        None => for_all(host, request, version, switch, watching).await,
    }
}

/// Makes a version that is compiled the active one, as was asked for.
async fn for_all(
    host: &Host,
    request: i64,
    version: Arc<Version>,
    switch: Switch,
    watching: &mut Watching,
) -> Result<(), Error> {
    let (why, connector) = (switch.why, switch.connector.clone());
    let none_ran = host.plugins.of(&connector).is_err();
    let at = switch_to(host, version.clone(), switch, move |tx| {
        tx.end_switch(request, None)
    });
    let at = at.await?;
    watching.is_failing = false;
    watching.activated =
        (why == Why::Operator).then(|| Watch::new(version.digest(), at, at, version.tally()));
    // The switch is made, whatever becomes of these.
    if none_ran && let Err(error) = trials::reopen(host, &connector, &mut watching.tried).await {
        tracing::error!(%error, "what is to serve single connections could not be looked at");
    }
    Ok(())
}

/// The version that runs, by digest; empty where none does.
fn active(running: Option<&Running>) -> &str {
    let digest = running.and_then(|running| running.digest.as_deref());
    digest.unwrap_or_default()
}

/// Switches to a version that is compiled, and keeps that, with what `also` does,
/// in one transaction before. Returns when.
async fn switch_to(
    host: &Host,
    version: Arc<Version>,
    switch: Switch,
    also: impl FnOnce(&Tx<'_>) -> Result<(), store::Error> + Send + 'static,
) -> Result<Timestamp, Error> {
    let versions = host.plugins.of(&switch.connector).ok();
    let (why, now) = (switch.why, host.clock.now());
    let release = versions.as_ref().and_then(|versions| versions.release());
    let running = Running {
        digest: Some(switch.digest.clone()),
        built_in: release.map(|version| version.digest().to_owned()),
        problem: None,
        failing: None,
    };
    let before = versions.map(|versions| versions.active().digest().to_owned());
    let says = described(&version);
    let problems = host
        .store
        .transact(move |tx| {
            // It may have been removed meanwhile.
            tx.plugin_version(&switch.digest)?;
            tx.describe_plugin(&switch.digest, &says)?;
            tx.add_activation(&switch, before.as_deref(), now)?;
            tx.set_running(&switch.connector, &running)?;
            trials::end_all(tx, &switch.digest)?;
            // A source that is not asked has its choices from the component.
            if !Source::of(&switch.connector).is_read() {
                for account in tx.accounts_of(&switch.connector)? {
                    tx.request_labels(account)?;
                }
            }
            // It shadows no more, and what compares with the one before begins anew.
            let shadow = tx.shadow(&switch.connector)?;
            if shadow.is_some_and(|shadow| shadow.digest == switch.digest) {
                tx.end_shadow(&switch.connector)?;
            }
            also(tx)?;
            tx.plugin_problems()
        })
        .await?;
    let before = host.plugins.activate(version.clone());
    let problems = problems.len().try_into().unwrap_or(i64::MAX);
    host.metrics.plugin_fallback.set(problems);
    let labels = SwitchLabels { why: why.as_str() };
    host.metrics.plugin_switches.get_or_create(&labels).inc();
    tracing::info!(
        digest = version.digest(),
        version = version.description().version,
        before = before.as_ref().map(|before| before.digest()),
        why = why.as_str(),
        "another plugin version is active"
    );
    trials::settle(host).await;
    Ok(now)
}

/// A version, compiled.
pub(super) async fn load(host: &Host, version: &PluginVersion) -> Result<Arc<Version>, Error> {
    if let Ok(versions) = host.plugins.of(&version.connector)
        && let Some(compiled) = versions.compiled(&version.digest)
    {
        return Ok(compiled);
    }
    let (engine, version) = (host.engine.clone(), version.clone());
    let directory = host.config.data.directory.clone();
    let loading = apart(move || library::load(&engine, &directory, &version));
    Ok(Arc::new(loading.await??))
}
