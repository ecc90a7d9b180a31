//! One batch of reads: called for, parsed, and applied with the reads that it
//! answers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry},
    sync::Arc,
};

use super::{
    put_off::{LATER, Reason, Said, Verdict, is_last, put_off, verdict},
    reads::Error,
    runs::brake::hold,
};
use crate::{
    host::Host,
    hubspot::{
        self,
        objects::{AssociationInput, Missing},
    },
    model::{
        Association, Cause, ConnectionId, ObjectType, Priority, RecordId, RunId, RunKind, Status,
    },
    pipeline::{
        associations::{apply_associations, prepare_associations},
        feeding::Feeder,
        pages::{Asked, ReadMoment, RecordsPage, apply_absence, apply_record, prepare_records},
        report::Origin,
        routing::{AccountRoute, ConnectionRoute},
    },
    store::{self, reads::DueRead},
    telemetry::{CallLabels, spawn_blocking},
};

/// What the batches of one step share.
pub(super) struct Work {
    /// The host.
    pub host: Arc<Host>,
    /// What the account's connections want.
    pub route: Arc<AccountRoute>,
    /// The configuration that says so.
    pub configuration: i64,
    /// The number that the reads took when they began.
    pub sequence: i64,
    /// How urgent they are.
    pub priority: Priority,
}

impl Work {
    async fn call<T, F>(&self, call: impl Fn(hubspot::Caller) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        let counted = async |caller| self.count(call(caller).await);
        self.host
            .grants
            .call(self.route.id, self.priority, counted)
            .await
    }

    /// Applies answers; a run that its brake holds is held then.
    async fn transact(
        &self,
        apply: impl FnOnce(&store::Tx<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<(), Error> {
        match self.host.store.transact(apply).await {
            Err(error) => Err(hold(&self.host, error).await.into()),
            Ok(()) => Ok(()),
        }
    }

    fn count<T>(&self, answer: Result<T, hubspot::Error>) -> Result<T, hubspot::Error> {
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(hubspot::Error::RateLimited { .. }) => "rate_limited",
            Err(_) => "failed",
        };
        self.host
            .metrics
            .reads
            .get_or_create(&CallLabels { outcome })
            .inc();
        answer
    }

    /// Reads a batch of records, and applies the answer.
    pub async fn records(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let Some(object_type) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let properties = self.route.read_properties(&object_type);
        let ids: Vec<&str> = due.iter().map(|read| read.key.record.as_str()).collect();
        let client = &self.host.hubspot;
        let answer = self
            .call(async |caller| {
                client
                    .read_records(&caller, &object_type, &ids, &properties, None)
                    .await
            })
            .await?;
        let plugin = self.host.plugins.active();
        let origin = Origin {
            word: self.priority.origin(),
            plugin: Some(plugin.digest().to_owned()),
        };
        let (route, body, asked) = (self.route.clone(), answer.body, object_type.clone());
        let received_at = self.host.clock.now();
        let page =
            spawn_blocking(move || prepare_records(&route, &plugin, &asked, &body, received_at))
                .await
                .map_err(|_| Error::Ended)??;
        let moment = ReadMoment {
            sequence: self.sequence,
            answered_at: answer.answered_at,
        };
        let refused = answer.refused.iter().flat_map(|refusal| &refusal.inputs);
        let answered = Answered {
            refused: refused.copied().collect(),
            missing: answer.missing,
            page,
            moment,
        };
        self.apply_records(due, answered, origin).await
    }

    async fn apply_records(
        &self,
        due: Vec<DueRead>,
        answered: Answered,
        origin: Origin,
    ) -> Result<(), Error> {
        let (keys, configuration, route) = (
            self.host.keys.clone(),
            self.configuration,
            self.route.clone(),
        );
        let now = self.host.clock.now();
        let apply = move |tx: &store::Tx<'_>| {
            if tx.configuration()? != configuration {
                return Err(store::Error::ConfigurationChanged);
            }
            let Answered { page, moment, .. } = &answered;
            let asked: HashMap<&RecordId, &DueRead> =
                due.iter().map(|read| (&read.key.record, read)).collect();
            let runs = Runs::of(tx, &due)?;
            for (connection, records) in &page.connections {
                let _in_span = span(connection).entered();
                tracing::debug!(records = records.len(), "records are applied");
                let mut feeder = Feeder::new(tx, connection, Cause::default(), now);
                for record in records {
                    // By its own id, or by one that it had before.
                    let read = std::iter::once(&record.record)
                        .chain(&record.said.merged)
                        .find_map(|id| asked.get(id));
                    let cause = read.map_or(Cause::LIVE, |read| read.cause);
                    feeder.cause = runs.cause(cause, connection.id);
                    feeder.report.count_for(feeder.cause.run);
                    let how = Asked {
                        settled: read
                            .filter(|read| is_last(read) && read.key.record == record.record)
                            .map(|read| read.expected_at),
                        refresh: cause.refresh && !runs.fill(cause, connection.id),
                    };
                    let object_type = &page.object_type;
                    apply_record(
                        &mut feeder,
                        &keys,
                        object_type,
                        record,
                        *moment,
                        how,
                        &origin,
                    )?;
                }
                feeder.finish()?.save(tx, connection.id, now)?;
            }
            for (index, read) in due.iter().enumerate() {
                match verdict(read, answered.says(index, &read.key.record)) {
                    Verdict::Again(reason) => {
                        put_off(tx, &route, read, reason, now)?;
                        continue;
                    }
                    Verdict::Ends => {}
                    Verdict::Absent => {
                        for connection in &route.connections {
                            let _in_span = span(connection).entered();
                            let cause = runs.cause(read.cause, connection.id);
                            let mut feeder = Feeder::new(tx, connection, cause, now);
                            feeder.report.count_for(cause.run);
                            let object_type = &page.object_type;
                            apply_absence(&mut feeder, object_type, &read.key.record, *moment)?;
                            feeder.finish()?.save(tx, connection.id, now)?;
                        }
                    }
                }
                finish(tx, read)?;
            }
            Ok(())
        };
        self.transact(apply).await
    }

