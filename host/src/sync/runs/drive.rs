//! A run worked on, step by step, with its pauses and failures.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        failures::{Error, Next, next},
        grants::missing_scopes,
    },
    LOOK_EVERY, Outcome,
    stages::Step,
    turns::Turns,
};
use crate::{
    host::Host,
    hubspot,
    model::{Problem, Run, RunId, RunStatus, Stage},
    pipeline::routing::ConnectionRoute,
    store::{self, runs::RunningRun},
};

/// How long a run waits after a failure, at first and at most.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How often a stage that HubSpot refuses is tried before the run goes on
/// without it.
const REFUSALS_MAX: u32 = 3;

/// A run that is worked on.
pub(super) struct Driven {
    host: Arc<Host>,
    run: RunningRun,
    turns: Arc<Turns>,
}

/// Why a step failed, and what was left of the run when it began.
struct Failed {
    error: Error,
    stages: Option<Vec<Stage>>,
}

impl Driven {
    pub fn new(host: &Arc<Host>, run: RunningRun, turns: &Arc<Turns>) -> Self {
        Self {
            host: host.clone(),
            run,
            turns: turns.clone(),
        }
    }

    /// Works on the run while it may go on. Returns whether it is over, or held.
    pub async fn drive(&self, stop: &CancellationToken) -> bool {
        let host = &self.host;
        let mut answered = host.answered.of(self.run.account);
        let (mut pause, mut refusals) = (PAUSE, 0);
        while !stop.is_cancelled() {
            // Answers that come while it looks what it waits for are not missed.
            answered.mark_unchanged();
            let step = tokio::select! {
                step = self.turns.take(self.step()) => step,
                () = stop.cancelled() => return false,
            };
            let Failed { error, stages } = match step {
                Ok(Outcome::Over) => return true,
                Ok(Outcome::NotNow) => return false,
                Ok(Outcome::More) => {
                    (pause, refusals) = (PAUSE, 0);
                    host.pipeline.notify_changed();
                    continue;
                }
                Ok(Outcome::Wait) => {
                    tokio::select! {
                        _ = answered.changed() => {}
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
            refusals += u32::from(next == Next::PutOff);
            if let Some(problem) = given_up(&error, next, refusals) {
                match give_up_stage(host, self.run.id, stages, problem).await {
                    Ok(()) => {
                        refusals = 0;
                        host.pipeline.notify_changed();
                        continue;
                    }
                    // What HubSpot refuses is not asked for again at once.
                    Err(error) => {
                        tracing::error!(%error, "a stage of a run could not be left out");
                    }
                }
            }
            let until = error.again_at(host.clock.now(), pause);
            pause = (pause * 2).min(PAUSE_MAX);
            let _paused = host.grants.silences().pause(self.run.id, &error, until);
            tokio::select! {
                () = host.clock.sleep_until(until) => {}
                () = stop.cancelled() => return false,
            }
        }
        false
    }

    async fn step(&self) -> Result<Outcome, Failed> {
        let id = self.run.id;
        let run = match self.host.store.read(move |tx| tx.run(id)).await {
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
        step_of(&self.host, &run).await.map_err(|error| Failed {
            error,
            stages: run.stages,
        })
    }
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
        return Ok(Outcome::NotNow);
    };
    let Some(connection) = route.connections.iter().find(|route| is_of(route, run)) else {
        return Ok(Outcome::NotNow);
    };
    // One run of an account after the other: they read the same records, and each
    // read is counted for one run, and fills or not as that one asks. One that was
    // held may go on while a later one is under way.
    if !run.dry_run {
        let ours: Vec<_> = route.connections.iter().map(|route| route.id).collect();
        let has_earlier = host.store.read(move |tx| tx.has_earlier_run(&ours, id));
        if has_earlier.await? {
            return Ok(Outcome::NotNow);
        }
    }
    let step = Step {
        host,
        account: route,
        connection,
        run,
    };
    match run.stages.as_deref() {
        None => step.begin().await,
        Some([]) => step.end().await,
        Some([stage, rest @ ..]) => step.take(stage, rest).await,
    }
}

fn is_of(route: &ConnectionRoute, run: &Run) -> bool {
    route.id == run.connection
}

/// What is said of a stage that the run goes on without, after this failure; none
/// where it is tried again.
fn given_up(error: &Error, next: Next, refusals: u32) -> Option<Problem> {
    match error {
        Error::HubSpot(hubspot::Error::MissingScopes { scopes }) => Some(missing_scopes(scopes)),
        _ if next == Next::PutOff && refusals >= REFUSALS_MAX => Some(refused(error)),
        _ => None,
    }
}

/// A run goes on without the first of the stages that a step had, and says why. It
/// is no complete one then. One that is to begin anew meanwhile is left to that.
async fn give_up_stage(
    host: &Host,
    id: RunId,
    had: Option<Vec<Stage>>,
    problem: Problem,
) -> Result<(), store::Error> {
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
    host.store.transact(give_up).await
}

fn refused(error: &Error) -> Problem {
    Problem {
        code: "refused".into(),
        detail: format!("A part of it could not be read: {error}."),
        remedy: "Run it again later; where that does not help, HubSpot’s support needs what is said here."
            .into(),
    }
}
