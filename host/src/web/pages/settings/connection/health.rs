//! How a connection fares: what needs somebody first, then freshness, what came
//! by the hour, and what the nights found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use askama::Template;
use axum::{
    extract::State,
    response::{Html, Response},
};

use super::{
    super::{
        super::{
            Error, Frame, Visit, base,
            extract::{Path, Query},
            format::{self, Calendar, Moment},
            html,
            live::Part,
            see_other,
            users::Person,
            words,
        },
        integrations::{Connectors, Nothing},
        path, without,
    },
    Shell, Tab,
    chart::Chart,
    headed,
    health_facts::{Proven, Totals, Used, Way, differing, proven, totals, used, ways},
    live_at,
    run::people,
    silence,
};
use crate::{
    host::Host,
    log::Lane,
    model::{Connection, ConnectionId, Problem, RunStatus, Status, Timestamp},
    pipeline::brake,
    sources::Source,
    store::{self, Tx},
    sync::{alerts::message, health, silences::Silence},
    web::{
        api::{connection_state, connections, syncs},
        session::{Posted, Session},
    },
};

/// Spans that the chart shows, in hours.
const SPANS: [(usize, &str); 3] = [(24, "24 hours"), (168, "7 days"), (336, "14 days")];

/// Something that needs somebody.
struct Wrong {
    tone: &'static str,
    title: String,
    detail: String,
    remedy: String,
    examples: Vec<Person>,
    link: Option<(String, &'static str)>,
    act: Option<(String, &'static str)>,
}

/// What the last catch-up found.
struct CatchUp {
    at: Moment,
    asked_by: &'static str,
    path: String,
    finding: String,
    missed: Vec<(&'static str, String)>,
}

/// What is said where nothing needs anybody.
struct Calm {
    heading: &'static str,
    /// `good`, `warn` or nothing.
    tone: &'static str,
    said: String,
    /// Where it leads, and what that is called.
    link: Option<(String, &'static str)>,
}

/// What is shown, and brought up to date.
#[derive(Template)]
#[template(path = "health/part.html")]
struct Shown {
    /// What people call the connector.
    label: String,
    /// Whether its records can be read.
    is_read: bool,
    base: String,
    csrf: Option<String>,
    heading: String,
    problems: Vec<Wrong>,
    /// What is said where there are none.
    calm: Calm,
    /// What is said beside them where the source does not answer.
    silence: Option<String>,
    p50: Option<String>,
    p95: Option<String>,
    last_delivery: Option<Moment>,
    hours: usize,
    span: &'static str,
    spans: [(usize, &'static str); 3],
    zone: String,
    chart: Chart,
    totals: Totals,
    catch_up: Option<CatchUp>,
    failed_catch_ups: Option<String>,
    proof: Option<Proven>,
    budget: Option<Used>,
    ways: Vec<Way>,
    status: Status,
}

#[derive(Template)]
#[template(path = "health/health.html")]
struct HealthPage {
    frame: Frame,
    shell: Shell,
    part: Shown,
}

/// How much is asked for.
#[derive(serde::Deserialize)]
pub struct HealthQuery {
    hours: Option<usize>,
}

impl HealthQuery {
    /// One of the spans.
    fn hours(&self) -> usize {
        let mut spans = SPANS.iter().map(|(hours, _)| *hours);
        let asked = self.hours.unwrap_or(SPANS[0].0);
        spans.find(|hours| *hours >= asked).unwrap_or(SPANS[2].0)
    }
}

/// The health of a connection.
#[derive(Clone)]
struct HealthPart {
    host: Arc<Host>,
    id: ConnectionId,
    hours: usize,
    /// What waits in the log.
    backlog: BTreeMap<Lane, Timestamp>,
}

impl Part for HealthPart {
    type Shown = Shown;

    async fn prepare(&mut self) {
        // A busy log; the next look is another chance.
        if let Ok(backlog) = health::backlog(&self.host).await {
            self.backlog = backlog;
        }
    }

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<Shown, store::Error> {
        let project = session.project.id;
        let now = self.host.clock.now();
        let connection = tx.connection(project, self.id)?;
        let problems = self.problems(tx, &connection, now)?;
        let catch_up = self.catch_up(tx, now, calendar)?;
        let hours = tx.hours(self.id, now, self.hours)?;
        let version = self.host.plugins.serving(&connection).ok();
        let silence = self.silence(&connection, now);
        let is_mapped = tx.mappings(self.id)?.iter().any(|mapping| {
            let mut fields = mapping.fields.iter();
            fields.any(|field| field.variable.is_some())
        });
        let state = connection_state::load(tx, connection, now)?.shown(&self.host);
        let label = Connectors::of(&self.host).label(&state.connector);
        let moment = |at: Option<Timestamp>| at.map(|at| calendar.moment(at));
        let failed_catch_ups = state.failed_catch_ups.as_ref().map(|failed| {
            let why = failed.problem.as_ref().map(|problem| &*problem.detail);
            format!(
                "{} {} It is tried again at {} at the latest.",
                match failed.count {
                    1 => "The last one failed.".to_owned(),
                    count => format!("The last {count} failed in a row."),
                },
                why.unwrap_or_default(),
                calendar.moment(failed.next_at).text
            )
        });
        let csrf = session
            .may_change()
            .then(|| session.csrf(&self.host).expose().to_owned());
        let proof = state.proof.as_ref();
        let silence = silence.map(|silence| silence::of_account(&silence, calendar, now));
        let differing = differing(proof, state.last_full_sync_at);
        let calm = self.calm(
            &label,
            (state.status, is_mapped, csrf.is_some()),
            silence.clone(),
            differing,
        );
        Ok(Shown {
            base: base(&self.host),
            csrf,
            heading: match problems.len() {
                0 => calm.heading.to_owned(),
                1 => "One thing needs you".to_owned(),
                count => format!("{count} things need you"),
            },
            calm,
            silence: silence.filter(|_| !problems.is_empty()),
            is_read: Source::of(&state.connector).is_read(),
            label,
            problems,
            p50: state.freshness.p50_seconds.map(format::within),
            p95: state.freshness.p95_seconds.map(format::within),
            last_delivery: moment(state.last_delivery_at),
            hours: self.hours,
            span: match self.hours {
                24 => "in the last 24 hours",
                168 => "in the last 7 days",
                _ => "in the last 14 days",
            },
            spans: SPANS,
            zone: calendar.zone_name(),
            totals: totals(hours.iter().map(|hour| hour.tally)),
            chart: Chart::of(&hours, calendar),
            catch_up,
            failed_catch_ups,
            proof: proof
                .map(|proof| proven(tx, project, proof, calendar))
                .transpose()?,
            budget: state.budget.as_ref().map(|budget| used(budget, calendar)),
            ways: ways(&state.live, version.as_ref().map(|one| one.description())),
            status: state.status,
        })
    }

    fn looks_every(&self) -> Duration {
        Duration::from_secs(10)
    }
}

impl HealthPart {
    /// Since when HubSpot does not answer for a connection that waits for it.
    fn silence(&self, connection: &Connection, now: Timestamp) -> Option<Silence> {
        let is_stopped = connection
            .problem
            .as_ref()
            .is_some_and(Problem::stops_calls);
        let (account, _) = connection.account.as_ref()?;
        match connection.status.takes_changes() && !is_stopped {
            true => self.host.grants.silences().of(*account, now),
            false => None,
        }
    }

    /// What is said where nothing needs anybody.
    fn calm(
        &self,
        label: &str,
        (status, is_mapped, may_change): (Status, bool, bool),
        silence: Option<String>,
        differing: Option<String>,
    ) -> Calm {
        let to = |page: &str| format!("{}{}", base(&self.host), path(self.id, page));
        if status == Status::Pending {
            return Calm {
                heading: "Not connected yet",
                tone: "",
                said: format!(
                    "The consent at {label} was begun and not finished. Nothing is read or kept \
                     until it is."
                ),
                link: may_change.then(|| (to(""), "Finish connecting")),
            };
        }
        if let Some(silence) = silence {
            return Calm {
                heading: "HubSpot does not answer",
                tone: "warn",
                said: silence,
                link: None,
            };
        }
        if !is_mapped {
            return Calm {
                heading: "Nothing is mapped yet",
                tone: "",
                said: format!("{label} is connected. Until you map fields, nothing is taken in."),
                link: may_change.then(|| (to("/fields"), "Map fields")),
            };
        }
        match differing {
            Some(differing) => Calm {
                heading: "Nothing is broken",
                tone: "",
                said: differing,
                link: Some(("#proof".to_owned(), "See which")),
            },
            None => Calm {
                heading: "All is well",
                tone: "good",
                said: format!(
                    "Nothing needs you: what changes in {label} reaches your users by itself."
                ),
                link: None,
            },
        }
    }

    /// What needs somebody, the worst first.
    fn problems(
        &self,
        tx: &Tx<'_>,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Vec<Wrong>, store::Error> {
        let id = self.id;
        let told: BTreeSet<String> = tx.alerts(id)?.into_keys().collect();
        let observed = health::observe(tx, connection, &self.backlog, now)?;
        let mut wrong = Vec::new();
        if connection.status == Status::Paused {
            wrong.push(Wrong {
                tone: "warn",
                title: "The integration is paused".to_owned(),
                detail: "Nothing is taken in or read until it is resumed.".to_owned(),
                remedy: match Source::of(&connection.connector) {
                    Source::HubSpot => "What changes in the meantime is caught up with then.",
                    Source::Push => "What is pushed in the meantime is lost.",
                }
                .to_owned(),
                examples: Vec::new(),
                link: None,
                act: Some((path(id, "/resume"), "Resume")),
            });
        }
        let found = health::problems(&observed, &told, now);
        for problem in found {
            if problem.code != health::BRAKED {
                wrong.push(self.wrong(problem));
            }
        }
        if let Some(question) = brake::question(tx, id)? {
            wrong.push(Wrong {
                tone: "warn",
                act: Some((path(id, "/health/continue"), "Let it go on")),
                examples: self.examples(tx, connection)?,
                ..self.wrong(question)
            });
        }
        for run in health::held_runs(tx, connection)? {
            if let Some(question) = run.held {
                let at = format!("/syncs/{}", run.id);
                wrong.push(Wrong {
                    tone: "warn",
                    examples: people(tx, connection.project, tx.held_users(run.id)?)?,
                    act: Some((path(id, &format!("{at}/continue")), "Let it go on")),
                    link: Some((path(id, &at), "See the sync")),
                    title: "A sync asks before it goes on".to_owned(),
                    ..self.wrong(question)
                });
            }
        }
        Ok(wrong)
    }

    fn wrong(&self, problem: Problem) -> Wrong {
        let id = self.id;
        let (link, act) = match &*problem.code {
            health::LATE => {
                let budget = path(id, "/health#budget");
                (Some((budget, "See what is used of it")), None)
            }
            health::BRAKED => (None, None),
            health::UNREADABLE => {
                let activity = path(id, "/activity?reason=unreadable");
                (Some((activity, "See the activity")), None)
            }
            _ => (None, Some((path(id, "/reconnect"), "Reconnect"))),
        };
        let title = message::title(&problem.code);
        let mut letters = title.chars();
        let first = letters.next().map(|letter| letter.to_uppercase());
        Wrong {
            tone: match &*problem.code {
                health::LATE | health::UNREADABLE | health::BRAKED => "warn",
                _ => "bad",
            },
            title: first.into_iter().flatten().chain(letters).collect(),
            detail: problem.detail,
            remedy: problem.remedy,
            examples: Vec::new(),
            link,
            act,
        }
    }

    /// Some of those whose values are held.
    fn examples(&self, tx: &Tx<'_>, connection: &Connection) -> Result<Vec<Person>, store::Error> {
        let held = tx.held(self.id, brake::EXAMPLES_MAX)?;
        let users = held.map(|held| held.examples).unwrap_or_default();
        people(tx, connection.project, users)
    }

    fn catch_up(
        &self,
        tx: &Tx<'_>,
        now: Timestamp,
        calendar: &Calendar,
    ) -> Result<Option<CatchUp>, store::Error> {
        let Some(run) = tx.last_whole_catch_up(self.id)? else {
            return Ok(None);
        };
        let at = run.finished_at.or(run.started_at);
        let (id, is_whole) = (run.id, run.status == RunStatus::Completed);
        let sync = syncs::show(tx, run, now)?;
        let all: i64 = sync.counts.missed.values().sum();
        let missed = sync.counts.missed.iter().filter(|(_, count)| **count > 0);
        Ok(Some(CatchUp {
            at: calendar.moment(at.unwrap_or(now)),
            path: path(self.id, &format!("/syncs/{id}")),
            asked_by: match &*sync.origin {
                "schedule" => "by itself",
                _ => "asked for by hand",
            },
            finding: match all {
                0 if !is_whole => {
                    "Not all of it could be done. What it looked at, live updates had not missed."
                        .to_owned()
                }
                0 => "It found nothing that live updates had missed.".to_owned(),
                1 => "One record that live updates had missed updated users.".to_owned(),
                all => format!(
                    "{} records that live updates had missed updated users.",
                    format::count(all)
                ),
            },
            missed: missed
                .map(|(kind, count)| (words::missed(kind), format::count(*count)))
                .collect(),
        }))
    }
}

fn part(visit: &Visit, id: ConnectionId, query: &HealthQuery) -> HealthPart {
    HealthPart {
        host: visit.host.clone(),
        id,
        hours: query.hours(),
        backlog: BTreeMap::new(),
    }
}

/// `GET …/health`.
pub async fn page(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<HealthQuery>,
) -> Result<Html<String>, Error> {
    let (mut frame, shell, _) = Shell::load(&visit, id, Tab::Health).await?;
    // The page says it first, and more of it.
    frame.banners = without(frame.banners, id);
    let mut part = part(&visit, id, &query);
    part.prepare().await;
    let stream = format!("/health/live?hours={}", part.hours);
    frame.live = Some(live_at(&visit.host, id, &stream));
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let part = visit
        .host
        .store
        .read(move |tx| part.load(tx, &session, &calendar))
        .await?;
    html(&HealthPage { frame, shell, part })
}

/// `GET …/health/live`.
pub async fn live(
    visit: Visit,
    Path(id): Path<ConnectionId>,
    Query(query): Query<HealthQuery>,
) -> Result<Response, Error> {
    let part = part(&visit, id, &query);
    headed::stream(visit, id, true, part).await
}

/// `POST …/health/continue`: lets what the brake holds of the connection go on.
pub async fn go_on(
    State(host): State<Arc<Host>>,
    Path(id): Path<ConnectionId>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let by = posted.session.actor();
    connections::release(&host, posted.session.project.id, id, by).await?;
    Ok(see_other(&path(id, "/health")))
}
