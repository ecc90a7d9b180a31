//! Works through the log: what waits becomes batches, and each batch one
//! transaction.

mod failures;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Applying, Batch},
    routing::Routing,
    turns::{TURN_BYTES_MAX, Turn, Turns},
};
use crate::{
    clock::Clock,
    log::{EventLog, Lane, Place, Position},
    plugin::Plugins,
    secrets::Keys,
    store::{self, Store},
    telemetry::Metrics,
};

pub use failures::Error;

/// How long to wait after a failure, and how much longer after each further.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait after a failure.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often the log is looked at when nothing says that it moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long to wait, while a batch is being applied, after two looks at the log in a row
/// that found nobody to take beside it: a flood appends all the time.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// What is done next.
enum Next {
    /// Nothing waits.
    Nothing,
    /// A batch is ready.
    Ready(Batch),
    /// It could not be prepared.
    Failed(Turn, Error),
    /// It was given up, and waits again in parts.
    Parted,
}

impl Next {
    /// What it is made of.
    fn turn(self) -> Option<Turn> {
        match self {
            Self::Nothing | Self::Parted => None,
            Self::Ready(batch) => Some(batch.turn),
            Self::Failed(turn, _) => Some(turn),
        }
    }
}

/// What became of a batch that was being applied.
enum Finished {
    /// It is applied.
    Applied(Turn),
    /// Connections or mappings have changed, or a connection is held now: it is to be
    /// prepared again.
    Outdated(Turn),
    /// It could not be applied.
    Failed(Turn, Error),
}

impl Finished {
    /// Whether nothing of it is left to be done.
    fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// The pipeline of one host.
pub struct Pipeline {
    pub(super) store: Arc<Store>,
    pub(super) log: Arc<EventLog>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    brake_share: f64,
    routing: Mutex<Arc<Routing>>,
    applied: watch::Sender<Position>,
    changed: watch::Sender<u64>,
    failing: watch::Sender<bool>,
    damaged: watch::Sender<bool>,
    shared: AtomicBool,
}

impl Pipeline {
    /// A pipeline that has not begun. `brake_share`: the share of a connection's
    /// users, from 0 to 1, that may lose values unasked.
    pub fn new(
        store: Arc<Store>,
        log: Arc<EventLog>,
        plugins: Arc<Plugins>,
        keys: Arc<Keys>,
        clock: Clock,
        metrics: Arc<Metrics>,
        brake_share: f64,
    ) -> Self {
        Self {
            store,
            log,
            plugins,
            keys,
            clock,
            metrics,
            brake_share,
            routing: Mutex::default(),
            applied: watch::Sender::new(Position(0)),
            changed: watch::Sender::new(0),
            failing: watch::Sender::new(false),
            damaged: watch::Sender::new(false),
            shared: AtomicBool::new(false),
        }
    }

    /// The place in the log up to which everything is done.
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.applied.subscribe()
    }

    /// Moves whenever something in the store may have changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Says that something in the store may have changed.
    pub fn notify_changed(&self) {
        self.changed
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Whether no batch can be worked on, or a file is damaged. One account of which
    /// something cannot be applied is not the host's failure.
    pub fn is_failing(&self) -> bool {
        *self.failing.borrow() || *self.damaged.borrow()
    }

    /// Whether several accounts are at work, or were lately.
    pub fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// The present configuration.
    pub async fn routing(&self) -> Result<Arc<Routing>, store::Error> {
        let held = self
            .routing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let known = held.clone();
        let fresh = self.store.read(move |tx| known.renewed(tx)).await?;
        let Some(fresh) = fresh.map(Arc::new) else {
            return Ok(held);
        };
        *self.routing.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh)
    }

