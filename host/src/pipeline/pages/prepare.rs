//! What an answer says, in the terms of each of an account's connections.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Error, ReadRecord, RecordsPage};
use crate::{
    model::{MatchKey, MatchingRule, ObjectType, RecordId, SourceRecord, Timestamp},
    pipeline::{
        prepare::Run,
        routing::{AccountRoute, ConnectionRoute},
    },
    plugin::{
        BodyKind, Fault, Outcome, Pass, Refusal, Serving, Version,
        elements::{Element, join},
    },
};

/// Reads a page of records, for each connection by the version that serves it; its
/// elements stand where the active one says. What one of them does not understand is
/// answered for nobody, so that it is asked for again.
pub fn prepare_records(
    account: &AccountRoute,
    serving: &Serving,
    object_type: &ObjectType,
    body: &[u8],
    received_at: Timestamp,
) -> Result<RecordsPage, Error> {
    let active = serving.active();
    let elements = active.split_answer(body, active.description().records_page.as_ref())?;
    let mut page = RecordsPage {
        object_type: object_type.clone(),
        connections: Vec::new(),
        answered: HashMap::new(),
        not_understood: HashSet::new(),
    };
    for (trial, route) in account.served() {
        let version = serving.of(trial);
        match prepare_part(route, version, object_type, &elements, received_at) {
            Ok(part) => {
                page.connections.extend(part.connections);
                page.answered.extend(part.answered);
                page.not_understood.extend(part.not_understood);
            }
            // One that serves single connections keeps nothing from the others.
            Err(fault) if trial.is_some() && !fault.is_retryable() => {
                tracing::warn!(%fault, digest = version.digest(), "a page of records was not understood");
                page.not_understood
                    .extend(not_understood(&elements, std::iter::empty()));
            }
            Err(fault) => return Err(Error::of(version, fault)),
        }
    }
    let RecordsPage {
        answered,
        not_understood,
        ..
    } = &mut page;
    answered.retain(|record, _| !not_understood.contains(record));
    Ok(page)
}

fn prepare_part(
    account: &AccountRoute,
    plugin: &Version,
    object_type: &ObjectType,
    elements: &[Element<'_>],
    received_at: Timestamp,
) -> Result<RecordsPage, Fault> {
    let handed: Vec<&Element<'_>> = elements.iter().collect();
    let bytes = join(elements.iter().map(|element| element.bytes));
    let told = tell_records(
        account,
        object_type,
        (&handed, &bytes),
        received_at,
        &|pass| plugin.run(pass),
    )?;
    let not_understood = not_understood(elements, told.records.iter().map(|said| said.element));
    let mut answered = HashMap::new();
    for said in &told.records {
        if let Some(id) = elements.get(said.element).and_then(|e| e.records.first()) {
            answered.insert(id.clone(), said.modified_at);
            for merged in &said.merged {
                answered.entry(merged.clone()).or_insert(said.modified_at);
            }
        }
    }
    Ok(RecordsPage {
        object_type: object_type.clone(),
        connections: told.connections,
        answered,
        not_understood,
    })
}

/// Records of one type, as a pass told them.
pub(in crate::pipeline) struct ToldRecords {
    /// What it said of each.
    pub records: Vec<SourceRecord>,
    /// The elements that it refused.
    pub refusals: Vec<Refusal>,
    /// The same in the terms of each of the account's connections that map the type.
    pub connections: Vec<(Arc<ConnectionRoute>, Vec<ReadRecord>)>,
}

/// Has a pass tell records of one type. `elements`: which they are, and their bytes
/// as a JSON array.
pub(in crate::pipeline) fn tell_records(
    account: &AccountRoute,
    object_type: &ObjectType,
    (elements, bytes): (&[&Element<'_>], &[u8]),
    received_at: Timestamp,
    run: Run<'_>,
) -> Result<ToldRecords, Fault> {
    // A rule a connection that matches this type itself.
    let ruled: Vec<usize> = (0..account.connections.len())
        .filter(|index| rule(&account.connections[*index], object_type).is_some())
        .collect();
    let rules: Vec<_> = ruled
        .iter()
        .filter_map(|index| rule(&account.connections[*index], object_type))
        .map(|rule| (object_type.clone(), rule.clone()))
        .collect();
    let output = run(&Pass {
        body: BodyKind::Records(object_type.clone()),
        elements: bytes,
        element_count: elements.len(),
        received_at,
        interests: &account.interests,
        conversions: &account.conversions,
        rules: &rules,
    })?;
    let interest = account.interest(object_type);
    let mut connections = Vec::new();
    for (index, (route, converted)) in account.connections.iter().zip(output.converted).enumerate()
    {
        if route.mapping(object_type).is_none() {
            continue;
        }
        let mut outcomes: HashMap<(usize, usize), Outcome> = HashMap::new();
        for one in converted {
            outcomes.insert((one.element, one.field), one.outcome);
        }
        let mut keys: Option<HashMap<usize, Vec<MatchKey>>> = ruled
            .iter()
            .position(|ruled| *ruled == index)
            .and_then(|rule| output.keys.get(rule))
            .map(|keys| {
                keys.iter()
                    .map(|keys| (keys.element, keys.keys.clone()))
                    .collect()
            });
        let mut records = Vec::new();
        for said in &output.records {
            let Some(record) = elements.get(said.element).and_then(|e| e.records.first()) else {
                continue;
            };
            let mut texts = Vec::new();
            for property in &said.properties {
                let Some(name) = interest.get(property.property) else {
                    continue;
                };
                let of_property = (object_type.clone(), name.clone());
                for field in route
                    .fields_by_property
                    .get(&of_property)
                    .into_iter()
                    .flatten()
                {
                    if let Some(outcome) = outcomes.remove(&(said.element, *field)) {
                        texts.push((route.fields[*field], property.text.clone(), outcome));
                    }
                }
            }
            records.push(ReadRecord {
                record: record.clone(),
                said: said.clone(),
                texts,
                keys: keys.as_mut().and_then(|keys| keys.remove(&said.element)),
            });
        }
        connections.push((route.clone(), records));
    }
    Ok(ToldRecords {
        records: output.records,
        refusals: output.refusals,
        connections,
    })
}

fn rule<'a>(route: &'a ConnectionRoute, object_type: &ObjectType) -> Option<&'a MatchingRule> {
    route
        .mapping(object_type)
        .and_then(|(_, mapping)| mapping.matching.as_ref())
}

/// The records of the elements that were not told of: refused, or passed over.
pub(in crate::pipeline) fn not_understood(
    elements: &[Element<'_>],
    told: impl Iterator<Item = usize>,
) -> HashSet<RecordId> {
    let told: HashSet<usize> = told.collect();
    let untold = elements
        .iter()
        .enumerate()
        .filter(|(index, _)| !told.contains(index));
    untold
        .filter_map(|(_, element)| element.records.first().cloned())
        .collect()
}
