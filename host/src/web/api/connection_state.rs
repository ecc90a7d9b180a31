//! How a connection stands.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::users::{self, ListedUser};
use crate::{
    host::Host,
    model::{
        self, AccountKey, ConnectionId, ObjectMapping, ObjectType, Problem, PropertyName, RunKind,
        Status, Timestamp,
    },
    pipeline::brake,
    sources::Source,
    store::{
        self, Tx,
        proofs::{self, Differing},
        runs::LastCatchUp,
    },
    sync::{
        health::held_runs,
        journal::{Service, is_seen},
        runs::schedule::again_at,
    },
};

/// One account connected to the project.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The connector.
    #[schema(example = "hubspot")]
    pub connector: String,
    /// Whether it works.
    pub status: Status,
    /// The account; none until an admin consents.
    pub account: Option<Account>,
    /// What was consented to.
    pub scopes: Vec<String>,
    /// What is wrong, when something is; or what it asks, where its brake, or that of a
    /// sync, holds what would take values from many users (`braked`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Some of those whose values its brake holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_users: Vec<ListedUser>,
    /// How changes come, by object type.
    pub live: Vec<Live>,
    /// How long the last day's changes took from HubSpot to users.
    pub freshness: Freshness,
    /// What is used of the account's request limit; none until an admin
    /// consents, and of a source that is never asked.
    pub budget: Option<Budget>,
    /// When a delivery was last taken in.
    pub last_delivery_at: Option<Timestamp>,
    /// When recent changes were last scanned.
    pub last_catch_up_at: Option<Timestamp>,
    /// What keeps catch-ups from being complete; none where the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_catch_ups: Option<FailedCatchUps>,
    /// When all records were last read.
    pub last_full_sync_at: Option<Timestamp>,
    /// What came of comparing a sample of the users' values with what HubSpot
    /// says, after the last catch-up; none before it.
    pub proof: Option<Proof>,
    /// What was done since the connection was made.
    pub counts: Counts,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// The account of a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    /// The source's id of it.
    #[schema(value_type = String)]
    pub id: AccountKey,
    /// The customer's domain, where HubSpot says it.
    pub domain: Option<String>,
}

/// A way by which changes of an object type come.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// `webhooks`, `journal` or `catch_up`.
    pub way: &'static str,
    /// The object type.
    pub object_type: ObjectType,
    /// The properties whose changes come by it.
    pub properties: Vec<PropertyName>,
    /// Why this way.
    pub why: String,
}

/// How long changes took, from HubSpot's stamp to our write; none where nothing
/// changed in a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Freshness {
    /// Half of them took no longer.
    pub p50_seconds: Option<f64>,
    /// 95 of 100 took no longer.
    pub p95_seconds: Option<f64>,
}

/// What is used of a request limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Budget {
    /// Our calls in the present window.
    pub used: u32,
    /// Calls that we allow ourselves in it, beside those of other apps.
    pub allowed: u32,
    /// When nothing of it is used any more.
    pub resets_at: Timestamp,
    /// The window: `day` where HubSpot tells a daily limit, else `ten_seconds`.
    pub per: &'static str,
}

/// Catch-ups that failed, one after the other.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedCatchUps {
    /// How many.
    pub count: u32,
    /// What of the last one could not be done.
    pub problem: Option<Problem>,
    /// When the next one is tried at the latest, unless something needs somebody.
    pub next_at: Timestamp,
}

/// A sample of users' values, compared with what HubSpot says.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proof {
    /// When.
    pub at: Timestamp,
    /// Values that were compared.
    pub compared: u64,
    /// Values that equal HubSpot's.
    pub equal: u64,
    /// Those that do not, and why; the first hundred.
    pub differing: Vec<Differing>,
}

/// What was done, counted.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Counts {
    /// Records by outcome, and other counts.
    #[serde(flatten)]
    pub done: BTreeMap<String, i64>,
    /// Records of which something was left out, by reason.
    pub skipped: BTreeMap<String, i64>,
}