    /// Works until it is told to stop; a batch under way is finished first.
    pub async fn run(&self, stop: CancellationToken) {
        let mut pause = RETRY_PAUSE;
        let mut turns = Turns::new(Place::default());
        while !stop.is_cancelled() {
            let Err(error) = self.work(&mut turns, &stop, &mut pause).await else {
                continue;
            };
            self.failing.send_replace(true);
            tracing::error!(%error, "a batch could not be applied, and is tried again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Works through the log until it is told to stop, or a batch fails for nothing that
    /// it holds.
    async fn work(
        &self,
        turns: &mut Turns,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        let mut under_way = Vec::new();
        let ended = self.work_on(turns, &mut under_way, stop, pause).await;
        // Whoever begins again reads the place that these still move.
        self.finish(&mut under_way, pause).await;
        ended
    }

    /// Works through the log, batch by batch. While one is applied, the next is prepared;
    /// but not while several accounts are at work, for whoever comes then would wait for
    /// both: these are taken beside it.
    async fn work_on(
        &self,
        turns: &mut Turns,
        under_way: &mut Vec<Applying>,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        let mut tail = self.log.tail();
        self.begin(turns).await?;
        self.applied.send_replace(turns.taken());
        loop {
            if turns.is_shared(self.clock.now()) {
                self.take_beside(turns, under_way, &mut tail, stop).await?;
                let finished = self.finish(under_way, pause).await;
                // Nothing is taken yet that it could forget.
                let _ = self.settle(turns, finished).await?;
            }
            let next = if stop.is_cancelled() {
                Ok(Next::Nothing)
            } else {
                self.next_batch(turns).await
            };
            let waited = !under_way.is_empty();
            let finished = self.finish(under_way, pause).await;
            let next = next?;
            if !finished.iter().all(Finished::is_applied) {
                // Of several turns the last taken is put back first.
                if let Some(turn) = next.turn() {
                    turns.put_back(turn);
                }
                self.settle(turns, finished).await?;
                continue;
            }
            if self.settle(turns, finished).await? {
                // What was taken meanwhile is heard of again.
                continue;
            }
            match next {
                Next::Nothing if stop.is_cancelled() => return Ok(()),
                Next::Nothing => self.rest(turns, &mut tail, stop, pause).await?,
                Next::Parted => {}
                Next::Failed(turn, error) => self.failed(turns, turn, error).await?,
                Next::Ready(batch) => {
                    if waited {
                        self.hear(turns).await?;
                        if turns.is_shared(self.clock.now()) {
                            // Somebody came while the last was applied: this is too long.
                            turns.put_back(batch.turn);
                            continue;
                        }
                    }
                    under_way.push(self.apply(batch));
                }
            }
        }
    }

    /// While a batch is applied, prepares those of whom nothing was waiting, and has them
    /// follow it at once; no more than a turn's worth, for all others wait for these, too.
    async fn take_beside(
        &self,
        turns: &mut Turns,
        under_way: &mut Vec<Applying>,
        tail: &mut watch::Receiver<Position>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let Some(Applying { turn, ended, .. }) = under_way.first() else {
            return Ok(());
        };
        let ended = ended.clone();
        let mut busy: HashSet<Lane> = turn.lanes().collect();
        let mut room = TURN_BYTES_MAX;
        let mut was_in_vain = false;
        while room > 0 && !ended.is_cancelled() && !stop.is_cancelled() {
            tail.mark_unchanged();
            self.hear(turns).await?;
            let Some(turn) = turns.take_beside(&busy, room, self.clock.now()) else {
                let comes = async {
                    if std::mem::replace(&mut was_in_vain, true) {
                        tokio::time::sleep(LOOK_PAUSE).await;
                    }
                    // The log is there for as long as the pipeline is.
                    let _ = tail.changed().await;
                };
                tokio::select! {
                    () = ended.cancelled() => return Ok(()),
                    () = comes => continue,
                }
            };
            was_in_vain = false;
            busy.extend(turn.lanes());
            room = room.saturating_sub(turn.bytes());
            match self.prepare_batch(turns, turn).await? {
                Next::Nothing | Next::Parted => {}
                Next::Failed(turn, error) => self.failed(turns, turn, error).await?,
                Next::Ready(batch) => under_way.push(self.apply(batch)),
            }
        }
        Ok(())
    }

    /// Begins after the place that the store has reached.
    async fn begin(&self, turns: &mut Turns) -> Result<(), Error> {
        turns.begin(self.store.read(|tx| tx.log_place()).await?);
        self.tell(turns);
        Ok(())
    }

    /// Nothing waits, and nothing is under way: rests until something is appended.
    async fn rest(
        &self,
        turns: &mut Turns,
        tail: &mut watch::Receiver<Position>,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        if let Some(step) = turns.left_behind() {
            let moving = step.clone();
            let moved = self
                .store
                .transact_logged(move |tx| tx.move_log_place(&moving));
            moved.await?;
            turns.placed(&step);
        }
        *pause = RETRY_PAUSE;
        self.applied.send_replace(turns.taken());
        self.failing.send_replace(false);
        tokio::select! {
            _ = tail.changed() => {}
            // What is appended for a sender who goes away is not announced.
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// Waits until all that is under way is applied.
    async fn finish(&self, under_way: &mut Vec<Applying>, pause: &mut Duration) -> Vec<Finished> {
        let mut finished = Vec::with_capacity(under_way.len());
        for applying in under_way.drain(..) {
            finished.push(self.finished(applying, pause).await);
        }
        finished
    }

    /// Waits until a batch is applied.
    async fn finished(&self, applying: Applying, pause: &mut Duration) -> Finished {
        let Applying { turn, task, .. } = applying;
        let parts = match task.await {
            Err(_) => return Finished::Failed(turn, Error::Ended),
            Ok(Err(error)) => match self.braked(error).await {
                store::Error::Outdated => return Finished::Outdated(turn),
                error => return Finished::Failed(turn, error.into()),
            },
            Ok(Ok(parts)) => parts,
        };
        // A batch that is tried again counts once.
        self.metrics.batch(parts.iter().map(|part| &part.prepared));
        self.applied.send_if_modified(|applied| {
            let moves = turn.step.up_to > *applied;
            *applied = turn.step.up_to.max(*applied);
            moves
        });
        self.failing.send_replace(false);
        self.notify_changed();
        *pause = RETRY_PAUSE;
        Finished::Applied(turn)
    }

    /// Has those whose turn it was go on, or wait again, once nothing is under way.
    /// Returns whether all that was taken after them is forgotten, and is taken anew.
    async fn settle(&self, turns: &mut Turns, finished: Vec<Finished>) -> Result<bool, Error> {
        let mut begins = false;
        for one in finished.into_iter().rev() {
            match one {
                Finished::Applied(turn) => begins |= turns.applied(&turn),
                Finished::Outdated(turn) => turns.put_back(turn),
                Finished::Failed(turn, error) => self.failed(turns, turn, error).await?,
            }
        }
        if begins {
            self.begin(turns).await?;
        }
        Ok(begins)
    }

    /// Hears of what was appended.
    async fn hear(&self, turns: &mut Turns) -> Result<(), Error> {
        let more = self.log.list(turns.heard(), turns.room()).await?;
        let now = self.clock.now();
        turns.hear(more, now);
        self.shared.store(turns.is_shared(now), Ordering::Relaxed);
        Ok(())
    }

    /// What waits in the log and whose turn it is, as one batch.
    async fn next_batch(&self, turns: &mut Turns) -> Result<Next, Error> {
        self.hear(turns).await?;
        match turns.take(self.clock.now()) {
            Some(turn) => self.prepare_batch(turns, turn).await,
            None => Ok(Next::Nothing),
        }
    }

    /// What was taken, as a batch.
    async fn prepare_batch(&self, turns: &mut Turns, turn: Turn) -> Result<Next, Error> {
        let routing = self.routing().await?;
        let (parts, overrun) = match self.prepare_turn(routing, &turn).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Next::Failed(turn, error)),
        };
        turns.overran(&turn, overrun.by_entry(), self.clock.now());
        if overrun.is_given_up() {
            tracing::warn!(
                entries = turn.entries.len(),
                overran = overrun.by_entry().len(),
                "plugins ran too long on several entries of a batch: their accounts are worked \
                 on apart from the others, entry by entry"
            );
            turns.give_up(turn, overrun.by_entry());
            return Ok(Next::Parted);
        }
        Ok(Next::Ready(Batch { parts, turn }))
    }
}
