//! One batch of reads: called for, parsed, and applied with the reads that it
//! answers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::reads::{AGAIN_AFTER, Error};
use crate::{
    host::Host,
    hubspot::{
        self, Priority,
        objects::{AssociationInput, Missing},
    },
    model::{Association, ObjectType, RecordId},
    pipeline::{
        feeding::Feeder,
        pages::{
            ReadMoment, RecordsPage, apply_absence, apply_associations, apply_record,
            prepare_associations, prepare_records,
        },
        report::Origin,
        routing::{AccountRoute, ConnectionRoute},
    },
    store::{self, reads::DueRead},
    telemetry::spawn_blocking,
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
}

impl Work {
    async fn call<T, F>(&self, call: impl Fn(hubspot::Caller) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        let caller = self
            .host
            .grants
            .caller(self.route.id, Priority::Live)
            .await?;
        let token = caller.token.clone();
        match call(caller).await {
            Err(hubspot::Error::Unauthorized) => {
                self.host.grants.replace(self.route.id, &token).await?;
                let caller = self
                    .host
                    .grants
                    .caller(self.route.id, Priority::Live)
                    .await?;
                Ok(call(caller).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Reads a batch of records, and applies the answer.
    pub async fn records(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let Some(object_type) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let properties = self.route.read_properties(&object_type);
        if properties.is_empty() {
            // Nothing maps it any more.
            return self.finish_all(due).await;
        }
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
            word: "webhook",
            plugin: Some(plugin.digest().to_owned()),
        };
        let (route, body, asked) = (self.route.clone(), answer.body, object_type.clone());
        let received_at = self.host.clock.now();
        let page =
            spawn_blocking(move || prepare_records(&route, &plugin, &asked, &body, received_at))
                .await
                .map_err(|_| Error::Ended)??;
        let missing = match answer.missing {
            Missing::Named(named) => named.into_iter().collect(),
            Missing::WholeBatch => (0..due.len()).collect(),
        };
        let moment = ReadMoment {
            sequence: self.sequence,
            answered_at: answer.answered_at,
        };
        self.apply_records(due, page, missing, moment, origin).await
    }

    async fn apply_records(
        &self,
        due: Vec<DueRead>,
        page: RecordsPage,
        missing: HashSet<usize>,
        moment: ReadMoment,
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
            let last = |read: &DueRead| read.attempts as usize >= AGAIN_AFTER.len();
            let asked: HashMap<&RecordId, &DueRead> =
                due.iter().map(|read| (&read.key.record, read)).collect();
            for (connection, records) in &page.connections {
                let _in_span = span(connection).entered();
                tracing::debug!(records = records.len(), "records are applied");
                let mut feeder = Feeder::new(tx, connection, now);
                for record in records {
                    let settled = asked
                        .get(&record.record)
                        .filter(|read| last(read))
                        .map(|read| read.expected_at);
                    let object_type = &page.object_type;
                    apply_record(
                        &mut feeder,
                        &keys,
                        object_type,
                        record,
                        moment,
                        settled,
                        &origin,
                    )?;
                }
                feeder.finish()?.save(tx, connection.id, now)?;
            }
            for (index, read) in due.iter().enumerate() {
                let known = match page.answered.get(&read.key.record) {
                    Some(modified_at) => modified_at.is_none_or(|at| at >= read.expected_at),
                    None => false,
                };
                if !known && !last(read) {
                    let wait = AGAIN_AFTER[read.attempts as usize];
                    tx.put_off_read(read, now.plus(wait))?;
                    continue;
                }
                if !known && missing.contains(&index) {
                    for connection in &route.connections {
                        let _in_span = span(connection).entered();
                        let mut feeder = Feeder::new(tx, connection, now);
                        let object_type = &page.object_type;
                        apply_absence(&mut feeder, object_type, &read.key.record, moment)?;
                        feeder.finish()?.save(tx, connection.id, now)?;
                    }
                }
                tx.finish_read(read)?;
            }
            Ok(())
        };
        Ok(self.host.store.transact(apply).await?)
    }

    /// Reads records' associations to a type, page after page, and applies them
    /// whole.
    pub async fn associations(&self, due: Vec<DueRead>, to: ObjectType) -> Result<(), Error> {
        let Some(from) = due.first().map(|read| read.key.object_type.clone()) else {
            return Ok(());
        };
        let plugin = self.host.plugins.active();
        let client = &self.host.hubspot;
        let mut found: HashMap<RecordId, Vec<Association>> = HashMap::new();
        let mut unclear: HashSet<RecordId> = HashSet::new();
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
            unclear.extend(
                refused
                    .filter_map(|index| next.get(*index))
                    .map(|(id, _)| id.clone()),
            );
            if answer.missing_all() {
                // To be believed when it repeats.
                let first_time = due.iter().filter(|read| read.attempts == 0);
                unclear.extend(first_time.map(|read| read.key.record.clone()));
            }
            let (body, plugin, received_at) =
                (answer.body.clone(), plugin.clone(), self.host.clock.now());
            let (from, to) = (from.clone(), to.clone());
            let page = spawn_blocking(move || {
                prepare_associations(&plugin, &from, &to, &body, received_at)
            })
            .await
            .map_err(|_| Error::Ended)??;
            for (record, associations) in page {
                found.entry(record).or_default().extend(associations);
            }
            next = answer
                .more
                .into_iter()
                .map(|(id, after)| (id, Some(after)))
                .collect();
        }
        self.apply_associations(due, from, to, found, unclear).await
    }

    async fn apply_associations(
        &self,
        due: Vec<DueRead>,
        from: ObjectType,
        to: ObjectType,
        found: HashMap<RecordId, Vec<Association>>,
        unclear: HashSet<RecordId>,
    ) -> Result<(), Error> {
        let (configuration, route, sequence) =
            (self.configuration, self.route.clone(), self.sequence);
        let now = self.host.clock.now();
        let apply = move |tx: &store::Tx<'_>| {
            if tx.configuration()? != configuration {
                return Err(store::Error::ConfigurationChanged);
            }
            for connection in &route.connections {
                let _in_span = span(connection).entered();
                let mut feeder = Feeder::new(tx, connection, now);
                for read in &due {
                    let record = &read.key.record;
                    if let Some(found) = found.get(record).filter(|_| !unclear.contains(record)) {
                        apply_associations(&mut feeder, &from, record, &to, found, sequence)?;
                    }
                }
                feeder.finish()?.save(tx, connection.id, now)?;
            }
            for read in &due {
                let wait = AGAIN_AFTER.get(read.attempts as usize);
                match wait.filter(|_| unclear.contains(&read.key.record)) {
                    Some(wait) => tx.put_off_read(read, now.plus(*wait))?,
                    None => tx.finish_read(read)?,
                }
            }
            Ok(())
        };
        Ok(self.host.store.transact(apply).await?)
    }

    async fn finish_all(&self, due: Vec<DueRead>) -> Result<(), Error> {
        let finish = move |tx: &store::Tx<'_>| due.iter().try_for_each(|read| tx.finish_read(read));
        Ok(self.host.store.transact(finish).await?)
    }
}

/// Within that of the account's reads.
fn span(connection: &ConnectionRoute) -> tracing::Span {
    tracing::error_span!("connection", connection = %connection.id)
}

impl hubspot::objects::Associations {
    fn missing_all(&self) -> bool {
        self.without == Missing::WholeBatch
    }
}
