//! Works through the log: what waits becomes batches, and each batch one
//! transaction.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    apply::apply_changes,
    brake,
    erasures::apply_erasures,
    pages::apply_pushed,
    prepare::{Prepared, Purpose, prepare},
    report::Origin,
    routing::Routing,
    turns::{Turn, Turns},
};
use crate::{
    clock::Clock,
    log::{self, EntryKind, EventLog, Logged, Position, Step},
    model::Timestamp,
    plugin::{Fault, Plugins, Serving},
    secrets::Keys,
    store::{self, Store, set_aside::SetAside},
    telemetry::{Metrics, spawn_blocking},
};

/// How long to wait after a failure, and how much longer after each further.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The longest wait after a failure.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often the log is looked at when nothing says that it moved.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a batch could not be worked on. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The host cannot run plugins.
    #[error(transparent)]
    Plugin(#[from] Fault),
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}

/// Entries of the log, ready to be applied.
struct Batch {
    /// What comes of them, connector by connector.
    parts: Vec<Part>,
    /// The configuration that it was prepared under.
    configuration: i64,
    /// What it is made of.
    turn: Turn,
}

/// What comes of a connector's entries.
struct Part {
    connector: String,
    prepared: Prepared,
    /// The plugin version that prepared them, by digest.
    plugin: String,
}

/// A batch that is being applied.
struct Applying {
    turn: Turn,
    task: JoinHandle<Result<Vec<Part>, store::Error>>,
}

