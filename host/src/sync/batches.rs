//! One batch of reads: called for, parsed, and applied with the reads that it
//! answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry};

use super::{
    failures::Error,
    put_off::{LATER, Reason, Said, Verdict, Whom, Why, is_last, put_off, put_off_for, verdict},
    work::{Parsed, Runs, Work, span},
};
use crate::{
    hubspot::{
        CONNECTOR,
        objects::{AssociationInput, Missing},
    },
    model::{Association, Cause, ObjectType, RecordId, Status},
    pipeline::{
        associations::{apply_associations, prepare_associations},
        feeding::Feeder,
        pages::{Asked, apply_absence},
    },
    store::{self, reads::DueRead},
    telemetry::spawn_blocking,
};

impl Work {
    /// Reads a batch of records, and applies the answer.
    pub async fn records(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let Some(object_type) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let properties = self.route.read_properties(&object_type);
        let ids: Vec<&str> = due.iter().map(|read| read.key.record.as_str()).collect();
        let client = &self.host.hubspot;
        let (answer, _turn) = self
            .call(async |caller| {
                client
                    .read_records(&caller, &object_type, &ids, &properties, None)
                    .await
            })
            .await?;
        let parsed = self.parse(&object_type, answer.body, answer.answered_at);
        let refused = answer.refused.iter().flat_map(|refusal| &refusal.inputs);
        let answered = Answered {
            refused: refused.copied().collect(),
            missing: answer.missing,
            parsed: parsed.await?,
        };
        self.apply_records(due, answered).await
    }

    async fn apply_records(&self, due: Vec<DueRead>, answered: Answered) -> Result<(), Error> {
        let (keys, route) = (self.host.keys.clone(), self.route.clone());
        let now = self.host.clock.now();
        self.apply(move |tx| {
            let asked: HashMap<&RecordId, &DueRead> =
                due.iter().map(|read| (&read.key.record, read)).collect();
            let runs = Runs::of(tx, due.iter().map(|read| read.cause.run))?;
            let Parsed { page, moment, .. } = &answered.parsed;
            answered
                .parsed
                .apply(tx, &keys, now, |connection, record| {
                    // By its own id, or by one that it had before.
                    let read = std::iter::once(&record.record)
                        .chain(&record.said.merged)
                        .find_map(|id| asked.get(id));
                    let cause = read.map_or(Cause::LIVE, |read| read.cause);
                    let how = Asked {
                        settled: read
                            .filter(|read| is_last(read) && read.key.record == record.record)
                            .map(|read| read.expected_at),
                        refresh: cause.refresh && !runs.fill(cause, connection.id),
                    };
                    (runs.cause(cause, connection.id), how)
                })?;
            for (index, read) in due.iter().enumerate() {
                match verdict(read, answered.says(index, &read.key.record)) {
                    Verdict::Again(reason) => {
                        let why = match reason {
                            Reason::NotUnderstood => Why {
                                reason,
                                whom: Whom::These(page.misread_for(&read.key.record)),
                            },
                            reason => reason.into(),
                        };
                        put_off(tx, &route, read, &why, now)?;
                        continue;
                    }
                    Verdict::Ends if page.is_misread(&read.key.record) => {
                        let these = page.misread_for(&read.key.record);
                        put_off_for(tx, &route, read, (these, &runs), now)?;
                        continue;
                    }
                    Verdict::Ends => {}
                    Verdict::Absent => {
                        for connection in &route.connections {
                            let _in_span = span(connection).entered();
                            let cause = runs.cause(read.cause, connection.id);
                            let mut feeder = Feeder::new(tx, connection, cause, now);
                            feeder.count_for(cause);
                            let object_type = &page.object_type;
                            apply_absence(&mut feeder, object_type, &read.key.record, *moment)?;
                            feeder.finish()?.save(tx, connection.id, now)?;
                        }
                    }
                }
                finish(tx, read)?;
            }
            Ok(())
        })
        .await
    }

