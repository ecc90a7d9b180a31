//! Reads what the read queue asks for, account by account, in batches, and
//! hands the answers to the pipeline.
//!
//! A read is over when its answer is applied, in the same transaction. One that
//! knows less than the event that caused it is asked for again a little later.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::grants::{self, missing_scopes, needs_attention};
use crate::{
    host::Host,
    hubspot::{
        self, Priority,
        objects::{ASSOCIATION_INPUTS_MAX, AssociationInput, Missing, RECORDS_MAX},
    },
    model::{AccountId, Association, ObjectType, RecordId},
    pipeline::{
        feeding::Feeder,
        pages::{
            self, ReadMoment, RecordsPage, apply_absence, apply_associations, apply_record,
            prepare_associations, prepare_records,
        },
        report::Origin,
        routing::AccountRoute,
    },
    store::{
        self,
        reads::{DueRead, Wanted},
    },
    telemetry::CallLabels,
};

/// How long an answer that knew too little is waited with: HubSpot shows a
/// change everywhere within seconds.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// How often the queue is looked at when nothing in this process says that it
/// moved; the command line of another process may have.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long an account waits after a failure that says no moment.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after repeated failures.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Reads of one account that are in work at once: enough to use what an account
/// allows (11 calls a second) at HubSpot's usual 200 ms.
const AT_ONCE: usize = 4;

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Grant(#[from] grants::Error),
    #[error(transparent)]
    HubSpot(#[from] hubspot::Error),
    #[error(transparent)]
    Page(#[from] pages::Error),
    #[error("the work ended abruptly")]
    Ended,
}

/// Reads until it is told to stop.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let working: Arc<Mutex<HashSet<AccountId>>> = Arc::default();
    while !stop.is_cancelled() {
        match due_accounts(&host).await {
            Ok(accounts) => {
                for route in accounts {
                    let mut held = working.lock().unwrap_or_else(PoisonError::into_inner);
                    if held.insert(route.id) {
                        let (host, stop, working) = (host.clone(), stop.clone(), working.clone());
                        tokio::spawn(async move {
                            drain(&host, &route, &stop).await;
                            working
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .remove(&route.id);
                        });
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the read queue could not be looked at"),
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    // Reads under way are cut short; the queue still has them.
}

async fn due_accounts(host: &Host) -> Result<Vec<Arc<AccountRoute>>, store::Error> {
    let routing = host.pipeline.routing().await?;
    let now = host.clock.now();
    let routes: Vec<_> = routing.accounts().cloned().collect();
    host.store
        .read(move |tx| {
            let mut due = Vec::new();
            for route in routes {
                if tx
                    .next_read_at(route.id)?
                    .is_some_and(|moment| moment <= now)
                {
                    due.push(route);
                }
            }
            Ok(due)
        })
        .await
}

/// Reads all that is due of an account.
async fn drain(host: &Arc<Host>, account: &Arc<AccountRoute>, stop: &CancellationToken) {
    let mut pause = PAUSE;
    let mut batch_max = usize::MAX;
    while !stop.is_cancelled() {
        let step = tokio::select! {
            step = step(host, account, batch_max) => step,
            () = stop.cancelled() => return,
        };
        let error = match step {
            Ok(true) => {
                pause = PAUSE;
                batch_max = usize::MAX;
                continue;
            }
            Ok(false) => return,
            Err(error) => error,
        };
        let outcome = CallLabels {
            outcome: word(&error),
        };
        host.metrics.reads.get_or_create(&outcome).inc();
        tracing::warn!(account = %account.key, %error, "a read failed");
        match &error {
            // The batch halves down to one record.
            Error::HubSpot(hubspot::Error::TooLarge { .. }) if batch_max > 1 => {
                batch_max = batch_max.min(RECORDS_MAX) / 2;
                continue;
            }
            Error::HubSpot(hubspot::Error::MissingScopes { scopes }) => {
                let (id, problem) = (account.id, missing_scopes(scopes));
                if let Err(error) = host
                    .store
                    .transact(move |tx| needs_attention(tx, id, &problem))
                    .await
                {
                    tracing::error!(%error, "a problem could not be kept");
                }
                return;
            }
            Error::Grant(error) if !error.is_retryable() => return,
            _ => {}
        }
        let retry_at = match &error {
            Error::HubSpot(error) => error.retry_at(),
            Error::Grant(error) => error.retry_at(),
            _ => None,
        };
        let until = retry_at.unwrap_or(host.clock.now().plus(pause));
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = host.clock.sleep_until(until) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Store(_) => "store",
        Error::Grant(_) => "grant",
        Error::HubSpot(hubspot::Error::RateLimited { .. }) => "rate_limited",
        Error::HubSpot(_) => "hubspot",
        Error::Page(_) | Error::Ended => "plugin",
    }
}

/// Reads what is due, at most a few batches at once. Returns whether there was
/// anything.
async fn step(host: &Arc<Host>, account: &AccountRoute, batch_max: usize) -> Result<bool, Error> {
    let id = account.id;
    let now = host.clock.now();
    let limit = batch_max.min(ASSOCIATION_INPUTS_MAX.max(RECORDS_MAX * AT_ONCE));
    let (due, sequence) = host
        .store
        .transact(move |tx| Ok((tx.due_reads(id, now, limit)?, tx.next_sequence()?)))
        .await?;
    let Some(first) = due.first() else {
        return Ok(false);
    };
    let routing = host.pipeline.routing().await?;
    let Some(route) = routing.account(&account.key).cloned() else {
        return Ok(false);
    };
    let work = Work {
        host: host.clone(),
        route,
        configuration: routing.configuration,
        sequence,
    };
    match first.key.wanted.clone() {
        Wanted::Record => {
            let batches: Vec<_> = due
                .chunks(RECORDS_MAX.min(batch_max))
                .map(|batch| work.records(batch.to_vec()))
                .collect();
            for outcome in futures_util::future::join_all(batches).await {
                outcome?;
            }
        }
        Wanted::Associations(to_type) => work.associations(due, to_type).await?,
    }
    host.metrics
        .reads
        .get_or_create(&CallLabels { outcome: "ok" })
        .inc();
    host.pipeline.notify_changed();
    Ok(true)
}

/// What a step's batches share.
struct Work {
    host: Arc<Host>,
    route: Arc<AccountRoute>,
    configuration: i64,
    sequence: i64,
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

    async fn records(&self, due: Vec<DueRead>) -> Result<(), Error> {
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
        let page = tokio::task::spawn_blocking(move || {
            prepare_records(&route, &plugin, &asked, &body, received_at)
        })
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

    async fn associations(&self, due: Vec<DueRead>, to: ObjectType) -> Result<(), Error> {
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
            let page = tokio::task::spawn_blocking(move || {
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

impl hubspot::objects::Associations {
    fn missing_all(&self) -> bool {
        self.without == Missing::WholeBatch
    }
}
