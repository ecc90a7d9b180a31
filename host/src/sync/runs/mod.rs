//! Full syncs and catch-ups: long work, done in steps.
//!
//! A step is a few calls, and one transaction that applies what they answered
//! and moves the run on. So a run that is killed at any instant goes on where it
//! was, and counts nothing twice. What a step finds to be read is put into the
//! read queue ([`super::reads`]), tagged with the run and less urgent than what
//! is live; the run goes on when most of it is answered.

pub(super) mod brake;
mod pages;
pub mod plan;
mod proof;
mod ranges;
mod rehearsal;
mod request;
pub mod schedule;
mod stages;
mod start;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use request::{cancel, check, go_on, request};
pub use start::{Estimate, estimate};

use self::stages::Step;
use super::{
    failures::{Error, Next, next},
    grants::missing_scopes,
    lock,
};
use crate::{
    host::Host,
    hubspot,
    model::{Problem, Run, RunId, RunStatus, Stage},
    store,
};

/// How often runs are looked at when nothing in this process says that
/// something moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a run waits after a failure, at first and at most.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How often a stage that HubSpot refuses is tried before the run goes on
/// without it.
const REFUSALS_MAX: u32 = 3;

/// Works on all runs until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let working = Arc::new(Mutex::new(HashSet::new()));
    while !stop.is_cancelled() {
        match host.store.read(|tx| tx.open_runs()).await {
            Ok(runs) => {
                for run in runs {
                    if run.status == RunStatus::Running && lock(&working).insert(run.id) {
                        let (host, stop) = (host.clone(), stop.clone());
                        let working = working.clone();
                        let span = tracing::error_span!("run", run = %run.id, connection = %run.connection);
                        let driven = async move {
                            drive(&host, run.id, &stop).await;
                            lock(&working).remove(&run.id);
                        };
                        tokio::spawn(driven.instrument(span));
                    }
                }
            }
            Err(error) => tracing::error!(%error, "runs could not be looked at"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is more to do.
    More,
    /// Nothing can be done before something else moves.
    Wait,
    /// The run is over, or held.
    Over,
}

/// Works on a run until it is over.
async fn drive(host: &Arc<Host>, id: RunId, stop: &CancellationToken) {
    let mut changed = host.pipeline.changed();
    let (mut pause, mut refusals) = (PAUSE, 0);
    while !stop.is_cancelled() {
        let step = tokio::select! {
            step = step(host, id) => step,
            () = stop.cancelled() => return,
        };
        let Failed { error, stages } = match step {
            Ok(Outcome::Over) => return,
            Ok(Outcome::More) => {
                (pause, refusals) = (PAUSE, 0);
                host.pipeline.notify_changed();
                continue;
            }
            Ok(Outcome::Wait) => {
                tokio::select! {
                    _ = changed.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            Err(failed) => failed,
        };
        let next = next(&error, 1);
        if next == Next::Again {
            continue;
        }
        tracing::warn!(%error, "a step of a run failed");
        if let Error::HubSpot(hubspot::Error::MissingScopes { scopes }) = &error {
            give_up_stage(host, id, stages, missing_scopes(scopes)).await;
            continue;
        }
        if next == Next::PutOff {
            refusals += 1;
            if refusals >= REFUSALS_MAX {
                refusals = 0;
                give_up_stage(host, id, stages, refused(&error)).await;
                continue;
            }
        }
        let told = match &error {
            Error::HubSpot(error) => error.retry_at(),
            Error::Grant(error) => error.retry_at(),
            _ => None,
        };
        let until = told.unwrap_or(host.clock.now().plus(pause));
        pause = (pause * 2).min(PAUSE_MAX);
        let _paused = host.grants.silences().pause(id, &error, until);
        tokio::select! {
            () = host.clock.sleep_until(until) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Why a step failed, and what was left of the run when it began.
struct Failed {
    error: Error,
    stages: Option<Vec<Stage>>,
}

async fn step(host: &Arc<Host>, id: RunId) -> Result<Outcome, Failed> {
    let run = match host.store.read(move |tx| tx.run(id)).await {
        Ok(run) if run.status == RunStatus::Running => run,
        // Over, held, or gone with its connection.
        Ok(_) | Err(store::Error::NotFound(_)) => return Ok(Outcome::Over),
        Err(error) => {
            return Err(Failed {
                error: error.into(),
                stages: None,
            });
        }
    };
    step_of(host, &run).await.map_err(|error| Failed {
        error,
        stages: run.stages,
    })
}

async fn step_of(host: &Arc<Host>, run: &Run) -> Result<Outcome, Error> {
    let id = run.id;
    let routing = host.pipeline.routing().await?;
    let route = routing.accounts().find(|account| {
        let of_account = |route: &Arc<_>| is_of(route, run);
        account.connections.iter().any(of_account)
    });
    // Paused, or without a grant: it goes on when somebody mends that.
    let Some(route) = route.filter(|route| route.may_call) else {
        return Ok(Outcome::Wait);
    };
    let Some(connection) = route.connections.iter().find(|route| is_of(route, run)) else {
        return Ok(Outcome::Wait);
    };
    // One run of an account after the other: they read the same records, and each
    // read is counted for one run, and fills or not as that one asks.
    let ours: Vec<_> = route.connections.iter().map(|route| route.id).collect();
    let earlier = move |other: &Run| {
        other.id < id
            && other.status == RunStatus::Running
            && !other.dry_run
            && ours.contains(&other.connection)
    };
    let open = host.store.read(|tx| tx.open_runs()).await?;
    if !run.dry_run && open.iter().any(earlier) {
        return Ok(Outcome::Wait);
    }
    let step = Step {
        host,
        account: route,
        connection,
        configuration: routing.configuration,
        run,
    };
    match run.stages.as_deref() {
        None => step.begin().await,
        Some([]) => step.end().await,
        Some([stage, rest @ ..]) => step.take(stage, rest).await,
    }
}

fn is_of(route: &crate::pipeline::routing::ConnectionRoute, run: &Run) -> bool {
    route.id == run.connection
}

/// A run goes on without the first of the stages that a step had, and says why. It
/// is no complete one then. One that is to begin anew meanwhile is left to that.
async fn give_up_stage(host: &Host, id: RunId, had: Option<Vec<Stage>>, problem: Problem) {
    let now = host.clock.now();
    let give_up = move |tx: &store::Tx<'_>| {
        let run = tx.run(id)?;
        if run.status != RunStatus::Running || run.stages != had {
            return Ok(());
        }
        let Some(stages) = run.stages else {
            // It could not even be planned.
            tx.set_run_problem(id, &problem)?;
            return tx.set_run_status(id, RunStatus::Failed, now);
        };
        let is_proof = matches!(stages.first(), Some(Stage::Proof { .. }));
        let rest: Vec<Stage> = stages.into_iter().skip(1).collect();
        if !is_proof {
            // All is synced that a proof would have looked at.
            tx.set_run_problem(id, &problem)?;
        }
        tx.move_run(id, &rest)
    };
    if let Err(error) = host.store.transact(give_up).await {
        tracing::error!(%error, "a stage of a run could not be left out");
    }
    host.pipeline.notify_changed();
}

fn refused(error: &Error) -> Problem {
    Problem {
        code: "refused".into(),
        detail: format!("A part of it could not be read: {error}."),
        remedy: "Run it again later; where that does not help, HubSpot’s support needs what is said here."
            .into(),
    }
}
