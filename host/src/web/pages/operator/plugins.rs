//! Operator → Plugins: the versions of each connector, and what was active when.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, Response};

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::Query,
        format::{self, Calendar, Moment},
        html,
        live::{self, Part},
    },
    LOOK_EVERY, PLUGINS, short, still_operates,
};
use crate::{
    host::Host,
    model::ConnectionId,
    plugin::files::COMPONENT_BYTES_MAX,
    store::{
        self, Tx,
        plugins::{Activation, PluginVersion, Running, Why},
    },
    sync::versions::{history, shadow::Report},
    web::session::Session,
};

/// What a connector's versions are judged by.
pub(super) struct Standing {
    /// What the host runs.
    pub running: Option<Running>,
    /// The version that was chosen, by digest; none where it is the built-in one.
    pub chosen: Option<String>,
    /// The version that a rollback goes back to.
    pub before: Option<PluginVersion>,
    /// The version that is compared with the active one.
    pub shadow: Option<Report>,
}

impl Standing {
    pub(super) fn load(tx: &Tx<'_>, connector: &str) -> Result<Self, store::Error> {
        Ok(Self {
            running: tx.running(connector)?,
            chosen: history::chosen_version(tx, connector)?.map(|version| version.digest),
            before: history::before(tx, connector)?,
            shadow: Report::load(tx, connector)?,
        })
    }

    /// Whether the host runs a version.
    pub(super) fn runs(&self, digest: &str) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.is(digest))
    }

    /// The digest of the version that is active; none where none of the connector is.
    pub(super) fn active(&self) -> Option<&str> {
        self.running.as_ref()?.digest.as_deref()
    }

    /// Why what was chosen is not what runs.
    pub(super) fn problem(&self) -> Option<&str> {
        self.running.as_ref()?.problem.as_deref()
    }

    /// How often what runs fails, where that is too often and there is none to go back
    /// to.
    pub(super) fn failing(&self) -> Option<&str> {
        self.running.as_ref()?.failing.as_deref()
    }

    /// How a version stands, in a word and its tone: `good`, `warn`, `bad` or nothing.
    pub(super) fn of(&self, digest: &str) -> (&'static str, &'static str) {
        let is_shadow = |report: &Report| report.shadow.digest == digest;
        match self.problem() {
            None if self.runs(digest) && self.failing().is_some() => ("Active, fails", "bad"),
            None if self.runs(digest) => ("Active", "good"),
            Some(_) if self.runs(digest) => ("Stands in", "warn"),
            Some(_) if self.chosen.as_deref() == Some(digest) => ("Cannot be run", "bad"),
            _ if self.shadow.as_ref().is_some_and(is_shadow) => ("Shadows", ""),
            _ => ("", ""),
        }
    }
}

/// A version as it is listed.
struct Row {
    digest: String,
    short: String,
    version: String,
    contract: Option<String>,
    word: &'static str,
    tone: &'static str,
    /// Whether a rollback goes back to it.
    is_before: bool,
    /// Whether it serves single connections.
    is_tried: bool,
    /// The name of its file; none where it is built in.
    file: Option<String>,
    installed_by: String,
    installed: Moment,
}

/// An activation as it is listed.
pub(super) struct Switched {
    /// The connection, where it was of one alone.
    pub connection: Option<ConnectionId>,
    pub at: Moment,
    /// The version that became active: its digest and what it is shown as.
    pub digest: String,
    pub name: String,
    /// Whether it is still known.
    pub is_known: bool,
    /// What it took the place of, where it is not the connector's first.
    pub before: Option<String>,
    pub why: &'static str,
    pub tone: &'static str,
    pub by: String,
    pub reason: Option<String>,
}

/// Activations, newest first. Versions that are gone are named by their digests.
pub(super) fn switched(
    activations: Vec<Activation>,
    versions: &[PluginVersion],
    calendar: &Calendar,
) -> Vec<Switched> {
    let known = |digest: &str| versions.iter().find(|version| version.digest == digest);
    let named = |digest: &str| match known(digest) {
        Some(version) => format!("{} ({})", version.version, short(digest)),
        None => short(digest).to_owned(),
    };
    let row = |activation: Activation| {
        let switch = activation.switch;
        let (why, tone) = match switch.why {
            Why::Operator => ("Activated", ""),
            Why::Rollback => ("Gone back to", "warn"),
            Why::Automatic => ("Gone back to by itself", "bad"),
        };
        Switched {
            at: calendar.moment(activation.at),
            name: named(&switch.digest),
            is_known: known(&switch.digest).is_some(),
            before: activation.before.as_deref().map(named),
            connection: switch.connection,
            digest: switch.digest,
            why,
            tone,
            by: switch.by,
            reason: switch.reason,
        }
    };
    activations.into_iter().rev().map(row).collect()
}

/// A connector and its versions.
struct Connector {
    name: String,
    label: String,
    /// What the active version says it is.
    active: Option<String>,
    problem: Option<String>,
    /// How often the active version fails, where there is none to go back to.
    failing: Option<String>,
    rows: Vec<Row>,
    /// The version that shadows: its digest, what it is shown as, and how far it is.
    shadow: Option<(String, String, String)>,
    /// The version that a rollback goes back to.
    before: Option<String>,
    history: Vec<Switched>,
}

