//! Full syncs: what one costs, beginning it, and the runs there were.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{Html, Response},
};

use super::{
    super::{
        super::{
            Error, Frame, Visit,
            extract::{Path, Query},
            format::{self, Moment},
            html,
            paging::Pages,
            see_other,
        },
        path,
    },
    Shell, Tab,
    run::{RunWords, kind_label},
};
use crate::{
    host::Host,
    model::{ConnectionId, RunId, RunKind, Status, Way},
    web::{
        api::{
            connections,
            syncs::{self, Sync},
        },
        session::Posted,
    },
};

/// Runs on one page.
const PAGE_RUNS: usize = 20;

/// A run, as the history lists it.
struct Line {
    id: RunId,
    kind: &'static str,
    words: RunWords,
    asked: Moment,
    took: Option<String>,
    read: String,
    updated: String,
}

#[derive(Template)]
#[template(path = "integrations/syncs.html")]
struct SyncsPage {
    frame: Frame,
    shell: Shell,
    /// Whether one can begin now; why not, else.
    ready: Result<(), &'static str>,
    under_way: Option<RunId>,
    catching_up: Option<RunId>,
    /// Whether looks for changes are listed, in place of everything else.
    brief: bool,
    /// Whether there are looks for changes.
    has_brief: bool,
    runs: Vec<Line>,
    pages: Pages,
}

/// Which runs.
#[derive(serde::Deserialize)]
pub struct RunsQuery {
    before: Option<RunId>,
    #[serde(default)]
    back: String,
    #[serde(default)]
    brief: bool,
}

/// `GET …/syncs`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<RunsQuery>,
) -> Result<Html<String>, Error> {
    let (frame, shell, state) = Shell::load(&visit, id, Tab::Syncs).await?;
    let calendar = visit.calendar();
    let now = visit.host.clock.now();
    let (newest, brief) = (RunId(i64::MAX), query.brief);
    let before = query.before.unwrap_or(newest);
    let (mut runs, has_brief, open, is_mapped) = visit
        .host
        .store
        .read(move |tx| {
            let runs = tx.runs_apart(id, brief, before, PAGE_RUNS + 1)?.into_iter();
            let has_brief = !tx.runs_apart(id, true, newest, 1)?.is_empty();
            let shown: Result<Vec<_>, _> = runs.map(|run| syncs::show(tx, run, now)).collect();
            let open = tx.open_runs()?;
            Ok((shown?, has_brief, open, !tx.mappings(id)?.is_empty()))
        })
        .await?;
    let more = runs.len() > PAGE_RUNS;
    runs.truncate(PAGE_RUNS);
    let at = query.before.map(|before| before.to_string());
    let next = runs.last().filter(|_| more).map(|run| run.id.to_string());
    let ready = match state.status {
        Status::Pending => Err("Finish connecting first."),
        Status::Paused => Err("Resume the integration first."),
        Status::NeedsAttention if state.problem.is_some_and(|problem| problem.stops_calls()) => {
            Err("Reconnect the integration first.")
        }
        _ if !is_mapped => Err("Map fields first: there is nothing to sync yet."),
        _ => Ok(()),
    };
    let under_way = |kind| {
        let own = open.iter().filter(|run| run.connection == id);
        let mut of_kind = own.filter(|run| run.kind == kind);
        of_kind.next_back().map(|run| run.id)
    };
    let (under_way, catching_up) = (under_way(RunKind::Full), under_way(RunKind::CatchUp));
    let line = |sync: Sync| Line {
        id: sync.id,
        kind: kind_label(&sync),
        words: RunWords::of(&sync),
        asked: calendar.moment(sync.started_at.unwrap_or(sync.requested_at)),
        took: sync
            .started_at
            .zip(sync.finished_at)
            .map(|(from, to)| format::seconds(to.since(from).as_secs_f64())),
        read: format::count(sync.counts.read),
        updated: format::count(sync.counts.updated),
    };
    let list = if brief { "brief=true" } else { "" };
    html(&SyncsPage {
        frame,
        shell,
        ready,
        under_way,
        catching_up,
        brief,
        has_brief,
        runs: runs.into_iter().map(line).collect(),
        pages: Pages::new(list, "before", (at, &query.back), next),
    })
}

/// What one object type costs.
struct Cost {
    label: String,
    how: &'static str,
    records: String,
    calls: String,
}

#[derive(Template)]
#[template(path = "integrations/estimate.html")]
struct EstimatePage {
    frame: Frame,
    shell: Shell,
    told: Result<Told, String>,
}

struct Told {
    costs: Vec<Cost>,
    calls: String,
    time: String,
}

/// `GET …/syncs/estimate`: asks HubSpot how much there is, so it may take a
/// moment.
pub async fn estimate(visit: Visit, Path(id): Path<ConnectionId>) -> Result<Html<String>, Error> {
    // It spends the account's calls.
    if !visit.session.may_change() {
        return Err(Error::ViewerOnly);
    }
    let (frame, shell, _) = Shell::load(&visit, id, Tab::Syncs).await?;
    let project = visit.session.project.id;
    let version = connections::plugin(&visit.host, project, id).await?;
    let estimate = syncs::estimated(&visit.host, project, id, RunKind::Full).await;
    let told = match estimate {
        Err(error) => Err(error.detail()),
        Ok(estimate) => Ok(Told {
            calls: format::count(estimate.calls),
            // Seconds of a plan are far below a float's whole numbers.
            time: format::seconds(estimate.seconds.max(1) as f64),
            costs: estimate
                .types
                .into_iter()
                .map(|planned| Cost {
                    label: version
                        .description()
                        .object_type(&planned.object_type)
                        .map_or_else(
                            || planned.object_type.to_string(),
                            |said| said.label.clone(),
                        ),
                    how: match planned.way {
                        Way::Records => "all records, page by page",
                        Way::Users => "looked up by your users’ identifiers",
                        Way::Associations => "those of matched contacts",
                        Way::Changes => "those that changed",
                    },
                    records: format::count(planned.records),
                    calls: format::count(planned.calls),
                })
                .collect(),
        }),
    };
    html(&EstimatePage { frame, shell, told })
}

/// What to begin.
#[derive(serde::Deserialize)]
pub struct StartForm {
    kind: RunKind,
    #[serde(default)]
    dry_run: bool,
}

/// `POST …/syncs`.
pub async fn start(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<StartForm>,
) -> Result<Response, Error> {
    let (session, form) = (posted.session, posted.form);
    let asked = (form.kind, form.dry_run);
    let run = syncs::begin(&host, session.project.id, id, asked, &session.actor()).await?;
    Ok(see_other(&path(id, &format!("/syncs/{run}"))))
}
