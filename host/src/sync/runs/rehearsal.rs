//! Dry runs: what a full sync would do, done in transactions that are undone.
//!
//! A step takes some records, and all that follows from them: those that would
//! reach users have their associations read, and the records that these lead to.
//! Then all of it is applied at once, counted, and undone. So a dry run counts by
//! the very rules that a real one goes by, and holds no more than a step's
//! answers.

use std::collections::{BTreeSet, HashSet};

use super::{
    super::{
        answers::{Answers, Found, asked_at_once},
        failures::Error,
        lookup_batches::key_kind,
        work::{Parsed, Work},
    },
    Outcome,
    stages::{Step, stages},
};
use crate::{
    hubspot::objects::RECORDS_MAX,
    model::{ObjectType, Range, RecordId, Stage},
    pipeline::{feeding::Feeder, pages::ReadMoment, report::RunReport},
    store::records::RecordKey,
};

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
        keys.truncate(asked_at_once(&keys));
        let Some(last) = keys.last().cloned() else {
            return self.move_on(None, rest).await;
        };
        let work = self.work().await?;
        let parsed = work.records_of_keys(object_type, rule, &keys).await?.pages;
        let left = Stage::Keys {
            object_type: object_type.clone(),
            after: Some(last),
        };
        let (done, stages) = (keys.len(), stages(Some(left), rest));
        // Those that reach users already are counted in a stage of their own.
        let answers = Answers {
            counted: self.new_ones(&parsed).await?,
            first: parsed,
            ..Answers::default()
        };
        // A record is found by each of its identifiers.
        self.rehearse(&work, answers, Some(object_type), done, stages)
            .await
    }

    /// Counts what the records of pages would do: of those that came with all that
    /// is wanted of them, where they did.
    pub(super) async fn rehearse_pages(
        &self,
        work: &Work,
        object_type: &ObjectType,
        whole: Option<Vec<(Range, Parsed)>>,
        ids: Vec<RecordId>,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let first = match whole {
            Some(pages) => pages.into_iter().map(|(_, parsed)| parsed).collect(),
            None => work.read_all(object_type, &ids).await?.0,
        };
        let done = ids.len();
        let held: HashSet<RecordId> = ids.into_iter().collect();
        let mut counted = self.new_ones(&first).await?;
        counted.retain(|record| held.contains(record));
        let answers = Answers {
            first,
            counted,
            ..Answers::default()
        };
        self.rehearse(work, answers, None, done, stages).await
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
        let (first, absent) = work.read_all(object_type, &ids).await?;
        let left = Stage::Reached {
            object_type: object_type.clone(),
            after: last,
        };
        let (done, stages) = (ids.len(), stages(Some(left), rest));
        let answers = Answers {
            first,
            absent: absent
                .into_iter()
                .map(|record| (object_type.clone(), record))
                .collect(),
            counted: ids.into_iter().collect(),
            ..Answers::default()
        };
        self.rehearse(&work, answers, None, done, stages).await
    }

    /// What a step's calls share.
    pub(super) async fn work(&self) -> Result<Work, Error> {
        let sequence = self.host.store.transact(|tx| tx.next_sequence()).await?;
        Ok(Work {
            host: self.host.clone(),
            route: self.account.clone(),
            sequence,
            priority: self.priority(),
            calls: self.host.metrics.reads.clone(),
        })
    }

    /// Counts what answers would do, with all that follows from them, and moves on.
    /// Other steps may meet records that follow, and those of `is_met_again`.
    async fn rehearse(
        &self,
        work: &Work,
        answers: Answers,
        is_met_again: Option<&ObjectType>,
        done: usize,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let (mut counted, reached, mut answers) = self.undone(work, answers).await?;
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
                let (following, _) = work.read_all(to, &ids).await?;
                answers.following.extend(following);
                let before = self.counted_before(to, ids).await?;
                answers.counted_before.extend(before);
                answers
                    .associations
                    .push((object_type.clone(), to.clone(), found));
                follow = true;
            }
        }
        if follow {
            counted = self.undone(work, answers).await?.0;
        }
        let (id, is_met_again) = (self.run.id, is_met_again.cloned());
        self.transact(move |tx| {
            counted.save_once(tx, id, |object_type| {
                let mapping = connection.mapping(object_type);
                let follows = mapping.is_some_and(|(_, mapping)| mapping.through.is_some());
                follows || is_met_again.as_ref() == Some(object_type)
            })?;
            tx.advance_run(id, done)?;
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }

    /// Which of these records an earlier step counted.
    async fn counted_before(
        &self,
        object_type: &ObjectType,
        records: Vec<RecordId>,
    ) -> Result<Vec<(ObjectType, RecordId)>, Error> {
        let (run, of_type) = (self.run.id, object_type.clone());
        let counted = self.host.store.read(move |tx| {
            let mut counted = Vec::new();
            for record in records {
                if tx.counted(run, &of_type, &record)?.is_some() {
                    counted.push((of_type.clone(), record));
                }
            }
            Ok(counted)
        });
        Ok(counted.await?)
    }

    /// The records that reach nobody, as far as is known, and that no earlier step
    /// counted.
    async fn new_ones(&self, parsed: &[Parsed]) -> Result<HashSet<RecordId>, Error> {
        let (run, id) = (self.run.id, self.connection.id);
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
                    let is_counted = tx.counted(run, &object_type, &record)?.is_some();
                    if !is_counted && held.is_none_or(|held| !held.reached) {
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
    ) -> Result<(RunReport, Vec<(ObjectType, Vec<RecordId>)>, Answers), Error> {
        let (run, connection) = (self.run.id, self.connection.clone());
        let (keys, cause, now) = (self.host.keys.clone(), self.cause(), self.host.clock.now());
        let moment = ReadMoment {
            sequence: work.sequence,
            answered_at: now,
        };
        let rehearsed = self.host.store.rehearse(move |tx| {
            let id = connection.id;
            let mut uncounted = Feeder::new(tx, &connection, cause, now);
            let applied = answers.apply_counted_before(&mut uncounted, &keys, id)?;
            let mut feeder = Feeder::new(tx, &connection, cause, now);
            let reached = answers.apply(&mut feeder, &keys, id, moment, &applied)?;
            Ok((feeder.finish()?.counted_for(run), reached, answers))
        });
        Ok(rehearsed.await?)
    }
}
