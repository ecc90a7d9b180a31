//! Versions that serve one connection before they serve all.
//!
//! They are asked for as switches are, compared as for a switch, compiled before they
//! serve, and taken back by the host where they fail too often. What they read of a
//! connection is told and applied as theirs; everything else stays with the active
//! version.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    Error, history, library,
    switch::{HOST, Left, load},
    watch::{Verdict, Watch},
};
use crate::{
    host::Host,
    model::{ConnectionId, Timestamp},
    plugin::{Engine, Plugins, Tally, Version, Versions},
    store::{
        self, Store, Tx,
        plugins::{PluginVersion, Switch, Why},
        trials::Trial,
    },
    telemetry::SwitchLabels,
};

/// The versions that serve single connections, watched, by digest.
pub(super) type Watched = BTreeMap<String, Watch>;

/// Compiles the versions that serve single connections; of one that cannot be run says
/// so, and the active version stands in for it.
pub(super) async fn open(
    engine: &Engine,
    store: &Store,
    directory: &Path,
    plugins: &Plugins,
) -> Result<(), store::Error> {
    let mut digests: Vec<String> = of_all(store.read(|tx| tx.trials()).await?);
    digests.dedup();
    for digest in digests {
        let named = digest.clone();
        let version = store.read(move |tx| tx.plugin_version(&named)).await;
        let opened = version
            .map_err(Error::from)
            .and_then(|version| open_one(engine, directory, plugins, &version));
        if let Err(error) = &opened {
            tracing::error!(
                digest, %error,
                "a plugin version that serves single connections cannot be run: the active \
                 version stands in for it"
            );
        }
        let problem = opened.err().map(|error| error.to_string());
        store
            .transact(move |tx| tx.set_trial_problem(&digest, problem.as_deref()))
            .await?;
    }
    Ok(())
}

fn open_one(
    engine: &Engine,
    directory: &Path,
    plugins: &Plugins,
    version: &PluginVersion,
) -> Result<(), Error> {
    let versions = plugins.of(&version.connector)?;
    versions.try_out(match versions.compiled(&version.digest) {
        Some(compiled) => compiled,
        None => library::load(engine, directory, version)?.into(),
    });
    Ok(())
}

/// Runs those of a connector that could not be run while none of its versions did.
pub(super) async fn reopen(
    host: &Host,
    connector: &str,
    watched: &mut Watched,
) -> Result<(), Error> {
    let of = connector.to_owned();
    let kept = host.store.read(move |tx| {
        let trials = tx.trials()?.into_iter();
        let barred = trials.filter(|trial| trial.problem.is_some());
        let versions = barred.map(|trial| tx.plugin_version(&trial.digest));
        let mut versions = versions.collect::<Result<Vec<_>, _>>()?;
        versions.retain(|version| version.connector == of);
        versions.dedup_by(|one, other| one.digest == other.digest);
        Ok(versions)
    });
    for kept in kept.await? {
        let digest = kept.digest.clone();
        match load(host, &kept).await {
            Ok(version) => {
                host.plugins.of(connector)?.try_out(version.clone());
                let now = host.clock.now();
                extend(watched, &version, now, now);
                host.store
                    .transact(move |tx| tx.set_trial_problem(&digest, None))
                    .await?;
            }
            Err(error) => tracing::error!(
                digest, %error,
                "a plugin version that serves single connections cannot be run yet"
            ),
        }
    }
    settle(host).await;
    Ok(())
}

/// Watches those that serve single connections, from a start on.
pub(super) fn watch(versions: &Versions, trials: &[Trial], now: Timestamp) -> Watched {
    let mut watched = Watched::new();
    let mut trials: Vec<&Trial> = trials.iter().collect();
    trials.sort_by_key(|trial| trial.at);
    for trial in trials.into_iter().filter(|trial| trial.problem.is_none()) {
        if let Some(version) = versions.compiled(&trial.digest) {
            extend(&mut watched, &version, trial.at, now);
        }
    }
    watched
}

/// Watches a version that serves one connection more since a moment.
fn extend(watched: &mut Watched, version: &Version, at: Timestamp, now: Timestamp) {
    let digest = version.digest();
    let watch = || Watch::new(digest, at, now, version.tally());
    let watch = watched.entry(digest.to_owned()).or_insert_with(watch);
    watch.extend(at);
}

/// Has a version that is compiled serve a connection, as was asked for.
pub(super) async fn begin(
    host: &Host,
    request: i64,
    version: Arc<Version>,
    switch: Switch,
    connection: ConnectionId,
    watched: &mut Watched,
) -> Result<(), Error> {
    let now = host.clock.now();
    let versions = host.plugins.of(&switch.connector)?;
    // Before anything is prepared by it, which the commit is for.
    versions.try_out(version.clone());
    let serves = versions.active().digest().to_owned();
    let begun = host.store.transact(move |tx| {
        // Either may be gone meanwhile.
        tx.any_connection(connection)?;
        tx.plugin_version(&switch.digest)?;
        let before = tx.trial(connection)?.map_or(serves, |trial| trial.digest);
        tx.begin_trial(connection, &switch.digest, &switch.by, now)?;
        tx.add_activation(&switch, Some(&before), now)?;
        tx.end_switch(request, None)?;
        Ok(switch)
    });
    let begun = begun.await;
    if begun.is_ok() {
        extend(watched, &version, now, now);
    }
    settle(host).await;
    let switch = begun?;
    let labels = SwitchLabels {
        why: switch.why.as_str(),
    };
    host.metrics.plugin_switches.get_or_create(&labels).inc();
    tracing::info!(
        digest = version.digest(),
        version = version.description().version,
        %connection,
        by = switch.by,
        "a plugin version serves one connection"
    );
    Ok(())
}

