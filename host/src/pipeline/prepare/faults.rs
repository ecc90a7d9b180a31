//! Passes that fault: their bodies are tried by themselves, and set aside where they
//! fault again.
//!
//! While a plugin runs, nobody else's batch is prepared. So once plugins ran too long
//! on several bodies of a batch it is given up, for the lanes at fault to be parted
//! from the others; and of one entry by itself, the version is asked for no more.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{Of, Part, Prepared, Purpose, Run, set_aside, try_run};
use crate::{
    log::Position,
    pipeline::routing::AccountRoute,
    plugin::{Fault, Version, join},
};

/// For how long plugins may run in a batch until they are stopped, all together:
/// five passes tell one bad body from a bad version, and others can wait that long.
const OVERRAN_MAX: Duration = Duration::from_secs(10);

/// For how long plugins ran in a batch until they were stopped.
#[derive(Debug, Default)]
pub struct Overrun {
    by_entry: BTreeMap<Position, Duration>,
    /// By the version's digest.
    by_version: HashMap<String, Duration>,
    /// Whether the batch is of one entry, which nothing can be parted from.
    is_one_entry: bool,
    is_given_up: bool,
}

impl Overrun {
    /// Of a batch of so many entries; none yet.
    pub fn of(entries: usize) -> Self {
        Self {
            is_one_entry: entries == 1,
            ..Self::default()
        }
    }

    /// Whether it is too long for the batch to be worked on together: what is prepared
    /// of it is not whole, and is not to be applied.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// The entries that a plugin was stopped on, and for how long it ran.
    pub fn by_entry(&self) -> &BTreeMap<Position, Duration> {
        &self.by_entry
    }

    /// A version was stopped on these entries after it ran for so long.
    fn add(
        &mut self,
        version: &str,
        entries: impl ExactSizeIterator<Item = Position>,
        ran: Duration,
    ) {
        let each = ran / u32::try_from(entries.len()).unwrap_or(u32::MAX).max(1);
        for entry in entries {
            *self.by_entry.entry(entry).or_default() += each;
        }
        *self.by_version.entry(version.to_owned()).or_default() += ran;
    }

    /// Whether a version is to be asked for anything more of the batch. Where it is not,
    /// the batch is given up, if it holds more than one entry.
    fn may_ask(&mut self, version: &str) -> bool {
        if !self.is_one_entry {
            self.is_given_up |= self.by_version.values().sum::<Duration>() >= OVERRAN_MAX;
            return !self.is_given_up;
        }
        // Others may be asked: what it does they need not answer for.
        let ran = self.by_version.get(version).copied();
        ran.unwrap_or_default() < OVERRAN_MAX
    }
}

/// Runs a pass; where it faults, one for each body. Nothing is done where the batch is
/// given up.
pub(super) fn run(
    of: Of<'_>,
    parts: &[Part<'_>],
    pass: Run<'_>,
    prepared: &mut Prepared,
) -> Result<(), Fault> {
    let Of { route, plugin, .. } = of;
    if !may_ask(plugin, prepared) {
        parts.iter().for_each(|part| unasked(of, part, prepared));
        return Ok(());
    }
    match try_run(of, parts, pass, prepared) {
        Ok(()) => {}
        Err(fault) if fault.is_retryable() => return Err(fault),
        // By itself already: it would do the same again.
        Err(fault) if parts.len() == 1 && !fault.may_be_chance() => {
            failed(route, plugin, &parts[0], fault.to_string(), prepared)
        }
        Err(fault) => {
            note(plugin, parts, &fault, prepared);
            if prepared.purpose != Purpose::Shadow {
                tracing::warn!(%fault, "a pass failed; its bodies are tried one by one");
            }
            one_by_one(of, parts, pass, prepared)?;
        }
    }
    Ok(())
}

/// Runs a pass for each body by itself, and sets aside what fails.
fn one_by_one(
    of: Of<'_>,
    parts: &[Part<'_>],
    pass: Run<'_>,
    prepared: &mut Prepared,
) -> Result<(), Fault> {
    let Of { route, plugin, .. } = of;
    for part in parts {
        if !may_ask(plugin, prepared) {
            unasked(of, part, prepared);
            continue;
        }
        let part = std::slice::from_ref(part);
        match try_run(of, part, pass, prepared) {
            Ok(()) => {}
            Err(fault) if fault.is_retryable() => return Err(fault),
            Err(fault) => {
                note(plugin, part, &fault, prepared);
                failed(route, plugin, &part[0], fault.to_string(), prepared);
            }
        }
    }
    Ok(())
}

/// Takes note of a fault: for how long the plugin ran until it was stopped, where it
/// was, and on which entries.
fn note(plugin: &Version, parts: &[Part<'_>], fault: &Fault, prepared: &mut Prepared) {
    let Fault::Deadline(after) = fault else {
        return;
    };
    let entries = parts.iter().map(|part| part.entry.position);
    prepared.overrun.add(plugin.digest(), entries, *after);
}

/// Whether a version is to be asked for anything more: live, others wait for it.
fn may_ask(plugin: &Version, prepared: &mut Prepared) -> bool {
    prepared.purpose != Purpose::Live || prepared.overrun.may_ask(plugin.digest())
}

/// What becomes of a body that the plugin is not asked for: of a batch that is given
/// up nothing, for it waits again.
fn unasked(of: Of<'_>, part: &Part<'_>, prepared: &mut Prepared) {
    if prepared.overrun.is_given_up() {
        return;
    }
    of.plugin.not_asked();
    let reason = "the plugin was not asked: it was stopped on several other parts of the delivery";
    failed(of.route, of.plugin, part, reason.to_owned(), prepared);
}

/// Sets a body aside that failed by itself, or that the plugin is not asked for; also
/// where all connections are paused, for it may tell of a deletion for privacy.
fn failed(
    route: &AccountRoute,
    plugin: &Version,
    part: &Part<'_>,
    reason: String,
    prepared: &mut Prepared,
) {
    let Part { entry, elements } = part;
    let body = join(elements.iter().map(|element| element.bytes));
    let account = Some(route.key.clone());
    let aside = set_aside(entry, account, reason, plugin, body);
    prepared.set_aside.push(aside);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(overrun: &mut Overrun, version: &str, entries: &[i64], seconds: u64) {
        let entries = entries.iter().map(|entry| Position(*entry));
        overrun.add(version, entries, Duration::from_secs(seconds));
    }

    #[test]
    fn a_batch_is_given_up_by_what_all_versions_ran_together() {
        let mut overrun = Overrun::of(3);
        ran(&mut overrun, "one", &[1, 2], 6);
        assert!(overrun.may_ask("one") && overrun.may_ask("another"));
        assert!(!overrun.is_given_up());
        ran(&mut overrun, "another", &[3], 4);
        assert!(!overrun.may_ask("a third"));
        assert!(overrun.is_given_up());
        let each: Vec<_> = overrun.by_entry().values().map(Duration::as_secs).collect();
        assert_eq!(each, [3, 3, 4]);
    }

    #[test]
    fn of_one_entry_the_version_alone_that_ran_too_long_is_asked_for_no_more() {
        let mut overrun = Overrun::of(1);
        ran(&mut overrun, "one", &[1], 10);
        assert!(!overrun.may_ask("one"));
        assert!(overrun.may_ask("another"));
        assert!(!overrun.is_given_up());
    }
}
