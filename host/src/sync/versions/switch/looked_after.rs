//! Looks after the versions that were activated: goes back by itself from one that fails
//! too often, and has what that set aside worked on again.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        Error, history, trials,
        watch::{Verdict, Watch},
    },
    HOST, LOOK_EVERY, load, switch_to,
};
use crate::{
    host::Host,
    model::Timestamp,
    plugin::{Tally, Versions},
    store::{
        plugins::{Switch, Why},
        set_aside::Filter,
    },
    sync::replays,
};

/// How long after the host went back from a version what that sets aside still is
/// worked on again: longer than passes under way take.
const STRAGGLING: Duration = Duration::from_secs(60);

/// Of how many switches back the host looks, when it starts, whether all that was set
/// aside before was worked on again.
const TAKEN_BACK_LOOKED_AFTER: usize = 8;

/// What the host looks after beside what is asked for, by connector.
pub(super) type Watched = BTreeMap<String, Watching>;

/// What it looks after of one connector.
#[derive(Default)]
pub(super) struct Watching {
    /// Whether it is known what was watched before this process.
    is_begun: bool,
    /// The version that was activated last.
    pub(super) activated: Option<Watch>,
    /// Whether it is told to fail too often, with none to go back to.
    pub(super) is_failing: bool,
    /// Those that serve single connections.
    pub(super) tried: trials::Watched,
    /// What versions set aside that the host went back from.
    left: Vec<Left>,
}

/// What a version set aside, to be worked on again. It is looked for some times:
/// passes that were under way may end later.
pub(in crate::sync::versions) struct Left {
    filter: Filter,
    until: Timestamp,
    /// When it is looked for next.
    look_at: Timestamp,
}

impl Left {
    pub(in crate::sync::versions) fn new(digest: &str, since: Timestamp, now: Timestamp) -> Self {
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

/// Compiles what a rollback would go back to, and goes on watching what was watched
/// before this process, of every connector of which that is not done yet.
pub(super) async fn begin(host: &Host, watched: &mut Watched) -> Result<(), Error> {
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

/// Looks after one connector's versions. Returns whether another became active.
pub(super) async fn look_after(
    host: &Host,
    connector: &str,
    watching: &mut Watching,
) -> Result<bool, Error> {
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
