//! Logs and metrics: their names, units and meanings, in one place.
//!
//! Never logged, and never a label: tokens, bodies, e-mail addresses, a
//! property's value. A failure is logged once, where it is handled.

mod logs;
mod metrics;

pub use logs::{BadLevels, LogFormat, Seldom, init_logs, spawn_blocking};
pub use metrics::{
    AnswerLabels, CallLabels, HubspotMetrics, Metrics, MissedLabels, PluginFaults, SwitchLabels,
};