    /// Reads records' associations to a type, and applies them whole.
    pub async fn associations(&self, due: Vec<DueRead>, to: ObjectType) -> Result<(), Error> {
        let Some(from) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let missing_before = due.iter().filter(|read| read.all_missing);
        let missing_before = missing_before.map(|read| read.key.record.clone()).collect();
        let records: Vec<_> = due.iter().map(|read| read.key.record.clone()).collect();
        let (found, unclear) = self.gather(&from, &to, &records, &missing_before).await?;
        self.apply_associations(due, from, to, found, unclear).await
    }

    /// Reads records' associations to a type, page after page: those of each, or
    /// why they are not known. A whole batch that is missing is believed of the
    /// records that were so before.
    pub async fn gather(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        records: &[RecordId],
        all_missing_before: &HashSet<RecordId>,
    ) -> Result<(HashMap<RecordId, Vec<Association>>, HashMap<RecordId, Why>), Error> {
        let plugin = self.host.plugins.active(CONNECTOR)?;
        let client = &self.host.hubspot;
        let mut found: HashMap<RecordId, Gathered> = HashMap::new();
        let mut unclear: HashMap<RecordId, Why> = HashMap::new();
        let mut pages: HashSet<(RecordId, String)> = HashSet::new();
        let first = records.iter().map(|record| (record.clone(), None));
        let mut next: Vec<(RecordId, Option<String>)> = first.collect();
        while !next.is_empty() {
            let inputs: Vec<_> = next
                .iter()
                .map(|(record, after)| AssociationInput {
                    record,
                    after: after.as_deref(),
                })
                .collect();
            // It is over before the next page is asked for.
            let (answer, _turn) = self
                .call(async |caller| client.read_associations(&caller, from, to, &inputs).await)
                .await?;
            for (record, _) in &next {
                found.entry(record.clone()).or_default();
            }
            let refused = answer.refused.iter().flat_map(|refusal| &refusal.inputs);
            let refused = refused.filter_map(|index| next.get(*index));
            unclear.extend(refused.map(|(id, _)| (id.clone(), Reason::Refused.into())));
            if answer.without == Missing::WholeBatch {
                for (record, after) in &next {
                    if after.is_some() {
                        // There were some on the page before.
                        unclear.insert(record.clone(), Reason::Unanswered.into());
                    } else if !all_missing_before.contains(record) {
                        // To be believed when it repeats.
                        unclear.insert(record.clone(), Reason::AllMissing.into());
                    }
                }
            }
            let (body, plugin, received_at) =
                (answer.body.clone(), plugin.clone(), self.host.clock.now());
            let (of, other, digest) = (from.clone(), to.clone(), plugin.digest().to_owned());
            let page = spawn_blocking(move || {
                prepare_associations(&plugin, &of, &other, &body, received_at)
            })
            .await
            .map_err(|_| Error::Ended)??;
            let misread = Why {
                reason: Reason::NotUnderstood,
                whom: Whom::All(Some(digest)),
            };
            let not_understood = page.not_understood.into_iter();
            unclear.extend(not_understood.map(|id| (id, misread.clone())));
            for (record, associations) in page.said {
                gather(found.entry(record).or_default(), associations);
            }
            // Each page once, though several elements may name the next.
            let more: BTreeSet<(RecordId, String)> = answer.more.into_iter().collect();
            if more.iter().any(|page| !pages.insert(page.clone())) {
                return Err(Error::Endless);
            }
            next = more
                .into_iter()
                .map(|(id, after)| (id, Some(after)))
                .collect();
        }
        let found = found
            .into_iter()
            .filter(|(record, _)| !unclear.contains_key(record))
            .map(|(record, gathered)| (record, gathered.into_values().collect()))
            .collect();
        Ok((found, unclear))
    }