/// What the store has of a connection.
pub struct State {
    connection: model::Connection,
    domain: Option<String>,
    scopes: Vec<String>,
    mappings: Vec<ObjectMapping>,
    freshness: Vec<Option<f64>>,
    last_delivery_at: Option<Timestamp>,
    last_catch_up_at: Option<Timestamp>,
    last_catch_up: Option<LastCatchUp>,
    last_full_sync_at: Option<Timestamp>,
    proof: Option<proofs::Proof>,
    counts: BTreeMap<String, i64>,
    question: Option<Problem>,
    held_users: Vec<ListedUser>,
}

/// Reads how a connection stands.
pub fn load(
    tx: &Tx<'_>,
    connection: model::Connection,
    now: Timestamp,
) -> Result<State, store::Error> {
    let id = connection.id;
    let (domain, scopes) = match &connection.account {
        None => (None, Vec::new()),
        Some((account, _)) => (
            tx.account(*account)?.domain,
            tx.grant(*account)?
                .map_or_else(Vec::new, |grant| grant.scopes),
        ),
    };
    let held = tx.held(id, brake::EXAMPLES_MAX)?;
    let held = held.map(|held| held.examples).unwrap_or_default();
    Ok(State {
        held_users: users::listed(tx, connection.project, held)?,
        domain,
        scopes,
        mappings: tx.mappings(id)?,
        freshness: tx.freshness(id, now, &[0.5, 0.95])?,
        last_delivery_at: tx.last_delivery(id)?,
        last_catch_up_at: tx.last_completed_run(id, Some(RunKind::CatchUp))?,
        last_catch_up: tx.last_catch_up(id)?,
        last_full_sync_at: tx.last_completed_run(id, Some(RunKind::Full))?,
        proof: tx.last_proof(id)?,
        counts: tx.counts(id)?,
        question: question(tx, &connection)?,
        connection,
    })
}

/// What a connection asks, where its brake holds something, or that of a run does.
fn question(tx: &Tx<'_>, connection: &model::Connection) -> Result<Option<Problem>, store::Error> {
    if let Some(question) = brake::question(tx, connection.id)? {
        return Ok(Some(question));
    }
    let runs = held_runs(tx, connection)?;
    Ok(runs.into_iter().find_map(|run| run.held))
}

impl State {
    /// What is shown of it.
    pub fn shown(self, host: &Host) -> Connection {
        let State { connection, .. } = self;
        let source = Source::of(&connection.connector);
        let account = connection.account.as_ref().filter(|_| source.is_read());
        let budget = account.map(|(_, key)| budget(host, key));
        let stopped = connection
            .problem
            .as_ref()
            .is_some_and(|problem| problem.stops_calls());
        let live = if connection.status.takes_changes() && !stopped {
            let key = connection.account.as_ref().map(|(_, key)| key);
            let scanned_at = self.last_catch_up_at.max(self.last_full_sync_at);
            let ways = |mapping| match source {
                Source::HubSpot => ways(host, key, mapping, scanned_at),
                Source::Push => vec![pushed(mapping)],
            };
            self.mappings.iter().flat_map(ways).collect()
        } else {
            Vec::new()
        };
        let seconds = |index: usize| {
            let seconds = self.freshness.get(index).copied().flatten();
            seconds.map(|seconds| (seconds * 1_000.0).round() / 1_000.0)
        };
        Connection {
            id: connection.id,
            connector: connection.connector,
            status: connection.status,
            account: connection.account.map(|(_, key)| Account {
                id: key,
                domain: self.domain,
            }),
            scopes: self.scopes,
            // What it cannot go on without comes first.
            problem: connection.problem.or(self.question),
            held_users: self.held_users,
            live,
            freshness: Freshness {
                p50_seconds: seconds(0),
                p95_seconds: seconds(1),
            },
            budget,
            last_delivery_at: self.last_delivery_at,
            last_catch_up_at: self.last_catch_up_at,
            failed_catch_ups: self.last_catch_up.and_then(|last| {
                again_at(&last).map(|next_at| FailedCatchUps {
                    count: last.failures,
                    problem: last.problem,
                    next_at,
                })
            }),
            last_full_sync_at: self.last_full_sync_at,
            proof: self.proof.map(|proof| Proof {
                at: proof.at,
                compared: proof.compared,
                equal: proof.equal,
                differing: proof.differing,
            }),
            counts: counts(self.counts),
            created_at: connection.created_at,
        }
    }
}

