//! Metrics: their names, units and meanings.

use std::{
    sync::atomic::{AtomicI64, AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    disk::Room,
    pipeline::{prepare::Prepared, replay::Replayed},
};

/// How a delivery was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnswerLabels {
    /// HTTP's status.
    pub status: u16,
}

/// How a call to the source ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// `ok`, or a word for the error.
    pub outcome: &'static str,
}

/// What live had missed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MissedLabels {
    /// The word for the kind.
    pub kind: &'static str,
}

/// Why another plugin version became active.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SwitchLabels {
    /// The word for it.
    pub why: &'static str,
}

/// How a pass of a plugin ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    connector: String,
    kind: &'static str,
}

/// How often passes of plugins ended in a fault; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PluginFaults(Family<FaultLabels, Counter>);

impl PluginFaults {
    /// A pass of a connector's plugin ended in a fault of this kind. Connectors are
    /// as few as operators run.
    pub fn count(&self, connector: &str, kind: &'static str) {
        let connector = connector.to_owned();
        self.0.get_or_create(&FaultLabels { connector, kind }).inc();
    }
}

/// What was looked for, so that alerts are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabels {
    of: &'static str,
}

/// How one request to HubSpot ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubspotCallLabels {
    call: &'static str,
    outcome: &'static str,
}

/// What a request to HubSpot was for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubspotKindLabels {
    call: &'static str,
}

/// How urgent a call to HubSpot was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HubspotTurnLabels {
    priority: &'static str,
}

/// Of a metric that is shown only while it is known.
type NoLabels = [(&'static str, &'static str); 0];

/// The metrics of HubSpot's client, over all accounts; clones are the same.
#[derive(Clone, Debug)]
pub struct HubspotMetrics {
    calls: Family<HubspotCallLabels, Counter>,
    call_seconds: Family<HubspotKindLabels, Histogram>,
    turn_seconds: Family<HubspotTurnLabels, Histogram>,
    day_left: Family<NoLabels, Gauge<f64, AtomicU64>>,
}

impl Default for HubspotMetrics {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            // To half a minute, the longest that a call may take.
            call_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.015, 2.0, 12))
            }),
            // To a minute and a half, the longest wait for a turn.
            turn_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 3.0, 12))
            }),
            day_left: Family::default(),
        }
    }
}

impl HubspotMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "hubspot_calls",
            "Requests to HubSpot, by what they were for and how they ended",
            self.calls.clone(),
        );
        registry.register_with_unit(
            "hubspot_call",
            "Time from a request to HubSpot to the end of its answer",
            Unit::Seconds,
            self.call_seconds.clone(),
        );
        registry.register_with_unit(
            "hubspot_turn_wait",
            "Time that a call waited for its account's budget",
            Unit::Seconds,
            self.turn_seconds.clone(),
        );
        registry.register_with_unit(
            "hubspot_day_left",
            "What is left of the day's calls that we allow ourselves, in the account that has \
             the least; absent while HubSpot tells of none",
            Unit::Ratios,
            self.day_left.clone(),
        );
    }

    /// A request ended: in `ok`, or in a word for the error.
    pub fn called(&self, call: &'static str, outcome: &'static str, after: Duration) {
        self.calls
            .get_or_create(&HubspotCallLabels { call, outcome })
            .inc();
        self.call_seconds
            .get_or_create(&HubspotKindLabels { call })
            .observe(after.as_secs_f64());
    }

    /// A call waited for its turn, whether it got it or not.
    pub fn waited(&self, priority: &'static str, wait: Duration) {
        self.turn_seconds
            .get_or_create(&HubspotTurnLabels { priority })
            .observe(wait.as_secs_f64());
    }

    /// What is left of the day, from 0 to 1, where any account knows.
    pub fn day_left(&self, left: Option<f64>) {
        match left {
            Some(left) => {
                self.day_left.get_or_create(&[]).set(left);
            }
            None => self.day_left.clear(),
        }
    }
}

