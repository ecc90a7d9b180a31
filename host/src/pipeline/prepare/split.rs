//! Bodies of the log, split by account and packed into passes.

use std::collections::BTreeMap;

use super::{Prepared, Purpose, set_aside};
use crate::{
    log::Logged,
    model::AccountKey,
    pipeline::{redact::tells_of, routing::Routing},
    plugin::{Element, SplitError, Version, join, split},
};

/// Elements of one account that came in one entry of the log.
pub(super) struct Part<'a> {
    pub entry: &'a Logged,
    pub elements: Vec<Element<'a>>,
}

/// Splits an entry by account; what nobody can work on is set aside.
pub(super) fn split_entry<'a>(
    routing: &Routing,
    plugin: &Version,
    entry: &'a Logged,
    accounts: &mut BTreeMap<AccountKey, Vec<Part<'a>>>,
    prepared: &mut Prepared,
) {
    let at = plugin.description().body(entry.kind);
    let elements = at.map(|at| split(&entry.body, at));
    if let Some(erased) = routing.erased.of(plugin.connector()) {
        let is_late = match &elements {
            Some(Ok(elements)) => elements.iter().any(|element| tells_of(element, erased)),
            // It may name one in whatever form.
            _ => true,
        };
        if is_late {
            prepared.late.push(entry.position);
        }
    }
    let elements = match elements {
        Some(Ok(elements)) => elements,
        Some(Err(_)) if entry.is_damaged => {
            if prepared.purpose == Purpose::Live {
                let position = entry.position.0;
                tracing::error!(
                    position,
                    "an entry of the event log is damaged, and is set aside"
                );
            }
            let reason = "its bytes in the event log are damaged".to_owned();
            return prepared
                .set_aside
                .push(set_aside(entry, None, reason, plugin, Vec::new()));
        }
        Some(Err(error)) => {
            // What is no JSON, or too much of it, is the sender's doing.
            if error == SplitError::NoElements {
                found_nothing(plugin, prepared);
            }
            return prepared.set_aside.push(set_aside(
                entry,
                None,
                error.to_string(),
                plugin,
                entry.body.clone(),
            ));
        }
        None => {
            found_nothing(plugin, prepared);
            let reason = "the plugin reads no journal files".to_owned();
            return prepared.set_aside.push(set_aside(
                entry,
                None,
                reason,
                plugin,
                entry.body.clone(),
            ));
        }
    };
    prepared.events += elements.len() as u64;
    let mut own: BTreeMap<AccountKey, Vec<Element<'a>>> = BTreeMap::new();
    let mut nobodys = Vec::new();
    for element in elements {
        match element.account.clone() {
            Some(account) => own.entry(account).or_default().push(element),
            None => nobodys.push(element.bytes),
        }
    }
    if !nobodys.is_empty() {
        if own.is_empty() {
            found_nothing(plugin, prepared);
        }
        let reason = "the event names no account".to_owned();
        let body = join(nobodys.into_iter());
        let aside = set_aside(entry, None, reason, plugin, body);
        prepared.set_aside.push(aside);
    }
    for (account, elements) in own {
        accounts
            .entry(account)
            .or_default()
            .push(Part { entry, elements });
    }
}

/// No pass comes of an entry, which a wrong description would do to all of them.
fn found_nothing(plugin: &Version, prepared: &Prepared) {
    if prepared.purpose == Purpose::Live {
        plugin.found_nothing();
    }
}

/// Parts that are worked on together: as many elements as fit a pass. One that
/// does not fit by itself stands alone.
pub(super) fn passes(parts: Vec<Part<'_>>, bytes_max: usize) -> Vec<Vec<Part<'_>>> {
    // Two bytes are the array's brackets.
    let bytes_max = bytes_max.saturating_sub(2);
    let mut passes = Vec::new();
    let mut pass: Vec<Part<'_>> = Vec::new();
    let mut room = bytes_max;
    for Part { entry, elements } in parts {
        for element in elements {
            let bytes = element.bytes.len() + 1;
            if bytes > room && !pass.is_empty() {
                passes.push(std::mem::take(&mut pass));
                room = bytes_max;
            }
            room = room.saturating_sub(bytes);
            match pass.last_mut() {
                Some(part) if part.entry.position == entry.position => part.elements.push(element),
                _ => pass.push(Part {
                    entry,
                    elements: vec![element],
                }),
            }
        }
    }
    passes.push(pass);
    passes
}
