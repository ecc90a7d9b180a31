//! Logs and metrics: their names, units and meanings, in one place.
//!
//! Never logged, and never a label: tokens, bodies, e-mail addresses, a
//! property's value. A failure is logged once, where it is handled.

use std::{io::IsTerminal, sync::atomic::AtomicI64};

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
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

use crate::pipeline::prepare::Prepared;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object a line.
    Json,
}

/// Sends logs to standard error. `filter` names the least level, or levels by
/// module: `info`, `jimo_connect::sync=debug,info`. Does nothing the second
/// time.
///
/// # Errors
///
/// [`BadLevels`].
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), BadLevels> {
    let filter = levels(filter)?;
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Tests start several hosts in one process; the first one sets logs up.
    let _ = match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    Ok(())
}

/// A text that names no levels.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} in --log or JIMO_LOG is no level: write error, warn, info, debug, trace or off; \
     for one module, jimo_connect::sync=debug,info"
)]
pub struct BadLevels(String);

/// Reads levels. A word that is no level would be taken for a module, and
/// silence all others.
fn levels(text: &str) -> Result<Targets, BadLevels> {
    let mut levels = Targets::new();
    for part in text.split(',').map(str::trim) {
        let (module, word) = match part.split_once('=') {
            Some((module, word)) => (Some(module.trim()), word.trim()),
            None => (None, part),
        };
        let level: LevelFilter = match word.parse() {
            Ok(level) if !word.is_empty() => level,
            _ => return Err(BadLevels(part.to_owned())),
        };
        levels = match module {
            Some(module) => levels.with_target(module, level),
            None => levels.with_default(level),
        };
    }
    Ok(levels)
}

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

/// The metrics of one host.
pub struct Metrics {
    registry: Registry,
    /// Deliveries answered, by status.
    pub deliveries: Family<AnswerLabels, Counter>,
    /// Seconds from a delivery's first byte to its answer.
    pub delivery_seconds: Histogram,
    events: Counter,
    unknown_account_events: Counter,
    set_aside: Counter,
    batches: Counter,
    /// Reads from the source, by outcome.
    pub reads: Family<CallLabels, Counter>,
    /// Entries of the log that wait for the pipeline.
    pub log_waiting: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("jimo_connect");
        let deliveries = Family::default();
        registry.register(
            "deliveries",
            "Deliveries answered, by status",
            deliveries.clone(),
        );
        let delivery_seconds = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        registry.register_with_unit(
            "delivery",
            "Time from a delivery's arrival to its answer",
            Unit::Seconds,
            delivery_seconds.clone(),
        );
        let events = Counter::default();
        registry.register("events", "Events taken from the log", events.clone());
        let unknown_account_events = Counter::default();
        registry.register(
            "unknown_account_events",
            "Events of accounts that nothing active is connected to",
            unknown_account_events.clone(),
        );
        let set_aside = Counter::default();
        registry.register(
            "set_aside",
            "Bodies and events set aside, with their bytes and a reason",
            set_aside.clone(),
        );
        let batches = Counter::default();
        registry.register("batches", "Transactions of the pipeline", batches.clone());
        let reads = Family::default();
        registry.register(
            "reads",
            "Calls that read from the source, by outcome",
            reads.clone(),
        );
        let log_waiting = Gauge::default();
        registry.register(
            "log_waiting",
            "Entries of the log that the pipeline has not reached",
            log_waiting.clone(),
        );
        Self {
            registry,
            deliveries,
            delivery_seconds,
            events,
            unknown_account_events,
            set_aside,
            batches,
            reads,
            log_waiting,
        }
    }
}

impl Metrics {
    /// Counts what a batch of the pipeline holds.
    pub fn batch(&self, prepared: &Prepared) {
        self.batches.inc();
        self.events.inc_by(prepared.events);
        self.unknown_account_events
            .inc_by(prepared.unknown_account_events);
        self.set_aside.inc_by(prepared.set_aside.len() as u64);
    }

    /// All metrics, in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_read_by_module_and_words_that_are_none_are_refused() {
        let read = levels("jimo_connect::sync=debug, warn").expect("levels");
        assert!(read.would_enable("jimo_connect::sync", &Level::DEBUG));
        assert!(read.would_enable("jimo_connect::web", &Level::WARN));
        assert!(!read.would_enable("jimo_connect::web", &Level::INFO));
        for bad in ["inof", "", "info,", "jimo_connect=debgu", "jimo_connect="] {
            assert!(levels(bad).is_err(), "{bad}");
        }
    }
}
