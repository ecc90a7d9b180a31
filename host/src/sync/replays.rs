//! What was set aside, worked on again: by who asks for it, one after the other.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::steps::Steps;
use crate::{
    host::Host,
    model::Timestamp,
    pipeline::worker::Error,
    store::{
        self, Store,
        set_aside::{Filter, ReplayState},
    },
};

/// How often one who waits for a replay looks how far it is.
const STATE_EVERY: Duration = Duration::from_millis(50);

/// How many are marked in one transaction.
const MARKED: usize = 1_000;

/// Asks that what matches is worked on again, but for what waits for that already.
/// Returns the number of the replay, once all of it waits.
pub async fn request(
    store: &Store,
    filter: &Filter,
    by: &str,
    now: Timestamp,
) -> Result<i64, store::Error> {
    let by = by.to_owned();
    let (replay, last) = store
        .transact(move |tx| Ok((tx.begin_replay(&by, now)?, tx.newest_set_aside()?)))
        .await?;
    let mut after = 0;
    loop {
        let filter = filter.clone();
        let found = store.read(move |tx| tx.to_replay(&filter, (after, last), MARKED));
        let found = found.await?;
        let Some(reached) = found.last().copied() else {
            return Ok(replay);
        };
        store
            .transact(move |tx| tx.add_to_replay(replay, &found))
            .await?;
        after = reached;
    }
}

/// Works on what is asked for until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let steps = Steps::new("what was set aside could not be worked on again yet");
    steps.take(&host, &stop, || step(&host)).await;
}

/// Works on the next one. Returns whether there was any.
async fn step(host: &Host) -> Result<bool, Error> {
    let Some(replay) = host.store.read(|tx| tx.next_replay()).await? else {
        return Ok(false);
    };
    let id = replay.id;
    let replayed = match host.pipeline.replay(replay).await {
        // It is read again.
        Err(Error::Store(store::Error::Outdated)) => return Ok(true),
        replayed => replayed?,
    };
    tracing::info!(
        id,
        ?replayed,
        "something that was set aside was worked on again"
    );
    Ok(true)
}

/// How far a replay is, once it is over, or after so long.
pub async fn state(
    store: &Store,
    replay: i64,
    patience: Duration,
) -> Result<ReplayState, store::Error> {
    let over = async {
        loop {
            let state = store.read(move |tx| tx.replay_state(replay)).await?;
            if state.waiting == 0 {
                return Ok(state);
            }
            tokio::time::sleep(STATE_EVERY).await;
        }
    };
    match tokio::time::timeout(patience, over).await {
        Ok(state) => state,
        Err(_) => store.read(move |tx| tx.replay_state(replay)).await,
    }
}
