//! Operator → Plugins → one version: what it is, its shadow, and what can be done with
//! it.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, Response};

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::{Path, Query},
        format::{self, Calendar, Moment},
        html,
        live::{self, Part},
    },
    LOOK_EVERY,
    plugins::{self, Standing, Switched, switched},
    shadow::ShadowShown,
    short, still_operates,
};
use crate::{
    host::Host,
    model::{ConnectionId, Described, Timestamp},
    store::{self, Tx, plugins::PluginVersion, trials::Trial},
    sync::versions::{Error as VersionError, switch::compared},
    web::session::Session,
};

/// A version as its page shows it and brings up to date.
#[derive(Template)]
#[template(path = "operator/version_fragment.html")]
struct VersionShown {
    base: String,
    /// The version's path.
    path: String,
    csrf: String,
    digest: String,
    label: String,
    connector: String,
    version: String,
    contract: Option<String>,
    /// What it says that it understands, where that is known.
    described: Option<Described>,
    size: String,
    /// The name of its file; none where it is built in.
    file: Option<String>,
    installed_by: String,
    installed: Moment,
    word: &'static str,
    tone: &'static str,
    is_active: bool,
    /// Whether there is an active version to compare it with.
    is_comparable: bool,
    /// Whether a rollback goes back to it.
    is_before: bool,
    /// Whether the host is about to switch to it.
    is_awaited: bool,
    /// Why it cannot be run although it was chosen, or why it stands in for another.
    problem: Option<String>,
    /// How often it fails, where it is active and there is none to go back to.
    failing: Option<String>,
    /// Whether the file can go.
    is_removable: bool,
    shadow: Option<ShadowShown>,
    /// Which other version shadows.
    other_shadow: Option<String>,
    /// Why it may not be activated without saying so; none where it may.
    uncompared: Option<String>,
    /// The connections that it alone serves.
    trials: Vec<TrialShown>,
    history: Vec<Switched>,
}

/// A connection that a version alone serves, as its page shows it.
struct TrialShown {
    connection: ConnectionId,
    /// The mark of the form that ends it: it is ended once, and the next one anew.
    once: i64,
    project: String,
    since: Moment,
    by: String,
    problem: Option<String>,
}

impl TrialShown {
    fn load(tx: &Tx<'_>, trial: Trial, calendar: &Calendar) -> Result<Self, store::Error> {
        let project = tx.any_connection(trial.connection)?.project;
        Ok(Self {
            connection: trial.connection,
            once: trial.at.0,
            project: tx.project(project)?.name,
            since: calendar.moment(trial.at),
            by: trial.by,
            problem: trial.problem,
        })
    }
}

#[derive(Clone)]
struct VersionPart {
    host: Arc<Host>,
    base: String,
    digest: String,
}

impl VersionPart {
    fn new(visit: &Visit, digest: String) -> Self {
        Self {
            host: visit.host.clone(),
            base: super::super::base(&visit.host),
            digest,
        }
    }
}

impl Part for VersionPart {
    type Shown = VersionShown;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<VersionShown, store::Error> {
        still_operates(session)?;
        let version = tx.plugin_version(&self.digest)?;
        let digest = version.digest.clone();
        let standing = Standing::load(tx, &version.connector)?;
        let (word, tone) = standing.of(&digest);
        let is_of_it = |other: &str| other == digest;
        let is_chosen = standing.chosen.as_deref().is_some_and(is_of_it);
        let is_active = standing.runs(&digest);
        let uncompared = uncompared(&standing, &version, self.host.clock.now());
        let is_awaited = tx.is_switch_waiting(&digest)?;
        let mut activations = tx.activations(&version.connector)?;
        activations.retain(|one| {
            is_of_it(&one.switch.digest) || one.before.as_deref().is_some_and(is_of_it)
        });
        let versions = tx.plugin_versions()?;
        let trials = tx.trials()?.into_iter().filter(|one| is_of_it(&one.digest));
        let trials = trials
            .map(|trial| TrialShown::load(tx, trial, calendar))
            .collect::<Result<Vec<_>, _>>()?;
        let problem = standing.problem().filter(|_| is_active || is_chosen);
        let is_before = |before: &PluginVersion| is_of_it(&before.digest);
        let (shadow, other_shadow) = match &standing.shadow {
            Some(report) if is_of_it(&report.shadow.digest) => {
                let shown = ShadowShown::load(tx, session, calendar, report)?;
                (Some(shown), None)
            }
            Some(report) => (None, Some(short(&report.shadow.digest).to_owned())),
            None => (None, None),
        };
        Ok(VersionShown {
            base: self.base.clone(),
            path: plugins::path(&digest),
            csrf: session.csrf(&self.host).expose().to_owned(),
            word,
            tone,
            is_active: is_active && problem.is_none(),
            is_comparable: standing.active().is_some() && !is_active,
            is_before: standing.before.as_ref().is_some_and(is_before),
            is_awaited,
            failing: standing.failing().filter(|_| is_active).map(str::to_owned),
            problem: problem.map(str::to_owned),
            is_removable: version.file.is_some()
                && !is_active
                && !is_chosen
                && !is_awaited
                && trials.is_empty(),
            trials,
            shadow,
            other_shadow,
            uncompared,
            history: switched(activations, &versions, calendar),
            digest,
            label: version.label,
            connector: version.connector,
            version: version.version,
            contract: version.contract,
            described: version.description,
            size: format::bytes(version.size_bytes),
            file: version.file,
            installed_by: version.installed_by,
            installed: calendar.moment(version.installed_at),
        })
    }