    /// Reads records' associations to a type, page after page, and applies them
    /// whole.
    pub async fn associations(&self, due: Vec<DueRead>, to: ObjectType) -> Result<(), Error> {
        let Some(from) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let plugin = self.host.plugins.active();
        let client = &self.host.hubspot;
        let all_missing_before: HashSet<RecordId> = due
            .iter()
            .filter(|read| read.all_missing)
            .map(|read| read.key.record.clone())
            .collect();
        let mut found: HashMap<RecordId, Gathered> = HashMap::new();
        let mut unclear: HashMap<RecordId, Reason> = HashMap::new();
        let mut pages: HashSet<(RecordId, String)> = HashSet::new();
        let mut next: Vec<(RecordId, Option<String>)> = due
            .iter()
            .map(|read| (read.key.record.clone(), None))
            .collect();
        while !next.is_empty() {
            let inputs: Vec<_> = next
                .iter()
                .map(|(record, after)| AssociationInput {
                    record,
                    after: after.as_deref(),
                })
                .collect();
            let answer = self
                .call(async |caller| client.read_associations(&caller, &from, &to, &inputs).await)
                .await?;
            for (record, _) in &next {
                found.entry(record.clone()).or_default();
            }
            let refused = answer.refused.iter().flat_map(|refusal| &refusal.inputs);
            let refused = refused.filter_map(|index| next.get(*index));
            unclear.extend(refused.map(|(id, _)| (id.clone(), Reason::Refused)));
            if answer.without == Missing::WholeBatch {
                for (record, after) in &next {
                    if after.is_some() {
                        // There were some on the page before.
                        unclear.insert(record.clone(), Reason::Unanswered);
                    } else if !all_missing_before.contains(record) {
                        // To be believed when it repeats.
                        unclear.insert(record.clone(), Reason::AllMissing);
                    }
                }
            }
            let (body, plugin, received_at) =
                (answer.body.clone(), plugin.clone(), self.host.clock.now());
            let (from, to) = (from.clone(), to.clone());
            let page = spawn_blocking(move || {
                prepare_associations(&plugin, &from, &to, &body, received_at)
            })
            .await
            .map_err(|_| Error::Ended)??;
            let not_understood = page.not_understood.into_iter();
            unclear.extend(not_understood.map(|id| (id, Reason::NotUnderstood)));
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
        self.apply_associations(due, from, to, found, unclear).await
    }

    async fn apply_associations(
        &self,
        due: Vec<DueRead>,
        from: ObjectType,
        to: ObjectType,
        found: HashMap<RecordId, Vec<Association>>,
        unclear: HashMap<RecordId, Reason>,
    ) -> Result<(), Error> {
        let (configuration, route, sequence) =
            (self.configuration, self.route.clone(), self.sequence);
        let now = self.host.clock.now();
        let apply = move |tx: &store::Tx<'_>| {
            if tx.configuration()? != configuration {
                return Err(store::Error::ConfigurationChanged);
            }
            let runs = Runs::of(tx, &due)?;
            for connection in &route.connections {
                let _in_span = span(connection).entered();
                let mut feeder = Feeder::new(tx, connection, Cause::default(), now);
                for read in &due {
                    feeder.cause = runs.cause(read.cause, connection.id);
                    feeder.report.count_for(feeder.cause.run);
                    let record = &read.key.record;
                    if let Some(found) = found.get(record) {
                        apply_associations(&mut feeder, &from, record, &to, found, sequence)?;
                    }
                }
                feeder.finish()?.save(tx, connection.id, now)?;
            }
            for read in &due {
                match unclear.get(&read.key.record) {
                    Some(reason) => put_off(tx, &route, read, *reason, now)?,
                    None => finish(tx, read)?,
                }
            }
            Ok(())
        };
        self.transact(apply).await
    }

