//! Switches from one version to another: asked for, made, and taken back by the
//! host itself where the new version fails too often.

mod asked;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Error,
    described::described,
    history, library, trials,
    watch::{Verdict, Watch},
};
use crate::{
    host::Host,
    model::Timestamp,
    plugin::{Tally, Version, Versions, files},
    sources::Source,
    store::{
        self, Tx,
        plugins::{PluginVersion, Running, Switch, Why},
        set_aside::Filter,
    },
    sync::replays,
    telemetry::{SwitchLabels, spawn_blocking},
};

pub use asked::{Ask, Requested, ask, compared, outcome, request};

/// How often it looks when nothing in this process says that something is asked
/// for, and how long it waits after a failure.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long after the host went back from a version what that sets aside still is
/// worked on again: longer than passes under way take.
const STRAGGLING: Duration = Duration::from_secs(60);

/// Of how many switches back the host looks, when it starts, whether all that was set
/// aside before was worked on again.
const TAKEN_BACK_LOOKED_AFTER: usize = 8;

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

/// What the host looks after beside what is asked for, by connector.
type Watched = BTreeMap<String, Watching>;

/// What it looks after of one connector.
#[derive(Default)]
struct Watching {
    /// Whether it is known what was watched before this process.
    is_begun: bool,
    /// The version that was activated last.
    activated: Option<Watch>,
    /// Whether it is told to fail too often, with none to go back to.
    is_failing: bool,
    /// Those that serve single connections.
    tried: trials::Watched,
    /// What versions set aside that the host went back from.
    left: Vec<Left>,
}

/// What a version set aside, to be worked on again. It is looked for some times:
/// passes that were under way may end later.
pub(super) struct Left {
    filter: Filter,
    until: Timestamp,
    /// When it is looked for next.
    look_at: Timestamp,
}

