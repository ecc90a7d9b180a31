//! Dry runs: what a full sync would do, done in transactions that are undone.
//!
//! A step takes some records, and all that follows from them: those that would
//! reach users have their associations read, and the records that these lead to.
//! Then all of it is applied at once, counted, and undone. So a dry run counts by
//! the very rules that a real one goes by, and holds no more than a step's
//! answers.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    super::{
        failures::Error,
        lookup_batches::key_kind,
        work::{Parsed, Work},
    },
    Outcome,
    pages::of_ranges,
    stages::{Step, stages},
};
use crate::{
    hubspot::{
        objects::RECORDS_MAX,
        search::{FOUND_MAX, Filter, Listed, VALUES_BYTES_MAX},
    },
    model::{Association, MatchingRule, ObjectType, Range, RecordId, Stage},
    pipeline::{
        associations::apply_associations,
        feeding::Feeder,
        pages::{Asked, apply_record},
        routing::ConnectionRoute,
    },
    secrets::Keys,
    store::{self, records::RecordKey, runs::Counts},
};

/// The most records that are taken for the identifiers of one step.
const IDS_MAX: usize = 1_000;

/// What HubSpot answered in a step, kept until it is counted.
#[derive(Default)]
struct Answers {
    /// The records that the step began with.
    first: Vec<Parsed>,
    /// Of these, those that are to be counted: others are of another stage.
    counted: HashSet<RecordId>,
    /// The associations of those that would reach users, by their type and the
    /// other's.
    associations: Vec<(ObjectType, ObjectType, Found)>,
    /// The records that these lead to.
    following: Vec<Parsed>,
}

type Found = HashMap<RecordId, Vec<Association>>;

