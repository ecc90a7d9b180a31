//! One run: how far it is, what it did, and what it counts.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    response::{Html, Response},
};

use super::{
    super::{
        super::{
            Error, Frame, Visit,
            extract::Path,
            format::{self, Calendar, Moment},
            html,
            live::Part,
            see_other,
            users::Person,
            words,
        },
        integrations::Nothing,
        path,
    },
    Shell, Tab, headed, live_at,
    run_records::{Through, not_looked_up_hint, not_looked_up_label, not_read, through},
    silence,
};
use crate::{
    host::Host,
    model::{ConnectionId, Problem, ProjectId, RunId, RunKind, RunStatus, Timestamp, UserId},
    secrets::random_token,
    store::{self, Tx},
    sync::runs,
    web::{
        api::syncs::{self, Sync},
        session::{Posted, Session},
    },
};

/// How often a run's page looks though nothing says that something changed: its
/// rate and the time left move by themselves.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a run is called.
pub(super) fn kind_label(sync: &Sync) -> &'static str {
    match (sync.kind, sync.dry_run) {
        (RunKind::Full, false) => "Full sync",
        (RunKind::Full, true) => "Dry run",
        (RunKind::CatchUp, false) if sync.brief => "Look for changes",
        (RunKind::CatchUp, false) if sync.origin == "schedule" => "Daily catch-up",
        (RunKind::CatchUp, false) => "Catch-up",
        (RunKind::CatchUp, true) => "Dry run of a catch-up",
    }
}

/// Where a run stands, in a word.
pub(super) struct RunWords {
    pub word: &'static str,
    /// `good`, `warn`, `bad` or nothing.
    pub tone: &'static str,
}

impl RunWords {
    pub(super) fn of(sync: &Sync) -> Self {
        let (word, tone) = match sync.status {
            RunStatus::Running if sync.started_at.is_none() => ("Waiting its turn", ""),
            RunStatus::Running => ("Running", ""),
            RunStatus::Braked => ("Asks you", "warn"),
            RunStatus::Completed => ("Completed", "good"),
            RunStatus::Failed => ("Not complete", "bad"),
            RunStatus::Cancelled => ("Cancelled", ""),
        };
        Self { word, tone }
    }
}

/// A count, and where it leads.
struct Counted {
    label: String,
    hint: &'static str,
    count: String,
    /// What [`run_records`](super::run_records) is asked for; none where nothing is kept of it.
    of: Option<String>,
}