impl Connector {
    fn load(
        tx: &Tx<'_>,
        name: String,
        versions: Vec<PluginVersion>,
        calendar: &Calendar,
    ) -> Result<Self, store::Error> {
        let standing = Standing::load(tx, &name)?;
        let is_active = |version: &&PluginVersion| standing.runs(&version.digest);
        let active = versions.iter().find(is_active);
        let label = active
            .or(versions.last())
            .map_or(&name, |version| &version.label);
        let label = label.clone();
        let active = active.map(|version| version.version.clone());
        let named =
            |version: &PluginVersion| format!("{} ({})", version.version, short(&version.digest));
        let shadow = standing.shadow.as_ref().and_then(|report| {
            let of = |version: &&PluginVersion| version.digest == report.shadow.digest;
            let version = versions.iter().find(of)?;
            let far = super::shadow::far(report);
            Some((version.digest.clone(), named(version), far))
        });
        let history = switched(tx.activations(&name)?, &versions, calendar);
        let trials = tx.trials()?;
        let row = |version: PluginVersion| {
            let mut tried = trials.iter();
            let is_tried = tried.any(|trial| trial.digest == version.digest);
            let (word, tone) = standing.of(&version.digest);
            let is_before = |before: &PluginVersion| before.digest == version.digest;
            Row {
                is_tried,
                short: short(&version.digest).to_owned(),
                is_before: standing.before.as_ref().is_some_and(is_before),
                word,
                tone,
                digest: version.digest,
                version: version.version,
                contract: version.contract,
                file: version.file,
                installed_by: version.installed_by,
                installed: calendar.moment(version.installed_at),
            }
        };
        Ok(Self {
            label,
            active,
            problem: standing.problem().map(str::to_owned),
            failing: standing.failing().map(str::to_owned),
            shadow,
            before: standing.before.as_ref().map(named),
            history,
            // The newest is looked for most.
            rows: versions.into_iter().rev().map(row).collect(),
            name,
        })
    }
}

/// What the page brings up to date.
#[derive(Template)]
#[template(path = "operator/plugins_fragment.html")]
struct PluginsShown {
    base: String,
    connectors: Vec<Connector>,
}

#[derive(Clone)]
struct PluginsPart {
    base: String,
}

impl Part for PluginsPart {
    type Shown = PluginsShown;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<PluginsShown, store::Error> {
        still_operates(session)?;
        let mut versions = tx.plugin_versions()?;
        let mut connectors = Vec::new();
        for name in tx.plugin_connectors()? {
            let of = versions
                .extract_if(.., |version| version.connector == name)
                .collect();
            connectors.push(Connector::load(tx, name, of, calendar)?);
        }
        Ok(PluginsShown {
            base: self.base.clone(),
            connectors,
        })
    }

    fn looks_every(&self) -> std::time::Duration {
        LOOK_EVERY
    }
}

#[derive(Template)]
#[template(path = "operator/plugins.html")]
struct PluginsPage {
    frame: Frame,
    /// What the form that led here did.
    done: Option<String>,
    /// Why a component was not installed.
    refusals: Vec<String>,
    bytes_max: String,
    shown: PluginsShown,
}

/// What the page is told by what led to it.
#[derive(Default, serde::Deserialize)]
pub struct PageQuery {
    /// The digest of a version that was removed.
    removed: Option<String>,
}

/// `GET /operator/plugins`.
pub async fn page(visit: Visit, Query(query): Query<PageQuery>) -> Result<Html<String>, Error> {
    let is_digest = |text: &String| text.chars().all(|letter| letter.is_ascii_hexdigit());
    let done = query.removed.filter(is_digest);
    let done = done.map(|digest| format!("{} is removed.", short(&digest)));
    shown(&visit, done, Vec::new()).await
}

/// The page, with what was done, or why a component was not installed.
pub(super) async fn shown(
    visit: &Visit,
    done: Option<String>,
    refusals: Vec<String>,
) -> Result<Html<String>, Error> {
    let frame = visit.frame("Plugins", Section::Plugins);
    let part = PluginsPart {
        base: frame.bare.base.clone(),
    };
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let shown = visit
        .host
        .store
        .read(move |tx| part.load(tx, &session, &calendar));
    html(&PluginsPage {
        shown: shown.await?,
        frame,
        done,
        refusals,
        bytes_max: format::bytes(COMPONENT_BYTES_MAX as u64),
    })
}

/// `GET /operator/plugins/live`.
pub async fn live(visit: Visit) -> Result<Response, Error> {
    let base = super::super::base(&visit.host);
    live::stream(visit, PluginsPart { base }).await
}

/// The path of a version's page.
pub(super) fn path(digest: &str) -> String {
    format!("{PLUGINS}/{digest}")
}

/// A version as it was installed, the one whose digest begins so, and how the versions
/// of its connector stand.
pub(super) async fn find(
    host: &Arc<Host>,
    begins: String,
) -> Result<(PluginVersion, Standing), Error> {
    let found = host.store.read(move |tx| {
        let version = tx.plugin_version(&begins)?;
        let standing = Standing::load(tx, &version.connector)?;
        Ok((version, standing))
    });
    Ok(found.await?)
}
