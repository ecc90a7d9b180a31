//! A batch: entries of the log, prepared connector by connector, and applied in the
//! one transaction that moves the place in the log.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Pipeline,
    apply::apply_changes,
    erasures::apply_erasures,
    pages::apply_pushed,
    prepare::{Overrun, Prepared, Purpose, prepare},
    report::Origin,
    routing::Routing,
    turns::Turn,
    worker::Error,
};
use crate::{
    log::{EntryKind, Logged, Position, Step},
    model::Timestamp,
    plugin::Serving,
    secrets::Keys,
    store::{self, set_aside::SetAside},
    telemetry::spawn_blocking,
};

/// Entries of the log, ready to be applied.
pub(super) struct Batch {
    /// What comes of them, connector by connector.
    pub parts: Vec<Part>,
    /// What it is made of.
    pub turn: Turn,
}

/// What comes of a connector's entries.
pub(super) struct Part {
    /// The connector, by name.
    pub connector: String,
    /// What is to be applied.
    pub prepared: Prepared,
    /// The plugin version that prepared them, by digest.
    plugin: String,
}

/// A batch that is being applied.
pub(super) struct Applying {
    /// What it is made of.
    pub turn: Turn,
    /// Ends with what was applied.
    pub task: JoinHandle<Result<Vec<Part>, store::Error>>,
    /// Is cancelled when that has ended.
    pub ended: CancellationToken,
}

impl Pipeline {
    /// What comes of the entries whose turn it is, and for how long plugins ran too long
    /// on them: where that is given up, not all of them were worked on.
    pub(super) async fn prepare_turn(
        &self,
        routing: Arc<Routing>,
        turn: &Turn,
    ) -> Result<(Vec<Part>, Overrun), Error> {
        let positions = turn.entries.iter().map(|entry| entry.position).collect();
        let entries = self.log.read_at(positions).await?;
        let mut overrun = Overrun::of(entries.len());
        let mut parts = Vec::new();
        for (connector, entries) in by_connector(entries) {
            let Ok(versions) = self.plugins.of(&connector) else {
                parts.push(nobodys(connector, entries));
                continue;
            };
            let serving = versions.serving();
            let plugin = serving.active().digest().to_owned();
            let how = (Purpose::Live, overrun);
            let mut prepared = self.prepare(routing.clone(), serving, entries, how).await?;
            overrun = std::mem::take(&mut prepared.overrun);
            if overrun.is_given_up() {
                break;
            }
            parts.push(Part {
                connector,
                prepared,
                plugin,
            });
        }
        Ok((parts, overrun))
    }

    /// Begins to apply a batch. It is done, whoever waits for it.
    pub(super) fn apply(&self, batch: Batch) -> Applying {
        let (store, keys, now) = (self.store.clone(), self.keys.clone(), self.clock.now());
        let Batch { parts, turn } = batch;
        let step = turn.step.clone();
        let ended = CancellationToken::new();
        let ends = ended.clone().drop_guard();
        let applying = async move {
            let _ends = ends;
            let apply = move |tx: &store::Tx<'_>| {
                for part in &parts {
                    if !is_as_prepared(tx, &part.prepared)? {
                        return Err(store::Error::Outdated);
                    }
                    apply(tx, &keys, part, &step, now)?;
                }
                tx.move_log_place(&step)?;
                Ok(parts)
            };
            store.transact_logged(apply).await
        };
        let task = tokio::spawn(applying.in_current_span());
        Applying { turn, task, ended }
    }

    pub(super) async fn prepare(
        &self,
        routing: Arc<Routing>,
        serving: Serving,
        entries: Vec<Logged>,
        how: (Purpose, Overrun),
    ) -> Result<Prepared, Error> {
        spawn_blocking(move || prepare(&routing, &serving, &entries, how))
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

/// Whether the accounts that it was prepared for want what they did then. What came
/// before others were connected is not for them.
pub(super) fn is_as_prepared(
    tx: &store::Tx<'_>,
    prepared: &Prepared,
) -> Result<bool, store::Error> {
    for (account, configuration) in &prepared.configurations {
        if !tx.is_configuration(*account, *configuration)? {
            return Ok(false);
        }
    }
    Ok(true)
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