/// The metrics of one host.
pub struct Metrics {
    registry: Registry,
    /// HubSpot's client.
    pub hubspot: HubspotMetrics,
    /// Deliveries answered, by status.
    pub deliveries: Family<AnswerLabels, Counter>,
    /// Seconds from a delivery's first byte to its answer, without what that is paced by.
    pub delivery_seconds: Histogram,
    /// Answers that waited, for their account sent much while others were at work.
    pub answers_paced: Counter,
    /// Connections that were closed to make room for others.
    pub connections_let_go: Counter,
    events: Counter,
    unknown_account_events: Counter,
    set_aside: Counter,
    replayed: Family<CallLabels, Counter>,
    /// Switches to another plugin version, by why.
    pub plugin_switches: Family<SwitchLabels, Counter>,
    /// Connectors that do not run the version that was chosen.
    pub plugin_fallback: Gauge<i64, AtomicI64>,
    /// Connectors whose active version fails too often, with none to go back to.
    pub plugins_failing: Gauge<i64, AtomicI64>,
    shadow_waiting: Gauge<u64, AtomicU64>,
    shadow_differences: Gauge<u64, AtomicU64>,
    shadow_work: Counter<f64, AtomicU64>,
    batches: Counter,
    /// Reads from the source, by outcome.
    pub reads: Family<CallLabels, Counter>,
    /// Look-ups of users at the source, by outcome.
    pub lookups: Family<CallLabels, Counter>,
    /// Entries of the log that wait for the pipeline.
    pub log_waiting: Gauge<i64, AtomicI64>,
    /// Accounts of which an entry of the log cannot be applied.
    pub accounts_stuck: Gauge<i64, AtomicI64>,
    /// Users' values that the connections' last proofs compared with the source,
    /// and those that were equal.
    pub proven: [Gauge<i64, AtomicI64>; 2],
    /// What the connections' last catch-ups found that live had missed, by kind.
    pub missed: Family<MissedLabels, Gauge<i64, AtomicI64>>,
    /// Connections that their brake holds.
    pub held_connections: Gauge<i64, AtomicI64>,
    /// Records that are not erased everywhere yet.
    pub erasures_waiting: Gauge<i64, AtomicI64>,
    /// For how many seconds the oldest of them is not.
    pub erasures_oldest: Gauge<i64, AtomicI64>,
    alert_looks: Family<LookLabels, Counter>,
    disk_free_bytes: Gauge<u64, AtomicU64>,
    disk_reserve_bytes: Gauge<u64, AtomicU64>,
    log_failing: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// Those of a host whose plugins count their faults there.
    pub fn new(plugin_faults: PluginFaults) -> Self {
        let mut registry = Registry::with_prefix("jimo_connect");
        registry.register(
            "plugin_faults",
            "Passes of plugins that ended in a fault, of bodies and of pages, by connector and \
             kind; not of what is worked on again, or compared",
            plugin_faults.0,
        );
        let hubspot = HubspotMetrics::default();
        hubspot.register(&mut registry);
        let deliveries = Family::default();
        registry.register(
            "deliveries",
            "Deliveries answered, by status",
            deliveries.clone(),
        );
        let delivery_seconds = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        registry.register_with_unit(
            "delivery",
            "Time from a delivery's arrival to its answer, without what that is paced by",
            Unit::Seconds,
            delivery_seconds.clone(),
        );
        let answers_paced = Counter::default();
        registry.register(
            "answers_paced",
            "Answers that waited, for their account sent much while others were at work",
            answers_paced.clone(),
        );
        let connections_let_go = Counter::default();
        registry.register(
            "connections_let_go",
            "Connections that kept us waiting longest, closed to make room for others",
            connections_let_go.clone(),
        );
        let events = Counter::default();
        registry.register("events", "Events taken from the log", events.clone());
        let unknown_account_events = Counter::default();
        registry.register(
            "unknown_account_events",
            "Events of accounts that nothing is connected to",
            unknown_account_events.clone(),
        );
        let set_aside = Counter::default();
        registry.register(
            "set_aside",
            "Bodies and events set aside, with their bytes and a reason",
            set_aside.clone(),
        );
        let replayed = Family::default();
        registry.register(
            "set_aside_replayed",
            "What was set aside and worked on again, by outcome",
            replayed.clone(),
        );
        let plugin_switches = Family::default();
        registry.register(
            "plugin_switches",
            "Switches to another plugin version: by an operator, back by one, or back by the host",
            plugin_switches.clone(),
        );
        let plugin_fallback = Gauge::default();
        registry.register(
            "plugin_fallback",
            "Connectors that do not run the plugin version that was chosen: a built-in one does, or none",
            plugin_fallback.clone(),
        );
        let plugins_failing = Gauge::default();
        registry.register(
            "plugins_failing",
            "Connectors whose active plugin version fails too often, with none to go back to",
            plugins_failing.clone(),
        );
        let shadow_waiting = Gauge::default();
        registry.register(
            "plugin_shadow_waiting",
            "Entries of the log that the plugin version that shadows the active one has not reached",
            shadow_waiting.clone(),
        );
        let shadow_differences = Gauge::default();
        registry.register(
            "plugin_shadow_differences",
            "How often what it makes of them differs from what the active version does",
            shadow_differences.clone(),
        );
        let shadow_work = Counter::default();
        registry.register_with_unit(
            "plugin_shadow_work",
            "Time that comparing plugin versions took of one core",
            Unit::Seconds,
            shadow_work.clone(),
        );
        let batches = Counter::default();
        registry.register("batches", "Transactions of the pipeline", batches.clone());
        let reads = Family::default();
        registry.register(
            "reads",
            "Calls that read from the source, by outcome",
            reads.clone(),
        );
        let lookups = Family::default();
        registry.register(
            "lookups",
            "Calls that look for users' records at the source, by outcome",
            lookups.clone(),
        );
        let log_waiting = Gauge::default();
        registry.register(
            "log_waiting",
            "Entries of the log after the first that is not done",
            log_waiting.clone(),
        );
        let accounts_stuck = Gauge::default();
        registry.register(
            "accounts_stuck",
            "Accounts of which an entry of the log cannot be applied, so that what came after it \
             waits",
            accounts_stuck.clone(),
        );
        let proven: [Gauge<i64, AtomicI64>; 2] = Default::default();
        registry.register(
            "proof_values",
            "Users' values that the connections' last proofs compared with the source",
            proven[0].clone(),
        );
        registry.register(
            "proof_values_equal",
            "Those of them that were equal to the source's",
            proven[1].clone(),
        );
        let missed = Family::default();
        registry.register(
            "missed",
            "Records that the connections' last catch-ups updated, for live had missed it; by kind",
            missed.clone(),
        );
        let held_connections = Gauge::default();
        registry.register(
            "connections_held",
            "Connections whose brake holds what would take values from many users",
            held_connections.clone(),
        );
        let erasures_waiting = Gauge::default();
        registry.register(
            "erasures_waiting",
            "Records that were deleted for privacy and are not erased everywhere yet",
            erasures_waiting.clone(),
        );
        let erasures_oldest = Gauge::default();
        registry.register_with_unit(
            "erasures_oldest",
            "For how long the oldest of them is not",
            Unit::Seconds,
            erasures_oldest.clone(),
        );
        let alert_looks = Family::default();
        registry.register(
            "alert_looks",
            "Looks for problems to be told, and for messages to be sent, that came to an end",
            alert_looks.clone(),
        );
        let disk_free_bytes = Gauge::default();
        registry.register_with_unit(
            "disk_free",
            "Room for deliveries: on the data directory's disk, and in the log's file",
            Unit::Bytes,
            disk_free_bytes.clone(),
        );
        let disk_reserve_bytes = Gauge::default();
        registry.register_with_unit(
            "disk_reserve",
            "Room that is left to the store: deliveries are refused while less is free",
            Unit::Bytes,
            disk_reserve_bytes.clone(),
        );
        let log_failing = Gauge::default();
        registry.register(
            "log_failing",
            "1 while the log cannot be written, else 0",
            log_failing.clone(),
        );
        Self {
            registry,
            hubspot,
            deliveries,
            delivery_seconds,
            answers_paced,
            connections_let_go,
            events,
            unknown_account_events,
            set_aside,
            replayed,
            plugin_switches,
            plugin_fallback,
            plugins_failing,
            shadow_waiting,
            shadow_differences,
            shadow_work,
            batches,
            reads,
            lookups,
            log_waiting,
            accounts_stuck,
            proven,
            missed,
            held_connections,
            erasures_waiting,
            erasures_oldest,
            alert_looks,
            disk_free_bytes,
            disk_reserve_bytes,
            log_failing,
        }
    }