/// Has the active version serve a connection again, as was asked for.
pub(super) async fn give_back(
    host: &Host,
    request: i64,
    switch: Switch,
    connection: ConnectionId,
) -> Result<(), Error> {
    let now = host.clock.now();
    let active = active_digest(host, &switch.connector).ok();
    let ended = host.store.transact(move |tx| {
        // Another may serve it by now.
        let trial = tx.trial(connection)?;
        let Some(trial) = trial.filter(|trial| trial.digest == switch.digest) else {
            return Ok(Err(Error::NoTrial));
        };
        // Where none runs, to the one that is to.
        let chosen = match active {
            Some(active) => Some(active),
            None => history::chosen_version(tx, &switch.connector)?.map(|version| version.digest),
        };
        let digest = chosen.ok_or(store::Error::NotFound("plugin version"))?;
        end(tx, &trial, &Switch { digest, ..switch }, now)?;
        tx.end_switch(request, None)?;
        Ok(Ok(()))
    });
    ended.await??;
    settle(host).await;
    Ok(())
}

/// Watches a connector's versions that serve single connections. Returns what one set
/// aside that was taken back, where one was.
pub(super) async fn look_after(
    host: &Host,
    connector: &str,
    watched: &mut Watched,
) -> Result<Option<Left>, Error> {
    // Where nothing runs, nothing can fail.
    let Ok(versions) = host.plugins.of(connector) else {
        return Ok(None);
    };
    let now = host.clock.now();
    let mut failing = None;
    watched.retain(|digest, watch| {
        // What serves all is watched as such, and what serves nobody not at all.
        let tried = versions.compiled(digest);
        let tried = tried.filter(|version| version.digest() != versions.active().digest());
        match tried.map(|version| watch.look(now, version.tally())) {
            Some(Verdict::Well | Verdict::Unsaid) => !watch.is_over(now),
            // It is watched until it was taken back.
            Some(Verdict::Fails(within)) => {
                failing = Some((watch.digest.clone(), watch.since, within));
                true
            }
            None => false,
        }
    });
    let Some((digest, since, within)) = failing else {
        return Ok(None);
    };
    take_back(host, connector, &digest, within).await?;
    watched.remove(&digest);
    Ok(Some(Left::new(&digest, since, now)))
}

/// Ends what a version that fails too often serves.
async fn take_back(host: &Host, connector: &str, digest: &str, within: Tally) -> Result<(), Error> {
    let Tally { passes, failed } = within;
    tracing::error!(
        digest,
        passes,
        failed,
        "a plugin version that serves single connections fails too often: they go back to the \
         active one"
    );
    let now = host.clock.now();
    let switch = Switch {
        connector: connector.to_owned(),
        connection: None,
        digest: active_digest(host, connector)?,
        by: HOST.to_owned(),
        why: Why::Automatic,
        reason: Some(format!("{failed} of {passes} passes failed")),
    };
    let digest = digest.to_owned();
    let ended = host.store.transact(move |tx| {
        let trials = tx.trials()?.into_iter();
        for trial in trials.filter(|trial| trial.digest == digest) {
            end(tx, &trial, &switch, now)?;
        }
        Ok(())
    });
    ended.await?;
    settle(host).await;
    Ok(())
}

/// Ends those of a version that serves all from now on.
pub(super) fn end_all(tx: &Tx<'_>, digest: &str) -> Result<(), store::Error> {
    let trials = tx.trials()?.into_iter();
    for trial in trials.filter(|trial| trial.digest == digest) {
        tx.end_trial(trial.connection)?;
    }
    Ok(())
}

/// Ends one, and keeps that, as `switch` says it.
fn end(tx: &Tx<'_>, trial: &Trial, switch: &Switch, now: Timestamp) -> Result<(), store::Error> {
    tx.end_trial(trial.connection)?;
    let switch = Switch {
        connection: Some(trial.connection),
        ..switch.clone()
    };
    tx.add_activation(&switch, Some(&trial.digest), now)?;
    Ok(())
}

/// Lets go of versions that serve nobody any more, and has everybody look anew.
pub(super) async fn settle(host: &Host) {
    match host.store.read(|tx| tx.trials()).await {
        Ok(trials) => {
            let digests = of_all(trials);
            for versions in host.plugins.all() {
                versions.keep_tried(&digests);
            }
        }
        // They take some memory, and are let go of the next time.
        Err(error) => tracing::warn!(%error, "plugin versions that serve nobody are kept"),
    }
    host.pipeline.notify_changed();
}

fn of_all(trials: Vec<Trial>) -> Vec<String> {
    let mut digests: Vec<String> = trials.into_iter().map(|trial| trial.digest).collect();
    digests.sort();
    digests
}

fn active_digest(host: &Host, connector: &str) -> Result<String, Error> {
    Ok(host.plugins.active(connector)?.digest().to_owned())
}
