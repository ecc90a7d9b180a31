//! From bytes to what is said to the store: split by account, parsed and
//! converted by the plugin, told to each connection in its own terms.
//!
//! A plugin's fault fails one pass alone: it is tried again body by body, and
//! the body that faults again is set aside, with its bytes and the reason. A batch in
//! which plugins ran too long several times is given up, for its entries to be worked on
//! apart: so what others wait for takes seconds, whatever a plugin does.

mod faults;
mod pushed;
mod split;
mod tell;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub use faults::Overrun;
use faults::run;
pub use pushed::Pushed;
use pushed::{ToldPushed, tell_pushed};
use split::{Part, passes, split_entry};
use tell::tell;

use super::{
    erasures::{AccountErasures, Erasure},
    routing::{AccountRoute, ConnectionRoute, FieldPlace, Routing},
};
use crate::{
    log::{EntryKind, Logged, Position},
    model::{AccountId, AccountKey, Change, ChangeKind, ObjectType, RecordId, Timestamp},
    plugin::{
        BodyKind, Description, Element, Fault, Interest, Outcome, Pass, PassOutput, Serving,
        Version, join,
    },
    store::set_aside::SetAside,
};

/// A change, in a connection's terms.
#[derive(Clone, Debug)]
pub struct Told {
    /// The record's type.
    pub object_type: ObjectType,
    /// The record.
    pub record: RecordId,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
    /// Whether match keys depend on the property that changed.
    pub matching: bool,
    /// What the property's text becomes, field by field.
    pub outcomes: Vec<(FieldPlace, Outcome)>,
}

/// What a batch tells one connection.
#[derive(Debug)]
pub struct ToldConnection {
    /// Its account.
    pub account: AccountKey,
    /// The connection.
    pub route: Arc<ConnectionRoute>,
    /// What the changes came in.
    pub kind: EntryKind,
    /// The changes, in the order they came.
    pub changes: Vec<Told>,
    /// When the newest of its deliveries was received.
    pub received_at: Timestamp,
}

/// Why entries are worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// They came, and wait in the log.
    #[default]
    Live,
    /// They were set aside, and somebody asks for them again.
    Replay,
    /// They are only looked at: nothing of it is applied, counted or logged.
    Shadow,
}

/// Runs a pass.
pub type Run<'a> = &'a dyn Fn(&Pass<'_>) -> Result<PassOutput, Fault>;

/// Runs a version's pass.
pub type RunBy<'a> = &'a dyn Fn(&Version, &Pass<'_>) -> Result<PassOutput, Fault>;

/// A batch, ready to be applied.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Why it is worked on.
    pub purpose: Purpose,
    /// What each connection is told.
    pub connections: Vec<ToldConnection>,
    /// The records that sources pushed that answer no reads.
    pub pushed: Vec<Pushed>,
    /// The records to be erased, account by account.
    pub erasures: Vec<AccountErasures>,
    /// The accounts whose routes it was prepared by, each with the number of its
    /// configuration.
    pub configurations: BTreeMap<AccountId, i64>,
    /// The number of the newest erasure that was known.
    pub newest_erasure: i64,
    /// Entries that tell of records that were erased before.
    pub late: Vec<Position>,
    /// What could not be worked on.
    pub set_aside: Vec<SetAside>,
    /// Which of that the plugin refused, element by element: it was understood as a
    /// whole.
    pub refused: Vec<usize>,
    /// Of a replay, elements of accounts all of whose connections are paused: they
    /// wait until there is somebody to tell.
    pub unheard: Vec<(AccountKey, Vec<u8>)>,
    /// How many events were of accounts that nothing is connected to.
    pub unknown_account_events: u64,
    /// How many events there were.
    pub events: u64,
    /// For how long plugins ran too long, this and what was prepared before it of the
    /// same batch.
    pub overrun: Overrun,
}

/// Prepares entries of the log, all of them of the plugin's own connector. Fails only
/// where the host cannot run plugins.
pub fn prepare(
    routing: &Routing,
    serving: &Serving,
    entries: &[Logged],
    (purpose, overrun): (Purpose, Overrun),
) -> Result<Prepared, Fault> {
    prepare_by(
        routing,
        serving,
        entries,
        (purpose, overrun),
        &|plugin, pass| match purpose {
            Purpose::Live => plugin.run(pass),
            Purpose::Replay | Purpose::Shadow => plugin.run_again(pass),
        },
    )
}

/// [`prepare`], by whoever runs the versions' passes. Bodies are split as the active
/// version says.
pub fn prepare_by(
    routing: &Routing,
    serving: &Serving,
    entries: &[Logged],
    (purpose, overrun): (Purpose, Overrun),
    pass: RunBy<'_>,
) -> Result<Prepared, Fault> {
    let mut prepared = Prepared {
        purpose,
        newest_erasure: routing.erased.newest,
        overrun,
        ..Prepared::default()
    };
    let plugin = serving.active();
    for kind in [EntryKind::Delivery, EntryKind::JournalFile] {
        let mut accounts: BTreeMap<AccountKey, Vec<Part<'_>>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.kind == kind) {
            split_entry(routing, plugin, entry, &mut accounts, &mut prepared);
        }
        for (account, parts) in accounts {
            let Some(account_route) = routing.account(plugin.connector(), &account) else {
                prepared.unknown_account_events += parts
                    .iter()
                    .map(|part| part.elements.len() as u64)
                    .sum::<u64>();
                continue;
            };
            let configuration = (account_route.id, account_route.configuration);
            prepared.configurations.extend([configuration]);
            let _in_span = tracing::error_span!("passes", %account).entered();
            for parts in passes(parts, plugin.elements_bytes_max()) {
                let served = account_route.served();
                let active_hears = served.iter().any(|(trial, _)| trial.is_none());
                let is_heard = !account_route.connections.is_empty();
                for (trial, route) in served {
                    let plugin = serving.of(trial);
                    let of = Of {
                        route,
                        plugin,
                        kind,
                        is_tried: trial.is_some() && active_hears,
                        is_heard,
                    };
                    let pass = |one: &Pass<'_>| pass(plugin, one);
                    run(of, &parts, &pass, &mut prepared)?;
                    if prepared.overrun.is_given_up() {
                        return Ok(prepared);
                    }
                }
            }
        }
    }
    Ok(prepared)
}