    async fn apply_associations(
        &self,
        due: Vec<DueRead>,
        from: ObjectType,
        to: ObjectType,
        found: HashMap<RecordId, Vec<Association>>,
        unclear: HashMap<RecordId, Why>,
    ) -> Result<(), Error> {
        let (route, sequence) = (self.route.clone(), self.sequence);
        let now = self.host.clock.now();
        self.apply(move |tx| {
            let runs = Runs::of(tx, due.iter().map(|read| read.cause.run))?;
            for connection in &route.connections {
                let _in_span = span(connection).entered();
                let mut feeder = Feeder::new(tx, connection, Cause::default(), now);
                for read in &due {
                    feeder.count_for(runs.cause(read.cause, connection.id));
                    let record = &read.key.record;
                    if let Some(found) = found.get(record) {
                        apply_associations(&mut feeder, &from, record, &to, found, sequence)?;
                    }
                }
                feeder.finish()?.save(tx, connection.id, now)?;
            }
            for read in &due {
                match unclear.get(&read.key.record) {
                    Some(why) => put_off(tx, &route, read, why, now)?,
                    None => finish(tx, read)?,
                }
            }
            Ok(())
        })
        .await
    }

    /// Ends reads without a call, but for what a paused connection may want.
    pub async fn finish(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let account = self.route.id;
        let later = self.host.clock.now().plus(LATER);
        self.apply(move |tx| {
            let connections = tx.account_connections(account)?;
            let paused = connections.iter().any(|one| one.status == Status::Paused);
            due.iter().try_for_each(|read| {
                if paused {
                    tx.put_off_read(read, later, false)
                } else {
                    finish(tx, read)
                }
            })
        })
        .await
    }
}

/// Ends a read that was answered.
fn finish(tx: &store::Tx<'_>, read: &DueRead) -> Result<(), store::Error> {
    if tx.finish_read(read)?
        && let Some(run) = read.cause.run
    {
        tx.advance_run(run, 1)?;
    }
    Ok(())
}

/// A record's associations, by the other record.
type Gathered = BTreeMap<RecordId, Association>;

/// Adds what one element says. HubSpot may tell of one association in several,
/// and on several pages: all that was said of it counts.
fn gather(gathered: &mut Gathered, said: Vec<Association>) {
    for association in said {
        match gathered.entry(association.to_record.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(association);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.primary |= association.primary;
                known.labels.extend(association.labels);
                known.labels.sort();
                known.labels.dedup();
            }
        }
    }
}

/// An answer about a batch of records.
struct Answered {
    parsed: Parsed,
    missing: Missing,
    /// What HubSpot refuses, by index of what was asked for.
    refused: HashSet<usize>,
}

impl Answered {
    /// What it says of one that was asked for.
    fn says(&self, index: usize, record: &RecordId) -> Said {
        if let Some(modified_at) = self.parsed.page.answered.get(record) {
            return Said::Record(*modified_at);
        }
        match &self.missing {
            Missing::WholeBatch => Said::AllMissing,
            Missing::Named(named) if named.contains(&index) => Said::Missing,
            Missing::Named(_) if self.refused.contains(&index) => Said::Nothing(Reason::Refused),
            Missing::Named(_) if self.parsed.page.is_misread(record) => {
                Said::Nothing(Reason::NotUnderstood)
            }
            Missing::Named(_) => Said::Nothing(Reason::Unanswered),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(record: &str, primary: bool, labels: &[&str]) -> Association {
        Association {
            to_record: record.into(),
            primary,
            labels: labels.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn an_association_that_is_told_several_times_is_one_with_all_that_was_said() {
        let mut gathered = Gathered::new();
        gather(
            &mut gathered,
            vec![to("7", false, &["b"]), to("8", true, &[])],
        );
        gather(&mut gathered, vec![to("7", true, &["a", "b"])]);
        gather(&mut gathered, vec![to("8", false, &[])]);
        let all: Vec<_> = gathered.into_values().collect();
        assert_eq!(all, [to("7", true, &["a", "b"]), to("8", true, &[])]);
    }
}
