//! What HubSpot answered for some users or records, applied in a transaction that
//! is undone: what dry runs count, and what previews show.

use std::collections::{HashMap, HashSet};

use super::{
    failures::Error,
    lookups::{are_read_by_rule, asked_by},
    work::{Parsed, Work},
};
use crate::{
    hubspot::{
        objects::RECORDS_MAX,
        search::{FOUND_MAX, Filter, VALUES_BYTES_MAX},
    },
    model::{Association, ConnectionId, MatchingRule, ObjectType, RecordId},
    pipeline::{
        associations::apply_associations,
        feeding::Feeder,
        pages::{Asked, ReadMoment, apply_absence},
    },
    secrets::Keys,
    store::{self, records::RecordKey},
};

/// The most records that are taken for the identifiers of one call.
const IDS_MAX: usize = 1_000;

/// The records that match identifiers.
pub(super) struct OfKeys {
    /// The records.
    pub pages: Vec<Parsed>,
    /// Whether there are more than these.
    pub is_cut: bool,
}

/// The associations of records, by record.
pub(super) type Found = HashMap<RecordId, Vec<Association>>;

/// What HubSpot answered, kept until it is applied.
#[derive(Default)]
pub(super) struct Answers {
    /// The records that it began with.
    pub first: Vec<Parsed>,
    /// Of these, those that are to be applied.
    pub counted: HashSet<RecordId>,
    /// Records that are not there any more.
    pub absent: Vec<(ObjectType, RecordId)>,
    /// The associations of those that would reach users, by their type and the
    /// other's.
    pub associations: Vec<(ObjectType, ObjectType, Found)>,
    /// The records that these lead to.
    pub following: Vec<Parsed>,
    /// Of these, those that were applied and counted before.
    pub counted_before: HashSet<(ObjectType, RecordId)>,
}

impl Answers {
    /// Applies what was counted before and reaches users already: what that changes
    /// for them was counted with it. Returns which records these are.
    pub fn apply_counted_before(
        &self,
        feeder: &mut Feeder<'_, '_>,
        keys: &Keys,
        of: ConnectionId,
    ) -> Result<HashSet<RecordKey>, store::Error> {
        let mut applied = HashSet::new();
        for parsed in &self.following {
            let object_type = &parsed.page.object_type;
            for record in parsed.of(of) {
                let counted = (object_type.clone(), record.record.clone());
                let (tx, id) = (feeder.tx, feeder.route.id);
                let held = tx.find_record(id, object_type, &record.record)?;
                let Some(held) = held.filter(|held| held.reached) else {
                    continue;
                };
                if self.counted_before.contains(&counted) {
                    parsed.apply_one(feeder, keys, record, Asked::default())?;
                    applied.insert(held.key);
                }
            }
        }
        feeder.settle()?;
        Ok(applied)
    }

    /// Applies them to the feeder's connection; the records were parsed in the
    /// terms of the connection `of`, which maps alike, and those of `applied` are
    /// already. Returns which of the first records reached users.
    pub fn apply(
        &self,
        feeder: &mut Feeder<'_, '_>,
        keys: &Keys,
        of: ConnectionId,
        moment: ReadMoment,
        applied: &HashSet<RecordKey>,
    ) -> Result<Vec<(ObjectType, Vec<RecordId>)>, store::Error> {
        let mut reached: HashMap<ObjectType, Vec<RecordId>> = HashMap::new();
        // Pages of neighbouring ranges overlap.
        let mut met = HashSet::new();
        for parsed in &self.first {
            let object_type = &parsed.page.object_type;
            let records = parsed.of(of);
            for record in records.filter(|read| self.counted.contains(&read.record)) {
                if !met.insert((object_type, &record.record)) {
                    continue;
                }
                parsed.apply_one(feeder, keys, record, Asked::default())?;
                let record = &record.record;
                let held = feeder
                    .tx
                    .find_record(feeder.route.id, object_type, record)?;
                if held.is_some_and(|held| held.reached) {
                    let of_type = reached.entry(object_type.clone()).or_default();
                    of_type.push(record.clone());
                }
            }
        }
        for (object_type, record) in &self.absent {
            apply_absence(feeder, object_type, record, moment)?;
        }
        for (from, to, found) in &self.associations {
            for (record, associations) in found {
                apply_associations(feeder, from, record, to, associations, moment.sequence)?;
            }
        }
        for parsed in &self.following {
            let object_type = &parsed.page.object_type;
            for record in parsed.of(of) {
                let (tx, id) = (feeder.tx, feeder.route.id);
                let held = tx.find_record(id, object_type, &record.record)?;
                match held.filter(|held| applied.contains(&held.key)) {
                    // Whom else it feeds now need not have it read.
                    Some(held) => feeder.was_read(held.key),
                    None => parsed.apply_one(feeder, keys, record, Asked::default())?,
                }
            }
        }
        Ok(reached.into_iter().collect())
    }
}

/// How many of these identifiers one call asks for: at least one, for one that
/// is too long by itself is asked for all the same.
pub(super) fn asked_at_once(keys: &[String]) -> usize {
    let mut bytes = 0;
    let fit = keys.iter().take(RECORDS_MAX).take_while(|key| {
        bytes += serde_json::Value::from(key.as_str()).to_string().len() + 1;
        bytes <= VALUES_BYTES_MAX
    });
    fit.count().max(1)
}

impl Work {
    /// The records that match identifiers by a rule, as many as
    /// [`asked_at_once`] says. One call reads them, where the rule's property
    /// is unique; else a search finds them, and they are read.
    pub async fn records_of_keys(
        &self,
        object_type: &ObjectType,
        rule: &MatchingRule,
        keys: &[String],
    ) -> Result<OfKeys, Error> {
        let property = &rule.property.name;
        let is_unique = are_read_by_rule(&self.host, self.route.id, object_type, rule).await?;
        let values = keys.iter().map(|key| asked_by(rule, is_unique, key));
        let values: Vec<String> = values.collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if is_unique {
            let (parsed, _) = self.read(object_type, &values, Some(property)).await?;
            return Ok(OfKeys {
                pages: vec![parsed],
                is_cut: false,
            });
        }
        let client = &self.host.hubspot;
        let (mut ids, mut after) = (Vec::new(), None);
        let is_cut = loop {
            let mut filters = vec![Filter::one_of(property, values.clone())];
            filters.extend(after.as_ref().map(Filter::after));
            let (found, _) = self
                .call(async |caller| {
                    client
                        .search(&caller, object_type, &filters, FOUND_MAX)
                        .await
                })
                .await?;
            ids.extend(found.records.into_iter().map(|found| found.record));
            // What so many records share identifies nobody.
            if !found.has_more || ids.len() >= IDS_MAX {
                break found.has_more;
            }
            after = ids.last().cloned();
        };
        let (pages, _) = self.read_all(object_type, &ids).await?;
        Ok(OfKeys { pages, is_cut })
    }
}
