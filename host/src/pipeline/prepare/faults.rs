//! Passes that fault: their bodies are tried by themselves, and set aside where they
//! fault again.

use super::{Of, Part, Prepared, Purpose, Run, set_aside, try_run};
use crate::{
    pipeline::routing::AccountRoute,
    plugin::{Fault, Version, join},
};

/// On so many bodies of one account a version may run too long, each by itself, until
/// it is asked for no more of them in a batch. One or two may be beyond it; of more,
/// each further one would cost everybody the time that a pass may take, and say nothing
/// new.
const STOPPED_MAX: usize = 3;

/// Runs a pass; where it faults, one for each body.
pub(super) fn run(
    of: Of<'_>,
    parts: &[Part<'_>],
    pass: Run<'_>,
    prepared: &mut Prepared,
) -> Result<(), Fault> {
    let Of { route, plugin, .. } = of;
    match try_run(of, parts, pass, prepared) {
        Ok(()) => {}
        Err(fault) if fault.is_retryable() => return Err(fault),
        // By itself already: it would do the same again.
        Err(fault) if parts.len() == 1 && !fault.may_be_chance() => {
            failed(route, plugin, &parts[0], fault.to_string(), prepared)
        }
        Err(fault) => {
            prepared.note(route, &fault);
            if prepared.purpose != Purpose::Shadow {
                tracing::warn!(%fault, "a pass failed; its bodies are tried one by one");
            }
            one_by_one(of, parts, pass, prepared)?;
        }
    }
    Ok(())
}

/// Runs a pass for each body by itself, and sets aside what fails; what is left once
/// the version ran too long on several, it is not asked for.
fn one_by_one(
    of: Of<'_>,
    parts: &[Part<'_>],
    pass: Run<'_>,
    prepared: &mut Prepared,
) -> Result<(), Fault> {
    let Of { route, plugin, .. } = of;
    let whose = (route.key.clone(), plugin.digest().to_owned());
    let mut unasked = 0;
    for part in parts {
        let stopped = prepared.stopped.get(&whose).copied().unwrap_or_default();
        if stopped >= STOPPED_MAX && prepared.purpose == Purpose::Live {
            unasked += 1;
            plugin.not_asked();
            let reason = format!(
                "the plugin was not asked: it was stopped on {stopped} other bodies of the account"
            );
            failed(route, plugin, part, reason, prepared);
            continue;
        }
        match try_run(of, std::slice::from_ref(part), pass, prepared) {
            Ok(()) => {}
            Err(fault) if fault.is_retryable() => return Err(fault),
            Err(fault) => {
                if prepared.note(route, &fault) {
                    *prepared.stopped.entry(whose.clone()).or_default() += 1;
                }
                failed(route, plugin, part, fault.to_string(), prepared);
            }
        }
    }
    if unasked > 0 {
        tracing::warn!(
            plugin = plugin.digest(),
            unasked,
            "the plugin was stopped on several bodies: others of the account are set aside unasked"
        );
    }
    Ok(())
}

/// Sets a body aside that failed by itself, or that the plugin is not asked for.
fn failed(
    route: &AccountRoute,
    plugin: &Version,
    part: &Part<'_>,
    reason: String,
    prepared: &mut Prepared,
) {
    if route.connections.is_empty() && prepared.purpose == Purpose::Live {
        return;
    }
    let Part { entry, elements } = part;
    let body = join(elements.iter().map(|element| element.bytes));
    let account = Some(route.key.clone());
    let aside = set_aside(entry, account, reason, plugin, body);
    prepared.set_aside.push(aside);
}
