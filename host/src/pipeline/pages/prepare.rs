//! What an answer says, in the terms of each of an account's connections.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Error, Misread, ReadRecord, RecordsPage};
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
    store::reads::Wanted,
};

/// On so many records of a page a version may run too long, each by itself, until it
/// is asked for no more of them: a call waits for the answer.
const STOPPED_MAX: usize = 3;

/// Reads a page of records, for each connection by the version that serves it; its
/// elements stand where the active one says. Where several versions serve the account,
/// what one of them fails on keeps nothing from the others.
pub fn prepare_records(
    account: &AccountRoute,
    serving: &Serving,
    object_type: &ObjectType,
    body: &[u8],
    received_at: Timestamp,
) -> Result<RecordsPage, Error> {
    let active = serving.active();
    let elements = active.split_answer(body, active.description().records_page.as_ref())?;
    let reads = |one: &Arc<ConnectionRoute>| one.reads(object_type, &Wanted::Record);
    let is_for = |(_, route): &(_, &AccountRoute)| route.connections.iter().any(reads);
    let mut served = account.served();
    if served.iter().any(is_for) {
        // What serves others alone need not understand it.
        served.retain(is_for);
    }
    let is_alone = served.len() == 1;
    let mut page = RecordsPage {
        object_type: object_type.clone(),
        connections: Vec::new(),
        answered: HashMap::new(),
        misread: Vec::new(),
    };
    for (trial, route) in served {
        let version = serving.of(trial);
        let of = Of {
            route,
            version,
            object_type,
            received_at,
        };
        let part = match prepare_part(of, &elements) {
            Err(fault) if !is_alone && !fault.is_retryable() => {
                tracing::warn!(
                    %fault, digest = version.digest(),
                    "a page of records was not understood: they are tried one by one"
                );
                one_by_one(of, &elements)
            }
            part => part,
        };
        let part = part.map_err(|fault| Error::of(version, fault))?;
        page.connections.extend(part.connections);
        for (record, modified_at) in part.answered {
            page.answered.entry(record).or_insert(modified_at);
        }
        if !part.not_understood.is_empty() {
            let connections = route.connections.iter().filter(|one| reads(one));
            page.misread.push(Misread {
                plugin: version.digest().to_owned(),
                connections: connections.map(|connection| connection.id).collect(),
                records: part.not_understood,
            });
        }
    }
    Ok(page)
}

/// Whose page it is, and who reads it.
#[derive(Clone, Copy)]
struct Of<'a> {
    route: &'a AccountRoute,
    version: &'a Version,
    object_type: &'a ObjectType,
    received_at: Timestamp,
}

/// What a version says of a page, or of a part of it.
#[derive(Default)]
struct PagePart {
    connections: Vec<(Arc<ConnectionRoute>, Vec<ReadRecord>)>,
    answered: HashMap<RecordId, Option<Timestamp>>,
    not_understood: HashSet<RecordId>,
}

/// Reads records of a page each by itself: those that the version fails on are not
/// understood, and so are the others once it ran too long on several.
fn one_by_one(of: Of<'_>, elements: &[Element<'_>]) -> Result<PagePart, Fault> {
    let mut all = PagePart::default();
    let mut stopped = 0;
    for element in elements {
        let one = std::slice::from_ref(element);
        if stopped >= STOPPED_MAX {
            of.version.not_asked();
            all.not_understood
                .extend(not_understood(one, std::iter::empty()));
            continue;
        }
        match prepare_part(of, one) {
            Ok(part) => {
                for (connection, records) in part.connections {
                    let mut known = all.connections.iter_mut();
                    match known.find(|(known, _)| known.id == connection.id) {
                        Some((_, known)) => known.extend(records),
                        None => all.connections.push((connection, records)),
                    }
                }
                all.answered.extend(part.answered);
                all.not_understood.extend(part.not_understood);
            }
            Err(fault) if fault.is_retryable() => return Err(fault),
            Err(fault) => {
                stopped += usize::from(matches!(fault, Fault::Deadline(_)));
                all.not_understood
                    .extend(not_understood(one, std::iter::empty()));
            }
        }
    }
    Ok(all)
}

fn prepare_part(of: Of<'_>, elements: &[Element<'_>]) -> Result<PagePart, Fault> {
    let handed: Vec<&Element<'_>> = elements.iter().collect();
    let bytes = join(elements.iter().map(|element| element.bytes));
    let told = tell_records(
        of.route,
        of.object_type,
        (&handed, &bytes),
        of.received_at,
        &|pass| of.version.run(pass),
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
    answered.retain(|record, _| !not_understood.contains(record));
    Ok(PagePart {
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