impl Step<'_> {
    /// Reads the records of the next users' identifiers, and counts what they
    /// would do.
    pub(super) async fn rehearse_keys(
        &self,
        object_type: &ObjectType,
        after: Option<&str>,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let mapping = self.connection.mapping(object_type);
        let Some(rule) = mapping.and_then(|(_, mapping)| mapping.matching.as_ref()) else {
            return self.move_on(None, rest).await;
        };
        let (project, identifier) = (self.connection.project, rule.identifier);
        let (kind, from) = (key_kind(rule), after.unwrap_or_default().to_owned());
        let keys = self
            .host
            .store
            .read(move |tx| tx.user_keys_after(project, (identifier, kind), &from, RECORDS_MAX));
        let mut keys = keys.await?;
        let mut bytes = 0;
        let fit = keys.iter().take_while(|key| {
            bytes += serde_json::Value::from(key.as_str()).to_string().len() + 1;
            bytes <= VALUES_BYTES_MAX
        });
        // One that is too long by itself is asked for all the same.
        let fit = fit.count().max(1);
        keys.truncate(fit);
        let Some(last) = keys.last().cloned() else {
            return self.move_on(None, rest).await;
        };
        let work = self.work().await?;
        let parsed = self
            .records_of_keys(&work, object_type, rule, &keys)
            .await?;
        let left = Stage::Keys {
            object_type: object_type.clone(),
            after: Some(last),
        };
        let (done, stages) = (keys.len(), stages(Some(left), rest));
        self.rehearse(&work, parsed, None, done, stages).await
    }

    async fn records_of_keys(
        &self,
        work: &Work,
        object_type: &ObjectType,
        rule: &MatchingRule,
        keys: &[String],
    ) -> Result<Vec<Parsed>, Error> {
        let property = &rule.property.name;
        let account = self.account.id;
        let is_unique =
            super::super::definitions::is_unique(self.host, account, object_type, property).await?;
        let values: Vec<&str> = keys.iter().map(String::as_str).collect();
        if is_unique {
            let parsed = work.read(object_type, &values, Some(property)).await?;
            return Ok(vec![parsed]);
        }
        let client = &self.host.hubspot;
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let mut filters = vec![Filter::one_of(property, values.clone())];
            filters.extend(after.as_ref().map(Filter::after));
            let found = work
                .call(async |caller| {
                    client
                        .search(&caller, object_type, &filters, FOUND_MAX)
                        .await
                })
                .await?;
            let is_last = found.records.len() as u64 >= found.total || found.records.is_empty();
            ids.extend(found.records.into_iter().map(|found| found.record));
            // What so many records share identifies nobody.
            if is_last || ids.len() >= IDS_MAX {
                break;
            }
            after = ids.last().cloned();
        }
        work.read_all(object_type, &ids).await
    }

    /// Counts what the records of pages would do.
    pub(super) async fn rehearse_pages(
        &self,
        object_type: &ObjectType,
        listed: Vec<(Range, Listed)>,
        are_whole: bool,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let work = self.work().await?;
        let mut parsed = Vec::new();
        if are_whole {
            for (_, page) in &listed {
                let body = page.body.clone();
                parsed.push(work.parse(object_type, body, page.answered_at).await?);
            }
        }
        let ids: Vec<RecordId> = of_ranges(listed).collect();
        if !are_whole {
            parsed = work.read_all(object_type, &ids).await?;
        }
        let held: HashSet<RecordId> = ids.iter().cloned().collect();
        let mut counted = self.new_ones(&parsed).await?;
        counted.retain(|record| held.contains(record));
        self.rehearse(&work, parsed, Some(counted), ids.len(), stages)
            .await
    }

    /// Reads the next records that reach users already, and counts what they
    /// would do.
    pub(super) async fn rehearse_reached(
        &self,
        object_type: &ObjectType,
        after: i64,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let (id, of_type) = (self.connection.id, object_type.clone());
        let records = self
            .host
            .store
            .read(move |tx| {
                tx.reached_records(id, &of_type, RecordKey(after), i64::MAX, RECORDS_MAX)
            })
            .await?;
        let Some(last) = records.last().map(|record| record.key.0) else {
            return self.move_on(None, rest).await;
        };
        let ids: Vec<RecordId> = records.into_iter().map(|record| record.record).collect();
        let work = self.work().await?;
        let parsed = work.read_all(object_type, &ids).await?;
        let left = Stage::Reached {
            object_type: object_type.clone(),
            after: last,
        };
        let (done, stages) = (ids.len(), stages(Some(left), rest));
        let counted = ids.into_iter().collect();
        self.rehearse(&work, parsed, Some(counted), done, stages)
            .await
    }

    /// What a step's calls share.
    pub(super) async fn work(&self) -> Result<Work, Error> {
        let sequence = self.host.store.transact(|tx| tx.next_sequence()).await?;
        Ok(Work {
            host: self.host.clone(),
            route: self.account.clone(),
            configuration: self.configuration,
            sequence,
            priority: self.priority(),
            calls: self.host.metrics.reads.clone(),
        })
    }

    /// Counts what records would do, with all that follows from them, and moves
    /// on. `counted`: those of them to count; those that reach nobody yet, where
    /// not said, for the others are counted in a stage of their own.
    pub(super) async fn rehearse(
        &self,
        work: &Work,
        first: Vec<Parsed>,
        counted: Option<HashSet<RecordId>>,
        done: usize,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let mut answers = Answers {
            first,
            ..Answers::default()
        };
        answers.counted = match counted {
            Some(counted) => counted,
            None => self.new_ones(&answers.first).await?,
        };
        let (mut counts, reached, mut answers) = self.undone(work, answers).await?;
        let connection = self.connection.clone();
        let mut follow = false;
        for (object_type, records) in &reached {
            for (_, mapping) in connection.mappings_through(object_type) {
                let to = &mapping.object_type;
                let mut found = Found::new();
                for some in records.chunks(RECORDS_MAX) {
                    let (some, _) = work.gather(object_type, to, some, &HashSet::new()).await?;
                    found.extend(some);
                }
                let ids = found.values().flatten();
                let ids: BTreeSet<RecordId> = ids
                    .map(|association| association.to_record.clone())
                    .collect();
                let ids: Vec<RecordId> = ids.into_iter().collect();
                let following = work.read_all(to, &ids).await?;
                answers.following.extend(following);
                answers
                    .associations
                    .push((object_type.clone(), to.clone(), found));
                follow = true;
            }
        }
        if follow {
            counts = self.undone(work, answers).await?.0;
        }
        let id = self.run.id;
        self.transact(move |tx| {
            tx.add_run_counts(id, &counts)?;
            tx.advance_run(id, done)?;
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }

    /// The records that reach nobody, as far as is known.
    async fn new_ones(&self, parsed: &[Parsed]) -> Result<HashSet<RecordId>, Error> {
        let id = self.connection.id;
        let pages = parsed.iter().map(|parsed| &parsed.page);
        let answered = pages.flat_map(|page| {
            let records = page.answered.keys().cloned();
            records.map(|record| (page.object_type.clone(), record))
        });
        let answered: Vec<_> = answered.collect();
        Ok(self
            .host
            .store
            .read(move |tx| {
                let mut new = HashSet::new();
                for (object_type, record) in answered {
                    let held = tx.find_record(id, &object_type, &record)?;
                    if held.is_none_or(|held| !held.reached) {
                        new.insert(record);
                    }
                }
                Ok(new)
            })
            .await?)
    }

    /// Applies answers, and undoes it: what it counted, and which of the first
    /// records reached users.
    async fn undone(
        &self,
        work: &Work,
        answers: Answers,
    ) -> Result<(Counts, Vec<(ObjectType, Vec<RecordId>)>, Answers), Error> {
        let (run, connection) = (self.run.id, self.connection.clone());
        let (keys, cause, now) = (self.host.keys.clone(), self.cause(), self.host.clock.now());
        let sequence = work.sequence;
        let rehearsed = self.host.store.rehearse(move |tx| {
            let mut feeder = Feeder::new(tx, &connection, cause, now);
            feeder.report.count_for(Some(run));
            let reached = apply(&mut feeder, &keys, &connection, &answers, sequence)?;
            Ok((feeder.finish()?.counted_for(run), reached, answers))
        });
        Ok(rehearsed.await?)
    }
}

fn apply(
    feeder: &mut Feeder<'_, '_>,
    keys: &Keys,
    connection: &ConnectionRoute,
    answers: &Answers,
    sequence: i64,
) -> Result<Vec<(ObjectType, Vec<RecordId>)>, store::Error> {
    let mut reached: HashMap<ObjectType, Vec<RecordId>> = HashMap::new();
    for parsed in &answers.first {
        let object_type = &parsed.page.object_type;
        for record in parsed.of(connection.id) {
            if !answers.counted.contains(&record.record) {
                continue;
            }
            let (moment, asked) = (parsed.moment, Asked::default());
            apply_record(
                feeder,
                keys,
                object_type,
                record,
                moment,
                asked,
                &parsed.origin,
            )?;
            let held = feeder
                .tx
                .find_record(connection.id, object_type, &record.record)?;
            if held.is_some_and(|held| held.reached) {
                let of_type = reached.entry(object_type.clone()).or_default();
                of_type.push(record.record.clone());
            }
        }
    }
    for (from, to, found) in &answers.associations {
        for (record, associations) in found {
            apply_associations(feeder, from, record, to, associations, sequence)?;
        }
    }
    for parsed in &answers.following {
        let object_type = &parsed.page.object_type;
        for record in parsed.of(connection.id) {
            let (moment, asked) = (parsed.moment, Asked::default());
            apply_record(
                feeder,
                keys,
                object_type,
                record,
                moment,
                asked,
                &parsed.origin,
            )?;
        }
    }
    Ok(reached.into_iter().collect())
}