/// A run as its page shows it and brings up to date.
#[derive(Template)]
#[template(path = "integrations/run_fragment.html")]
struct RunShown {
    base: String,
    /// The run's path.
    path: String,
    /// Where another one is begun.
    again: String,
    /// What its forms carry; none for who may not change anything.
    csrf: Option<String>,
    /// Marks the forms that begin another one, so that they begin one.
    once: String,
    title: &'static str,
    words: RunWords,
    kind: RunKind,
    is_dry: bool,
    status: RunStatus,
    asked: Moment,
    took: Option<String>,
    done: u64,
    done_text: String,
    total: Option<u64>,
    total_text: Option<String>,
    per_second: Option<String>,
    left: Option<String>,
    /// What it waits for, where its last call failed.
    waits: Option<String>,
    problem: Option<Problem>,
    /// Some of those whose values it would take, where its brake holds it.
    held: Vec<Person>,
    read: String,
    matched: String,
    updated: String,
    unchanged: String,
    /// Of a dry run: how many users would show something else.
    users: Option<String>,
    values: Vec<(&'static str, String)>,
    skipped: Vec<Counted>,
    missed: Vec<(&'static str, String)>,
}

impl RunShown {
    fn of(
        sync: Sync,
        (held, waits, through): (Vec<Person>, Option<(&'static str, String)>, &Through),
        part: &RunPart,
        csrf: Option<String>,
        calendar: &Calendar,
    ) -> Self {
        let words = match &waits {
            Some((word, _)) => RunWords { word, tone: "warn" },
            None => RunWords::of(&sync),
        };
        let waits = waits.map(|(_, waits)| waits);
        let goes_on = sync.status == RunStatus::Running && waits.is_none();
        let mut counts = sync.counts;
        let value = |name: &str| counts.values.get(name).copied().unwrap_or_default();
        let values = [
            ("set", "set"),
            ("changed", "changed"),
            ("cleared", "cleared"),
        ]
        .map(|(label, name)| (label, format::count(value(name))))
        .to_vec();
        let mut skipped: Vec<(String, i64)> = std::mem::take(&mut counts.skipped)
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        skipped.sort_by_key(|(_, count)| -count);
        let mut skipped: Vec<Counted> = skipped
            .into_iter()
            .map(|(reason, count)| {
                let (label, hint) = words::reason(&reason);
                Counted {
                    label: label.to_owned(),
                    hint,
                    count: format::count(count),
                    of: Some(format!("skipped.{reason}")),
                }
            })
            .collect();
        let not_looked_up = std::mem::take(&mut counts.failed_associations);
        let failed = counts.failed - not_looked_up.values().sum::<i64>();
        if failed > 0 {
            let (label, hint) = not_read(sync.problem.as_ref());
            skipped.push(Counted {
                label: label.to_owned(),
                hint,
                count: format::count(failed),
                of: Some("failed".to_owned()),
            });
        }
        for (to_type, count) in not_looked_up {
            skipped.push(Counted {
                label: not_looked_up_label(&to_type, through),
                hint: not_looked_up_hint(sync.problem.as_ref()),
                count: format::count(count),
                of: Some(format!("failed.{to_type}")),
            });
        }
        let took = sync
            .started_at
            .zip(sync.finished_at)
            .map(|(from, to)| format::seconds(to.since(from).as_secs_f64()));
        Self {
            title: match (sync.kind, sync.dry_run) {
                (RunKind::Full, false) => "Full sync",
                (RunKind::CatchUp, false) => "Catch-up",
                (_, true) => "Dry run",
            },
            words,
            held,
            base: part.base.clone(),
            path: path(part.connection, &format!("/syncs/{}", part.run)),
            again: path(part.connection, "/syncs"),
            csrf,
            once: part.once.clone(),
            kind: sync.kind,
            is_dry: sync.dry_run,
            status: sync.status,
            asked: calendar.moment(sync.started_at.unwrap_or(sync.requested_at)),
            took,
            done: sync.progress.done,
            done_text: format::count(sync.progress.done),
            total_text: sync.progress.total.map(format::count),
            total: sync.progress.total,
            per_second: sync
                .progress
                .per_second
                .filter(|_| goes_on)
                .map(|rate| format::number(rate.round())),
            // Seconds that are left are far below a float's whole numbers.
            left: sync
                .progress
                .eta_seconds
                .filter(|left| goes_on && *left > 0)
                .map(|left| format::seconds(left as f64)),
            waits,
            problem: sync.problem,
            read: format::count(counts.read),
            matched: format::count(counts.matched),
            updated: format::count(counts.updated),
            unchanged: format::count(counts.unchanged),
            users: counts.users.map(format::count),
            values,
            skipped,
            missed: counts
                .missed
                .iter()
                .map(|(kind, count)| (words::missed(kind), format::count(*count)))
                .collect(),
        }
    }
}

#[derive(Clone)]
struct RunPart {
    host: Arc<Host>,
    base: String,
    connection: ConnectionId,
    run: RunId,
    /// The same as long as the page is shown, or its stream goes on.
    once: String,
}

impl Part for RunPart {
    type Shown = RunShown;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<RunShown, store::Error> {
        let run = syncs::of(tx, session.project.id, self.connection, self.run)?;
        let held = match run.status {
            RunStatus::Braked => tx.held_users(run.id)?,
            _ => Vec::new(),
        };
        let held = people(tx, session.project.id, held)?;
        let now = self.host.clock.now();
        let waits = match run.status {
            RunStatus::Running => self.waits(tx, calendar, now)?,
            _ => None,
        };
        let through = through(tx, self.connection)?;
        let sync = syncs::show(tx, run, now)?;
        let csrf = session.csrf(&self.host).expose().to_owned();
        let csrf = session.may_change().then_some(csrf);
        let beside = (held, waits, &through);
        Ok(RunShown::of(sync, beside, self, csrf, calendar))
    }

    fn looks_every(&self) -> Duration {
        LOOK_EVERY
    }
}

impl RunPart {
    /// What the run waits for, where its last call failed.
    fn waits(
        &self,
        tx: &Tx<'_>,
        calendar: &Calendar,
        now: Timestamp,
    ) -> Result<Option<(&'static str, String)>, store::Error> {
        let connection = tx.any_connection(self.connection)?;
        let silences = self.host.grants.silences();
        let account = connection
            .account
            .filter(|_| connection.status.takes_changes());
        let silence = account.and_then(|(account, _)| silences.of(account, now));
        let pause = silences.of_run(self.run);
        Ok(silence::of_run(silence, pause, calendar, now))
    }
}

/// Users as people recognise them, without those who are gone.
pub(super) fn people(
    tx: &Tx<'_>,
    project: ProjectId,
    users: Vec<UserId>,
) -> Result<Vec<Person>, store::Error> {
    let mut people = Vec::new();
    for user in users {
        match tx.user(project, user) {
            Ok(user) => people.push(user.into()),
            Err(store::Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(people)
}

fn part(visit: &Visit, connection: ConnectionId, run: RunId) -> RunPart {
    RunPart {
        host: visit.host.clone(),
        base: super::super::super::base(&visit.host),
        connection,
        run,
        once: random_token().expose().to_owned(),
    }
}

#[derive(Template)]
#[template(path = "integrations/run.html")]
struct RunPage {
    frame: Frame,
    shell: Shell,
    run: RunShown,
}

/// `GET …/syncs/{run}`.
pub async fn page(
    visit: Visit,
    Path((connection, id)): Path<(ConnectionId, RunId)>,
) -> Result<Html<String>, Error> {
    let (mut frame, shell, _) = Shell::load(&visit, connection, Tab::Syncs).await?;
    let stream = format!("/syncs/{id}/live");
    frame.live = Some(live_at(&visit.host, connection, &stream));
    let part = part(&visit, connection, id);
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let run = visit
        .host
        .store
        .read(move |tx| part.load(tx, &session, &calendar))
        .await?;
    html(&RunPage { frame, shell, run })
}

/// `GET …/syncs/{run}/live`.
pub async fn live(
    visit: Visit,
    Path((connection, id)): Path<(ConnectionId, RunId)>,
) -> Result<Response, Error> {
    let part = part(&visit, connection, id);
    headed::stream(visit, connection, false, part).await
}

/// `POST …/syncs/{run}/cancel`.
pub async fn cancel(
    State(host): State<Arc<Host>>,
    Path((connection, id)): Path<(ConnectionId, RunId)>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let (session, sync) = (posted.session, (connection, id));
    let (project, by) = (session.project.id, session.actor());
    syncs::steer(&host, project, sync, &by, runs::cancel).await?;
    Ok(see_other(&path(connection, &format!("/syncs/{id}"))))
}

/// `POST …/syncs/{run}/continue`.
pub async fn go_on(
    State(host): State<Arc<Host>>,
    Path((connection, id)): Path<(ConnectionId, RunId)>,
    posted: Posted<Nothing>,
) -> Result<Response, Error> {
    let (session, sync) = (posted.session, (connection, id));
    let (project, by) = (session.project.id, session.actor());
    syncs::steer(&host, project, sync, &by, runs::go_on).await?;
    Ok(see_other(&path(connection, &format!("/syncs/{id}"))))
}
