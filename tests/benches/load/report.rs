//! Tables for people, as Markdown shows them.

use std::time::{Duration, Instant};

use crate::{probes::Seen, senders::Answer};

/// The head of a table.
pub fn head(columns: &[&str]) {
    println!("\n| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

/// A row of a table.
pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// A table of phases, by when a request was to be sent: what is told of, each phase's
/// name and when it begins, in their order; what was answered, and what was seen.
pub fn phases(what: &str, phases: &[(&str, Instant)], (answers, seen): (&[Answer], &[Seen])) {
    head(&[what, "204 p50 / p99 ms", "readable p50 / p99 ms"]);
    for (index, (name, begins)) in phases.iter().enumerate() {
        let ends = phases.get(index + 1).map(|(_, ends)| *ends);
        let is_in = |planned: Instant| planned >= *begins && ends.is_none_or(|ends| planned < ends);
        let answered = answers.iter().filter(|answer| is_in(answer.planned));
        let answered: Vec<Duration> = answered.map(|answer| answer.took).collect();
        let readable = seen.iter().filter(|seen| is_in(seen.planned));
        let readable: Vec<Duration> = readable.map(|seen| seen.took).collect();
        row(&[
            (*name).to_owned(),
            percentiles(&answered),
            percentiles(&readable),
        ]);
    }
}

/// How long answers took.
pub fn times(answers: &[Answer]) -> Vec<Duration> {
    answers.iter().map(|answer| answer.took).collect()
}

/// The time within which so many in a hundred were.
pub fn percentile(times: &[Duration], of_hundred: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    let index = (times.len() * of_hundred / 100).min(times.len().saturating_sub(1));
    times.get(index).copied().unwrap_or_default()
}

/// p50 / p99 in milliseconds.
pub fn percentiles(times: &[Duration]) -> String {
    let [p50, p99] = [50, 99].map(|of_hundred| percentile(times, of_hundred));
    format!("{} / {}", milliseconds(p50), milliseconds(p99))
}

/// Milliseconds.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// So many a second, rounded.
pub fn rate(count: u64, took: Duration) -> String {
    format!("{:.0}", count as f64 / took.as_secs_f64())
}

/// Microseconds for each of so many.
pub fn each(time: Duration, count: u64) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6 / count as f64)
}

/// MiB, rounded.
pub fn mebibytes(kibibytes: u64) -> String {
    format!("{}", (kibibytes + 512) / 1_024)
}