    /// Ends reads without a call, but for what a paused connection may want.
    pub async fn finish(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let (account, configuration) = (self.route.id, self.configuration);
        let later = self.host.clock.now().plus(LATER);
        let finish = move |tx: &store::Tx<'_>| {
            if tx.configuration()? != configuration {
                return Err(store::Error::ConfigurationChanged);
            }
            let connections = tx.account_connections(account)?;
            let paused = connections.iter().any(|one| one.status == Status::Paused);
            due.iter().try_for_each(|read| {
                if paused {
                    tx.put_off_read(read, later, false)
                } else {
                    finish(tx, read)
                }
            })
        };
        self.transact(finish).await
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

/// The runs that reads were asked for by.
pub(super) struct Runs(HashMap<RunId, (ConnectionId, RunKind)>);

impl Runs {
    fn of(tx: &store::Tx<'_>, due: &[DueRead]) -> Result<Self, store::Error> {
        let ids: BTreeSet<RunId> = due.iter().filter_map(|read| read.cause.run).collect();
        let mut runs = HashMap::new();
        for id in ids {
            match tx.run(id) {
                Ok(run) => runs.insert(id, (run.connection, run.kind)),
                // Let go of with its connection.
                Err(store::Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Self(runs))
    }

    /// The cause, in a connection's terms: another connection's run is not
    /// counted there.
    fn cause(&self, cause: Cause, connection: ConnectionId) -> Cause {
        let run = cause.run.filter(|run| {
            let found = self.0.get(run);
            found.is_some_and(|(of, _)| *of == connection)
        });
        Cause { run, ..cause }
    }

    /// Whether a run asks that all of a connection's fields are filled.
    fn fill(&self, cause: Cause, connection: ConnectionId) -> bool {
        let run = cause.run.and_then(|run| self.0.get(&run));
        run == Some(&(connection, RunKind::Full))
    }
}

/// Within that of the account's reads.
fn span(connection: &ConnectionRoute) -> tracing::Span {
    tracing::error_span!("connection", connection = %connection.id)
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
    page: RecordsPage,
    missing: Missing,
    /// What HubSpot refuses, by index of what was asked for.
    refused: HashSet<usize>,
    moment: ReadMoment,
}

impl Answered {
    /// What it says of one that was asked for.
    fn says(&self, index: usize, record: &RecordId) -> Said {
        if let Some(modified_at) = self.page.answered.get(record) {
            return Said::Record(*modified_at);
        }
        match &self.missing {
            Missing::WholeBatch => Said::AllMissing,
            Missing::Named(named) if named.contains(&index) => Said::Missing,
            Missing::Named(_) if self.refused.contains(&index) => Said::Nothing(Reason::Refused),
            Missing::Named(_) if self.page.not_understood.contains(record) => {
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
