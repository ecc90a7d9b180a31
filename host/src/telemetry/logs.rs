//! Logs: how they are written, and how often.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use tokio::task::JoinHandle;
use tracing::{Span, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

use crate::model::Timestamp;

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
        // What cannot be written is lost: saying so on standard error, where it
        // was to be written, would panic.
        .log_internal_errors(false)
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

/// Runs work that blocks on a thread for such work, in the present span.
pub fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// How often is said, at most, what anyone outside can cause again and again.
const SELDOM: Duration = Duration::from_secs(60);

/// Something that is said once a minute at most.
#[derive(Debug)]
pub struct Seldom(AtomicI64);

impl Default for Seldom {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl Seldom {
    /// Whether it may be said again; then it counts as said.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let due = |last: i64| {
            let passed = u64::try_from(now.0.saturating_sub(last)).unwrap_or_default();
            (Duration::from_millis(passed) >= SELDOM).then_some(now.0)
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_anyone_can_cause_is_said_once_a_minute() {
        let (last, start) = (Seldom::default(), Timestamp(1_780_000_000_000));
        assert!(last.is_due(start));
        assert!(!last.is_due(start));
        assert!(!last.is_due(start.plus(Duration::from_millis(59_999))));
        assert!(last.is_due(start.plus(SELDOM)));
        assert!(!last.is_due(start.plus(SELDOM)));
    }

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