/// How records come of a source that only pushes.
fn pushed(mapping: &ObjectMapping) -> Live {
    Live {
        way: "webhooks",
        object_type: mapping.object_type.clone(),
        properties: mapping.told_properties().into_iter().collect(),
        why: "The source pushes whole records when they change. Nothing can be read from it: a \
              user who comes later is filled by the next push."
            .to_owned(),
    }
}

/// The ways by which changes of an object type come: HubSpot's push, and its
/// journal or what takes its place. `scanned_at` is when a scan of what had changed
/// began last.
fn ways(
    host: &Host,
    account: Option<&AccountKey>,
    mapping: &ObjectMapping,
    scanned_at: Option<Timestamp>,
) -> Vec<Live> {
    let of = &mapping.object_type;
    let live = |way, properties: BTreeSet<PropertyName>, why: String| Live {
        way,
        object_type: of.clone(),
        properties: properties.into_iter().collect(),
        why,
    };
    let mapped = mapping.told_properties();
    let pushed = "HubSpot pushes the changes of those properties that the app subscribes to.";
    let mut ways = vec![live("webhooks", mapped.clone(), pushed.to_owned())];
    let Some(account) = account else {
        return ways;
    };
    let told = host.journal.told(account, of);
    match (host.journal.service(account), told) {
        (Service::Refused(reason), _) => {
            let why = format!(
                "HubSpot’s journal is not read, for {reason}. Recent changes are looked for every \
                 few minutes instead."
            );
            ways.push(live("catch_up", mapped, why));
        }
        (service, Some(told)) => {
            let mut why =
                "HubSpot’s journal tells all changes of these properties within seconds, also \
                 those of the account’s own properties."
                    .to_owned();
            if let Service::Failing(reason) = service {
                why = format!(
                    "HubSpot’s journal tells the changes of these properties. It cannot be read \
                     now, and is tried again: {reason}."
                );
            }
            if let Some((found_at, reason)) = host.journal.gap()
                && !is_seen(found_at, scanned_at)
            {
                why = format!("{why} But {reason}.");
            }
            let properties = told.intersection(&mapped).cloned().collect();
            ways.push(live("journal", properties, why));
        }
        (Service::Failing(reason), None) => {
            let why = format!(
                "HubSpot’s journal tells nothing yet. It cannot be used now, and is tried again: \
                 {reason}."
            );
            ways.push(live("journal", BTreeSet::new(), why));
        }
        // It is said once it is known.
        (Service::Unknown | Service::Works, None) => {}
    }
    ways
}

fn budget(host: &Host, account: &AccountKey) -> Budget {
    let (window, day) = host.hubspot.budgets().of(account).usage();
    let (usage, per) = match day {
        Some(day) => (day, "day"),
        None => (window, "ten_seconds"),
    };
    Budget {
        used: usage.used,
        allowed: usage.allowed,
        resets_at: usage.resets_at,
        per,
    }
}

fn counts(all: BTreeMap<String, i64>) -> Counts {
    let mut counts = Counts::default();
    for (name, count) in all {
        match name.strip_prefix("skipped.") {
            Some(reason) => counts.skipped.insert(reason.to_owned(), count),
            // Told by its reasons.
            None if name == "skipped" => None,
            None => counts.done.insert(name, count),
        };
    }
    counts
}