    /// Counts what a batch of the pipeline holds.
    pub fn batch<'a>(&self, parts: impl Iterator<Item = &'a Prepared>) {
        self.batches.inc();
        for prepared in parts {
            self.events.inc_by(prepared.events);
            self.unknown_account_events
                .inc_by(prepared.unknown_account_events);
            self.set_aside.inc_by(prepared.set_aside.len() as u64);
        }
    }

    /// Counts something that was set aside and worked on again.
    pub fn replayed(&self, replayed: Replayed) {
        let outcome = match replayed {
            Replayed::Done => "done",
            Replayed::Stayed => "stayed",
        };
        self.replayed.get_or_create(&CallLabels { outcome }).inc();
    }

    /// Counts a look for alerts: for `problems`, or for `messages`.
    pub fn looked(&self, of: &'static str) {
        self.alert_looks.get_or_create(&LookLabels { of }).inc();
    }

    /// Takes over how far a shadow is, and what it found.
    pub fn shadow(&self, waiting: u64, differences: u64) {
        self.shadow_waiting.set(waiting);
        self.shadow_differences.set(differences);
    }

    /// Counts what a shadow worked.
    pub fn shadow_worked(&self, worked: Duration) {
        self.shadow_work.inc_by(worked.as_secs_f64());
    }

    /// Takes over how the disk is.
    pub fn disk(&self, room: Room, log_failing: bool) {
        self.disk_free_bytes.set(room.free_bytes);
        self.disk_reserve_bytes.set(room.reserve_bytes);
        self.log_failing.set(log_failing.into());
    }

    /// All metrics, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