/// Whose entries are worked on, by which version, and what they are.
#[derive(Clone, Copy)]
struct Of<'a> {
    route: &'a AccountRoute,
    plugin: &'a Version,
    kind: EntryKind,
    /// Whether the active version hears of the account as well, and this one speaks
    /// for its own connections alone.
    is_tried: bool,
    /// Whether any of the account's connections is told of it, by whatever version.
    is_heard: bool,
}

fn try_run(
    of: Of<'_>,
    parts: &[Part<'_>],
    pass: Run<'_>,
    prepared: &mut Prepared,
) -> Result<(), Fault> {
    let Of {
        route,
        plugin,
        kind,
        ..
    } = of;
    let elements: Vec<(&Logged, &Element<'_>)> = parts
        .iter()
        .flat_map(|part| part.elements.iter().map(|element| (part.entry, element)))
        .collect();
    let received_at = parts
        .iter()
        .map(|part| part.entry.received_at)
        .max()
        .unwrap_or_default();
    let bytes = join(elements.iter().map(|(_, element)| element.bytes));
    // Whole records are told by passes of their own, with all that they say.
    let is_pushed = !route.is_read();
    let interests = match is_pushed {
        false => interests(route, plugin.description()),
        true => Cow::Owned(happenings(plugin.description())),
    };
    let output = pass(&Pass {
        body: match kind {
            EntryKind::Delivery => BodyKind::Delivery,
            EntryKind::JournalFile => BodyKind::JournalFile,
        },
        elements: &bytes,
        element_count: elements.len(),
        received_at,
        interests: &interests,
        conversions: if is_pushed { &[] } else { &route.conversions },
        rules: &[],
    })?;
    let mut pushed = ToldPushed::default();
    if is_pushed && !route.connections.is_empty() {
        pushed = tell_pushed(route, &elements, &bytes, received_at, pass)?;
    }
    erasures(of, &elements, &output.changes, prepared);
    if route.connections.is_empty() {
        // Paused, all of them: an admin wants nothing else of it now. What comes
        // then is caught up on; what was set aside before is nowhere else.
        if prepared.purpose == Purpose::Replay && !of.is_heard {
            let unheard = unheard(parts, &output.changes);
            let unheard = unheard.map(|body| (route.key.clone(), body));
            prepared.unheard.extend(unheard);
        }
        return Ok(());
    }
    let mut refused = HashSet::new();
    for refusal in output.refusals.iter().chain(&pushed.refusals) {
        if let Some((entry, element)) = elements.get(refusal.element)
            && refused.insert(refusal.element)
        {
            prepared.refused.push(prepared.set_aside.len());
            prepared.set_aside.push(set_aside(
                entry,
                Some(route.key.clone()),
                format!(
                    "the plugin could not understand the event: {}",
                    refusal.reason
                ),
                plugin,
                join(std::iter::once(element.bytes)),
            ));
        }
    }
    let PassOutput {
        mut changes,
        converted,
        ..
    } = output;
    if is_pushed {
        prepared.pushed.extend(pushed.pushed);
        // What a record says of itself says all that happened to it.
        changes.retain(|change| !pushed.is_told[change.element]);
    }
    let mut converted = converted.into_iter();
    for connection in &route.connections {
        let converted = converted.next().unwrap_or_default();
        let changes = tell(route, connection, &elements, &changes, converted);
        prepared.connections.push(ToldConnection {
            account: route.key.clone(),
            route: connection.clone(),
            kind,
            changes,
            received_at,
        });
    }
    Ok(())
}

/// The elements of each part that tell of more than a deletion for privacy.
fn unheard(parts: &[Part<'_>], changes: &[Change]) -> impl Iterator<Item = Vec<u8>> {
    let erasing = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Erased);
    let erasing: HashSet<usize> = erasing.map(|change| change.element).collect();
    let mut index = 0..;
    parts.iter().filter_map(move |part| {
        let elements = part.elements.iter().zip(&mut index);
        let left = elements.filter(|(_, index)| !erasing.contains(index));
        let left: Vec<_> = left.map(|(element, _)| element.bytes).collect();
        (!left.is_empty()).then(|| join(left.into_iter()))
    })
}

/// What is asked of a body: what the account's connections want, and of every
/// other type what happens to its records, for one may be deleted for privacy.
fn interests<'a>(route: &'a AccountRoute, description: &Description) -> Cow<'a, [Interest]> {
    let is_asked = |object_type: &&ObjectType| {
        let mut asked = route.interests.iter();
        asked.any(|interest| interest.object_type == **object_type)
    };
    let described = description.object_types.iter().map(|one| &one.name);
    let others = described.filter(|object_type| !is_asked(object_type));
    let others: Vec<_> = others
        .map(|object_type| Interest {
            object_type: object_type.clone(),
            properties: Vec::new(),
        })
        .collect();
    if others.is_empty() {
        Cow::Borrowed(&route.interests)
    } else {
        Cow::Owned([&route.interests[..], &others[..]].concat())
    }
}