/// The pipeline of one host.
pub struct Pipeline {
    pub(super) store: Arc<Store>,
    log: Arc<EventLog>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) keys: Arc<Keys>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    brake_share: f64,
    routing: Mutex<Arc<Routing>>,
    applied: watch::Sender<Position>,
    changed: watch::Sender<u64>,
    failing: watch::Sender<bool>,
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

    /// Whether the last batch could not be worked on.
    pub fn is_failing(&self) -> bool {
        *self.failing.borrow()
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

    /// What to do about a transaction that was undone: where the brake of a
    /// connection undid it, the same again ([`store::Error::ConfigurationChanged`]),
    /// for what may be done and what is held is decided now.
    pub async fn braked(&self, error: store::Error) -> store::Error {
        let store::Error::BrakedLive { connection, lost } = error else {
            return error;
        };
        let (share, now) = (self.brake_share, self.clock.now());
        let allowed = self
            .store
            .read(move |tx| brake::allowed(tx, connection, share, now))
            .await;
        let allowed = match allowed {
            Ok(allowed) => allowed,
            Err(error) => return error,
        };
        let decide = move |tx: &store::Tx<'_>| brake::decide(tx, connection, (lost, allowed), now);
        match self.store.transact(decide).await {
            Err(error) => return error,
            Ok(true) => tracing::warn!(
                %connection, lost,
                "what comes live would take values from many users: it is held, and asks"
            ),
            Ok(false) => {}
        }
        self.notify_changed();
        store::Error::ConfigurationChanged
    }

    /// Works until it is told to stop; a batch under way is finished first.
    pub async fn run(&self, stop: CancellationToken) {
        let mut pause = RETRY_PAUSE;
        while !stop.is_cancelled() {
            let Err(error) = self.work(&stop, &mut pause).await else {
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

    /// Works through the log, batch by batch, until it is told to stop or a
    /// batch fails. While one is applied, the next is prepared; but not while
    /// several accounts are at work, for whoever comes then would wait for both.
    async fn work(&self, stop: &CancellationToken, pause: &mut Duration) -> Result<(), Error> {
        let mut tail = self.log.tail();
        let mut turns = Turns::new(self.store.read(|tx| tx.log_place()).await?);
        self.applied.send_replace(turns.taken());
        let mut applying: Option<Applying> = None;
        loop {
            if turns.is_shared(self.clock.now())
                && let Some(outdated) = self.finish(applying.take(), pause).await?
            {
                turns.put_back(outdated);
            }
            let next = if stop.is_cancelled() {
                Ok(None)
            } else {
                self.next_batch(&mut turns).await
            };
            let waited = applying.is_some();
            let outdated = self.finish(applying.take(), pause).await?;
            let Some(batch) = next? else {
                match outdated {
                    Some(outdated) => turns.put_back(outdated),
                    None if stop.is_cancelled() => return Ok(()),
                    None => self.rest(&turns, &mut tail, stop, pause).await,
                }
                continue;
            };
            if let Some(outdated) = outdated {
                turns.put_back(batch.turn);
                turns.put_back(outdated);
                continue;
            }
            if waited {
                self.hear(&mut turns).await?;
                if turns.is_shared(self.clock.now()) {
                    // Somebody came while the last was applied: this is too long.
                    turns.put_back(batch.turn);
                    continue;
                }
            }
            applying = Some(self.apply(batch));
        }
    }

    /// Nothing waits: rests until something is appended.
    async fn rest(
        &self,
        turns: &Turns,
        tail: &mut watch::Receiver<Position>,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) {
        *pause = RETRY_PAUSE;
        self.applied.send_replace(turns.taken());
        self.failing.send_replace(false);
        tokio::select! {
            _ = tail.changed() => {}
            // What is appended for a sender who goes away is not announced.
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Waits until a batch is applied. Returns what it was made of where it was
    /// not, for connections or mappings have changed, or a connection is held now.
    async fn finish(
        &self,
        applying: Option<Applying>,
        pause: &mut Duration,
    ) -> Result<Option<Turn>, Error> {
        let Some(Applying { turn, task }) = applying else {
            return Ok(None);
        };
        let parts = match task.await.map_err(|_| Error::Ended)? {
            Err(error) => match self.braked(error).await {
                store::Error::ConfigurationChanged => return Ok(Some(turn)),
                error => return Err(error.into()),
            },
            Ok(parts) => parts,
        };
        // A batch that is tried again counts once.
        self.metrics.batch(parts.iter().map(|part| &part.prepared));
        self.applied.send_replace(turn.step.up_to);
        self.failing.send_replace(false);
        self.notify_changed();
        *pause = RETRY_PAUSE;
        Ok(None)
    }

    /// Hears of what was appended.
    async fn hear(&self, turns: &mut Turns) -> Result<(), Error> {
        let more = self.log.list(turns.heard(), turns.room()).await?;
        turns.hear(more, self.clock.now());
        Ok(())
    }

    /// What waits in the log and whose turn it is, as one batch.
    async fn next_batch(&self, turns: &mut Turns) -> Result<Option<Batch>, Error> {
        self.hear(turns).await?;
        let Some(turn) = turns.take(self.clock.now()) else {
            return Ok(None);
        };
        let positions = turn.entries.iter().map(|entry| entry.position).collect();
        let entries = self.log.read_at(positions).await?;
        let routing = self.routing().await?;
        let mut parts = Vec::new();
        for (connector, entries) in by_connector(entries) {
            parts.push(match self.plugins.of(&connector) {
                Ok(versions) => {
                    let serving = versions.serving();
                    Part {
                        plugin: serving.active().digest().to_owned(),
                        prepared: self
                            .prepare(routing.clone(), serving, entries, Purpose::Live)
                            .await?,
                        connector,
                    }
                }
                Err(_) => nobodys(connector, entries),
            });
        }
        Ok(Some(Batch {
            parts,
            configuration: routing.configuration,
            turn,
        }))
    }

    /// Begins to apply a batch. It is done, whoever waits for it.
    fn apply(&self, batch: Batch) -> Applying {
        let (store, keys, now) = (self.store.clone(), self.keys.clone(), self.clock.now());
        let Batch {
            parts,
            configuration,
            turn,
        } = batch;
        let step = turn.step.clone();
        let applying = async move {
            let apply = move |tx: &store::Tx<'_>| {
                if tx.configuration()? != configuration {
                    return Err(store::Error::ConfigurationChanged);
                }
                for part in &parts {
                    apply(tx, &keys, part, &step, now)?;
                }
                tx.move_log_place(&step)?;
                Ok(parts)
            };
            store.transact_much(apply).await
        };
        let task = tokio::spawn(applying.in_current_span());
        Applying { turn, task }
    }

    pub(super) async fn prepare(
        &self,
        routing: Arc<Routing>,
        serving: Serving,
        entries: Vec<Logged>,
        purpose: Purpose,
    ) -> Result<Prepared, Error> {
        spawn_blocking(move || prepare(&routing, &serving, &entries, purpose))
            .await
            .map_err(|_| Error::Ended)?
            .map_err(Error::from)
    }
}

/// Entries by their connectors, each in their order: mostly there is one.
fn by_connector(entries: Vec<Logged>) -> Vec<(String, Vec<Logged>)> {
    let mut all: Vec<(String, Vec<Logged>)> = Vec::new();
    for entry in entries {
        match all.iter_mut().find(|(of, _)| *of == entry.connector) {
            Some((_, known)) => known.push(entry),
            None => all.push((entry.connector.clone(), vec![entry])),
        }
    }
    all
}

/// Entries of a connector of which no plugin runs: they are set aside, for one may
/// again.
fn nobodys(connector: String, entries: Vec<Logged>) -> Part {
    let set_aside = entries.into_iter().map(|entry| SetAside {
        position: entry.position,
        kind: entry.kind,
        reason: format!("no plugin of the connector {} runs here", entry.connector),
        connector: entry.connector,
        account: None,
        plugin: None,
        body: entry.body,
    });
    Part {
        connector,
        // It knew of no erasure: they are searched for when a plugin runs.
        prepared: Prepared {
            set_aside: set_aside.collect(),
            ..Prepared::default()
        },
        plugin: String::new(),
    }
}

fn apply(
    tx: &store::Tx<'_>,
    keys: &Keys,
    part: &Part,
    step: &Step,
    now: Timestamp,
) -> Result<(), store::Error> {
    let Part {
        connector,
        prepared,
        plugin,
    } = part;
    let reached = step.lanes.iter().map(|(_, position)| *position).max();
    let reached = reached.unwrap_or_default().max(step.up_to);
    apply_told(tx, keys, prepared, plugin, reached, now)?;
    if tx.newest_erasure()? != prepared.newest_erasure {
        tx.extend_erasures(connector, prepared.newest_erasure, reached)?;
    }
    for position in &prepared.late {
        tx.add_late_entry(*position)?;
    }
    for what in &prepared.set_aside {
        tx.set_aside(what, now)?;
    }
    Ok(())
}

/// Applies what was told, by a version, of entries of the log up to `reached`:
/// what is to be erased first.
pub(super) fn apply_told(
    tx: &store::Tx<'_>,
    keys: &Keys,
    prepared: &Prepared,
    plugin: &str,
    reached: Position,
    now: Timestamp,
) -> Result<(), store::Error> {
    if !prepared.erasures.is_empty() {
        // What others applied out of turn did not know of them either.
        let last = tx.log_place()?.last().max(reached);
        for told in &prepared.erasures {
            apply_erasures(tx, told, last, &origin(told.kind, &told.plugin), now)?;
        }
    }
    for told in &prepared.connections {
        let (account, connection) = (&told.account, told.route.id);
        let _in_span = tracing::error_span!("connection", %account, %connection).entered();
        tracing::debug!(changes = told.changes.len(), "changes are applied");
        let origin = origin(told.kind, plugin);
        apply_changes(tx, told, &origin.of(&told.route), prepared.purpose, now)?;
    }
    let origin = origin(EntryKind::Delivery, plugin);
    for pushed in &prepared.pushed {
        apply_pushed(tx, keys, pushed, &origin, prepared.purpose, now)?;
    }
    Ok(())
}

/// Where lines about what came in an entry of a kind come from.
fn origin(kind: EntryKind, plugin: &str) -> Origin {
    Origin {
        word: match kind {
            EntryKind::Delivery => "webhook",
            EntryKind::JournalFile => "journal",
        },
        plugin: Some(plugin.to_owned()),
    }
}
