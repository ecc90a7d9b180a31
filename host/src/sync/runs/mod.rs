//! Full syncs and catch-ups: long work, done in steps.
//!
//! A step is a few calls, and one transaction that applies what they answered
//! and moves the run on. So a run that is killed at any instant goes on where it
//! was, and counts nothing twice. What a step finds to be read is put into the
//! read queue ([`super::reads`]), tagged with the run and less urgent than what
//! is live; the run goes on when most of it is answered.

pub(super) mod brake;
mod drive;
mod pages;
pub mod plan;
mod proof;
mod ranges;
mod rehearsal;
mod request;
pub mod schedule;
mod stages;
mod start;
mod turns;

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use request::{cancel, check, go_on, request};
pub use start::{Estimate, estimate};

use self::{drive::Driven, turns::Turns};
use super::{
    looks::Looks,
    places::{Place, Working},
};
use crate::{
    host::Host,
    model::ConnectionId,
    store::{self, runs::RunningRun},
};

/// How often runs are looked at when nothing in this process says that
/// something moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Works on all runs until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut looks = Looks::new(&host, LOOK_EVERY);
    let working = Arc::new(Working::default());
    let turns = Arc::new(Turns::default());
    while !stop.is_cancelled() {
        looks.begin();
        match going(&host).await {
            Ok(runs) => {
                for run in runs {
                    let Some(place) = Place::take(&working, run.id) else {
                        continue;
                    };
                    let span =
                        tracing::error_span!("run", run = %run.id, connection = %run.connection);
                    let driven = Driven::new(&host, run, &turns);
                    let (stop, working) = (stop.clone(), working.clone());
                    let driven = async move {
                        let is_over = driven.drive(&stop).await;
                        drop(place);
                        if is_over {
                            // The next of its account goes on.
                            working.emptied.notify_one();
                        }
                    };
                    tokio::spawn(driven.instrument(span));
                }
            }
            Err(error) => tracing::error!(%error, "runs could not be looked at"),
        }
        tokio::select! {
            () = looks.next(working.emptied.notified()) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The runs that go on now: those of connections that may call, and of each account
/// the first. A dry one waits for no other.
async fn going(host: &Host) -> Result<Vec<RunningRun>, store::Error> {
    let mut running = host.store.read(|tx| tx.running_runs()).await?;
    if running.is_empty() {
        return Ok(running);
    }
    let routing = host.pipeline.routing().await?;
    let callable = routing.accounts().filter(|account| account.may_call);
    let connections = callable.flat_map(|account| &account.connections);
    let callable: HashSet<ConnectionId> = connections.map(|connection| connection.id).collect();
    let mut begun = HashSet::new();
    running.retain(|run| {
        callable.contains(&run.connection) && (run.dry_run || begun.insert(run.account))
    });
    Ok(running)
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is more to do.
    More,
    /// Nothing can be done before reads are answered.
    Wait,
    /// It is not the run's turn: another of its account goes first, or the
    /// account may not be called.
    NotNow,
    /// The run is over, or held.
    Over,
}