/// What is asked of a delivery whose records are told by passes of their own: what
/// happens to records of every type.
fn happenings(description: &Description) -> Vec<Interest> {
    let described = description.object_types.iter();
    described
        .map(|described| Interest {
            object_type: described.name.clone(),
            properties: Vec::new(),
        })
        .collect()
}

/// Gathers what is told of records to be erased.
fn erasures(
    of: Of<'_>,
    elements: &[(&Logged, &Element<'_>)],
    changes: &[Change],
    prepared: &mut Prepared,
) {
    let told = changes.iter().filter_map(|change| {
        let (records, with) = match &change.kind {
            ChangeKind::Erased => {
                let (_, element) = elements.get(change.element)?;
                (vec![element.records.first()?.clone()], None)
            }
            // The survivor's erasure may have come first.
            ChangeKind::Merged(merge) => (merge.merged.clone(), Some(merge.survivor.clone())),
            _ => return None,
        };
        Some(Erasure {
            object_type: change.object_type.clone(),
            records,
            with,
            occurred_at: change.occurred_at,
        })
    });
    let told: Vec<Erasure> = told.collect();
    if told.is_empty() {
        return;
    }
    // All that a version tells of an account together, whatever it came in: one may
    // erase what another says became part of it.
    let (route, plugin) = (of.route, of.plugin.digest());
    let mut known = prepared.erasures.iter_mut();
    match known.find(|known| known.account == route.id && known.plugin == plugin) {
        Some(known) => known.erasures.extend(told),
        None => prepared.erasures.push(AccountErasures {
            account: route.id,
            connector: route.connector.clone(),
            key: route.key.clone(),
            plugin: plugin.to_owned(),
            is_tried: of.is_tried,
            kind: of.kind,
            erasures: told,
        }),
    }
}

fn set_aside(
    entry: &Logged,
    account: Option<AccountKey>,
    reason: String,
    plugin: &Version,
    body: Vec<u8>,
) -> SetAside {
    SetAside {
        position: Position(entry.position.0),
        kind: entry.kind,
        connector: entry.connector.clone(),
        account,
        reason,
        plugin: Some(plugin.digest().to_owned()),
        body,
    }
}