    fn looks_every(&self) -> std::time::Duration {
        LOOK_EVERY
    }
}

/// Why a version may not be activated without saying so.
pub(super) fn uncompared(
    standing: &Standing,
    version: &PluginVersion,
    now: Timestamp,
) -> Option<String> {
    match compared(version, standing.active(), standing.shadow.as_ref(), now) {
        Ok(()) => None,
        Err(VersionError::NotCompared(why)) => Some(why),
        Err(other) => Some(other.to_string()),
    }
}

/// What a form did that led to the page.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Installed,
    Activated,
    ServesOne,
    GivenBack,
    GivesBack,
    ServedNoMore,
    GoneBack,
    Asked,
    Ended,
    Shadows,
}

/// What the page is told by the form that led to it.
#[derive(serde::Deserialize)]
pub struct PageQuery {
    done: Option<Done>,
}

#[derive(Template)]
#[template(path = "operator/version.html")]
pub(super) struct VersionPage {
    frame: Frame,
    done: Option<&'static str>,
    /// Why what a form asked for was not done.
    refusal: Option<String>,
    shown: VersionShown,
}

impl VersionPage {
    async fn load(visit: &Visit, begins: String) -> Result<Self, Error> {
        let part = VersionPart::new(visit, begins);
        let (session, calendar) = (visit.session.clone(), visit.calendar());
        let shown = visit
            .host
            .store
            .read(move |tx| part.load(tx, &session, &calendar));
        let shown = shown.await?;
        let title = format!("{} {}", shown.label, shown.version);
        Ok(Self {
            frame: visit.frame(title, Section::Plugins),
            done: None,
            refusal: None,
            shown,
        })
    }

    /// The page, with why what a form on it asked for was not done.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such version.
    pub(super) async fn refused(visit: &Visit, begins: String, why: String) -> Result<Self, Error> {
        Ok(Self {
            refusal: Some(why),
            ..Self::load(visit, begins).await?
        })
    }
}

/// `GET /operator/plugins/{digest}`.
pub async fn page(
    visit: Visit,
    Path(begins): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Html<String>, Error> {
    let page = VersionPage::load(&visit, begins).await?;
    let done = query.done.map(|done| match done {
        Done::Installed => {
            "It is installed. It is not active by that: see first, by a shadow, what it would \
             change."
        }
        Done::Activated => {
            "It is active. It is watched for a day: where it fails too often, the \
                            host goes back by itself."
        }
        Done::ServesOne => {
            "It serves that connection alone. Where it fails too often, the host gives the \
             connection back to the active version."
        }
        Done::GivenBack => "The active version serves that connection again.",
        Done::GivesBack => "The host is about to give that connection back to the active version.",
        Done::ServedNoMore => "It served that connection alone no more: nothing was changed.",
        Done::GoneBack => "It is active again.",
        Done::Asked => "The host compiles it, and then switches to it.",
        Done::Ended => "Its shadow is ended, and what it found is forgotten.",
        Done::Shadows => "It shadows the active version.",
    });
    html(&VersionPage { done, ..page })
}

/// `GET /operator/plugins/{digest}/live`.
pub async fn live(visit: Visit, Path(begins): Path<String>) -> Result<Response, Error> {
    let part = VersionPart::new(&visit, begins);
    live::stream(visit, part).await
}