impl Left {
    pub(super) fn new(digest: &str, since: Timestamp, now: Timestamp) -> Self {
        Self {
            filter: Filter {
                plugin: Some(digest.to_owned()),
                since,
                untried: true,
                ..Filter::default()
            },
            until: now.plus(STRAGGLING),
            look_at: now,
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

/// Compiles what a rollback would go back to, and goes on watching what was watched
/// before this process, of every connector of which that is not done yet.
async fn begin(host: &Host, watched: &mut Watched) -> Result<(), Error> {
    let mut begun = Ok(());
    for versions in host.plugins.all() {
        let connector = versions.active().description().connector.clone();
        let watching = watched.entry(connector.clone()).or_default();
        // What cannot be begun with keeps no other connector from it.
        if !watching.is_begun
            && let Err(error) = begin_one(host, &versions, connector, watching).await
        {
            begun = Err(error);
        }
    }
    begun
}

async fn begin_one(
    host: &Host,
    versions: &Versions,
    connector: String,
    watching: &mut Watching,
) -> Result<(), Error> {
    let active = versions.active();
    let known = host.store.read(move |tx| {
        let before = history::before(tx, &connector)?;
        let running = tx.running(&connector)?;
        let is_failing = running.is_some_and(|running| running.failing.is_some());
        Ok((
            before,
            tx.activations(&connector)?,
            tx.trials()?,
            is_failing,
        ))
    });
    let (before, activations, trials, is_failing) = known.await?;
    if let Some(before) = before {
        match load(host, &before).await {
            Ok(version) => versions.keep(version),
            Err(error) => {
                tracing::warn!(digest = before.digest, %error, "the plugin version before cannot be gone back to");
            }
        }
    }
    let now = host.clock.now();
    for (digest, watch) in trials::watch(versions, &trials, now) {
        watching.tried.entry(digest).or_insert(watch);
    }
    let mut for_all = activations.iter().rev();
    let for_all = for_all.find(|one| one.switch.connection.is_none());
    if let Some(last) = for_all
        && last.switch.why == Why::Operator
        && last.switch.digest == active.digest()
        && watching.activated.is_none()
    {
        let watch = Watch::new(active.digest(), last.at, now, active.tally());
        watching.is_failing = is_failing;
        watching.activated = Some(watch);
    }
    // It may have ended before all of what was left was asked for.
    let taken_back = activations.iter().rev();
    let taken_back = taken_back.filter(|one| one.switch.why == Why::Automatic);
    for one in taken_back.take(TAKEN_BACK_LOOKED_AFTER) {
        if let Some(failed) = &one.before {
            let mut begun = activations.iter();
            let begun = begun.find(|begun| begun.switch.digest == *failed);
            let since = begun.map_or(one.at, |begun| begun.at);
            watching.left.push(Left::new(failed, since, now));
        }
    }
    watching.is_begun = true;
    Ok(())
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

/// Looks after one connector's versions. Returns whether another became active.
async fn look_after(host: &Host, connector: &str, watching: &mut Watching) -> Result<bool, Error> {
    let now = host.clock.now();
    if let Some(watched) = &mut watching.activated
        && let Ok(active) = host.plugins.active(connector)
    {
        match watched.look(now, active.tally()) {
            Verdict::Unsaid => {}
            Verdict::Well => {
                if watching.is_failing {
                    tracing::info!(connector, "the plugin version fails too often no more");
                    set_failing(host, connector, &watched.digest, None).await?;
                    watching.is_failing = false;
                }
            }
            // It is known that there is nothing to go back to.
            Verdict::Fails(_) if watching.is_failing => {}
            Verdict::Fails(within) => {
                if take_back(host, connector, watched, within).await? {
                    let left = Left::new(&watched.digest, watched.since, now);
                    watching.left.push(left);
                    watching.activated = None;
                    return Ok(true);
                }
                let failing = failing(within);
                set_failing(host, connector, &watched.digest, Some(failing)).await?;
                watching.is_failing = true;
            }
        }
        // One that fails is watched until it does well.
        if !watching.is_failing && watched.is_over(now) {
            watching.activated = None;
        }
    }
    if let Some(left) = trials::look_after(host, connector, &mut watching.tried).await? {
        watching.left.push(left);
        return Ok(true);
    }
    for left in watching.left.iter_mut().filter(|left| now >= left.look_at) {
        work_again(host, left.filter.clone(), now).await?;
        // It reads all that is set aside: not at each change.
        left.look_at = now.plus(LOOK_EVERY);
    }
    watching.left.retain(|left| now <= left.until);
    Ok(false)
}

/// Says how often a version fails that there is none to go back from, or that it does
/// so no more.
async fn set_failing(
    host: &Host,
    connector: &str,
    digest: &str,
    failing: Option<String>,
) -> Result<(), Error> {
    let (connector, digest) = (connector.to_owned(), digest.to_owned());
    let set = host
        .store
        .transact(move |tx| tx.set_failing(&connector, &digest, failing.as_deref()));
    set.await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// How often a version fails, in words.
fn failing(Tally { passes, failed }: Tally) -> String {
    format!("{failed} of {passes} passes failed")
}

/// Asks for what is left to be worked on again, where there is any.
async fn work_again(host: &Host, left: Filter, now: Timestamp) -> Result<(), Error> {
    let looked = left.clone();
    let found = host.store.read(move |tx| tx.list_set_aside(&looked, 0, 1));
    if found.await?.is_empty() {
        return Ok(());
    }
    replays::request(&host.store, &left, HOST, now).await?;
    host.pipeline.notify_changed();
    Ok(())
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

/// Goes back from a version that fails too often. Returns whether there is one to go
/// back to.
async fn take_back(
    host: &Host,
    connector: &str,
    watched: &Watch,
    within: Tally,
) -> Result<bool, Error> {
    let of = connector.to_owned();
    let before = host.store.read(move |tx| history::before(tx, &of)).await?;
    let release = host.plugins.of(connector)?.release();
    let version = match before {
        Some(before) => match load(host, &before).await {
            Ok(version) => Some(version),
            Err(error) => {
                tracing::error!(digest = before.digest, %error, "the plugin version before cannot be gone back to");
                release
            }
        },
        None => release,
    };
    let Tally { passes, failed } = within;
    let reason = failing(within);
    // The built-in one may be the one that fails.
    let version = version.filter(|version| version.digest() != watched.digest);
    let Some(version) = version else {
        tracing::error!(
            connector,
            digest = watched.digest,
            passes,
            failed,
            "the plugin version that was activated fails too often, and there is none to go back to"
        );
        return Ok(false);
    };
    tracing::error!(
        digest = watched.digest,
        passes,
        failed,
        back_to = version.digest(),
        "the plugin version that was activated fails too often: the host goes back"
    );
    let switch = Switch {
        connector: connector.to_owned(),
        connection: None,
        digest: version.digest().to_owned(),
        by: HOST.to_owned(),
        why: Why::Automatic,
        reason: Some(reason),
    };
    switch_to(host, version, switch, |_| Ok(())).await?;
    Ok(true)
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
    let loading = spawn_blocking(move || library::load(&engine, &directory, &version));
    Ok(Arc::new(loading.await.map_err(|_| Error::Ended)??))
}
