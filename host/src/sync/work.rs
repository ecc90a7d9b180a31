//! What batches of reads and of look-ups do alike: they call in an account's
//! name, have the plugin parse the answer, and apply its records under the
//! configuration that they were prepared under.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use prometheus_client::metrics::{counter::Counter, family::Family};

use super::{failures::Error, runs::brake::braked, turns::Turn};
use crate::{
    host::Host,
    hubspot::{
        self,
        objects::{Missing, RECORDS_MAX},
    },
    model::{
        Cause, ConnectionId, ObjectType, Priority, PropertyName, RecordId, RunId, RunKind,
        RunStatus, Timestamp,
    },
    pipeline::{
        feeding::Feeder,
        pages::{Asked, ReadMoment, ReadRecord, RecordsPage, apply_record, prepare_records},
        report::Origin,
        routing::{AccountRoute, ConnectionRoute},
    },
    secrets::Keys,
    store,
    telemetry::{CallLabels, spawn_blocking},
};

/// What the batches of one step share.
pub(super) struct Work {
    /// The host.
    pub host: Arc<Host>,
    /// What the account's connections want.
    pub route: Arc<AccountRoute>,
    /// The number that the calls took when they began.
    pub sequence: i64,
    /// How urgent they are.
    pub priority: Priority,
    /// Where calls are counted.
    pub calls: Family<CallLabels, Counter>,
}

impl Work {
    /// Calls HubSpot in the account's name; returns the answer in its turn, which is to be
    /// held until what comes of it is applied.
    pub async fn call<T, F>(&self, call: impl Fn(hubspot::Caller) -> F) -> Result<(T, Turn), Error>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        let counted = async |caller| self.count(call(caller).await);
        let grants = &self.host.grants;
        let answer = grants.call::<_, Error, _>(self.route.id, self.priority, counted);
        let answer = answer.await?;
        Ok((answer, self.host.turns.begin(self.priority).await))
    }

    fn count<T>(&self, answer: Result<T, hubspot::Error>) -> Result<T, hubspot::Error> {
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(hubspot::Error::RateLimited { .. }) => "rate_limited",
            Err(_) => "failed",
        };
        self.calls.get_or_create(&CallLabels { outcome }).inc();
        answer
    }

    /// Reads at most a hundred records by id, or by a property that is unique; which
    /// of these do not exist, by index, comes with them.
    pub async fn read(
        &self,
        object_type: &ObjectType,
        inputs: &[&str],
        id_property: Option<&PropertyName>,
    ) -> Result<(Parsed, Missing), Error> {
        let properties = self.route.read_properties(object_type);
        let client = &self.host.hubspot;
        let (answer, _turn) = self
            .call(async |caller| {
                client
                    .read_records(&caller, object_type, inputs, &properties, id_property)
                    .await
            })
            .await?;
        let parsed = self.parse(object_type, answer.body, answer.answered_at);
        Ok((parsed.await?, answer.missing))
    }

    /// Reads any number of records by id; those that do not exist come with them.
    pub async fn read_all(
        &self,
        object_type: &ObjectType,
        ids: &[RecordId],
    ) -> Result<(Vec<Parsed>, Vec<RecordId>), Error> {
        let (mut pages, mut absent) = (Vec::new(), Vec::new());
        for some in ids.chunks(RECORDS_MAX) {
            let inputs: Vec<&str> = some.iter().map(RecordId::as_str).collect();
            let (parsed, missing) = self.read(object_type, &inputs, None).await?;
            match missing {
                Missing::Named(named) => {
                    absent.extend(named.iter().filter_map(|index| some.get(*index).cloned()));
                }
                Missing::WholeBatch => absent.extend_from_slice(some),
            }
            pages.push(parsed);
        }
        Ok((pages, absent))
    }

    /// Has the plugin parse a page of records.
    pub async fn parse(
        &self,
        object_type: &ObjectType,
        body: Bytes,
        answered_at: Timestamp,
    ) -> Result<Parsed, Error> {
        let serving = self.host.plugins.of(&self.route.connector)?.serving();
        let origin = Origin {
            word: self.priority.origin(),
            plugin: Some(serving.active().digest().to_owned()),
        };
        let (route, object_type) = (self.route.clone(), object_type.clone());
        let received_at = self.host.clock.now();
        let parse = move || prepare_records(&route, &serving, &object_type, &body, received_at);
        let page = spawn_blocking(parse).await.map_err(|_| Error::Ended)??;
        let moment = ReadMoment {
            sequence: self.sequence,
            answered_at,
        };
        Ok(Parsed {
            page,
            moment,
            origin,
        })
    }

    /// Applies something in one transaction, unless they want something else by now; a
    /// run or a connection whose brake undoes it is held.
    pub async fn apply(
        &self,
        apply: impl FnOnce(&store::Tx<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (account, configuration) = (self.route.id, self.route.configuration);
        let apply = move |tx: &store::Tx<'_>| {
            if !tx.is_configuration(account, configuration)? {
                return Err(store::Error::Outdated);
            }
            apply(tx)
        };
        let store = &self.host.store;
        let applied = match self.priority.is_urgent() {
            true => store.transact_much(apply).await,
            false => store.transact_behind(apply).await,
        };
        match applied {
            Err(error) => Err(braked(&self.host, error).await.into()),
            Ok(()) => Ok(()),
        }
    }
}

/// A page of records that was parsed.
pub(super) struct Parsed {
    /// The page.
    pub page: RecordsPage,
    /// When it was read.
    pub moment: ReadMoment,
    /// What activity says of where it comes from.
    pub origin: Origin,
}

impl Parsed {
    /// The records, in a connection's terms.
    pub fn of(&self, connection: ConnectionId) -> impl Iterator<Item = &ReadRecord> {
        let connections = self.page.connections.iter();
        let ours = connections.filter(move |(route, _)| route.id == connection);
        ours.flat_map(|(_, records)| records)
    }

    /// Applies one of the records to a connection.
    pub fn apply_one(
        &self,
        feeder: &mut Feeder<'_, '_>,
        keys: &Keys,
        record: &ReadRecord,
        asked: Asked,
    ) -> Result<(), store::Error> {
        let (object_type, moment) = (&self.page.object_type, self.moment);
        let origin = self.origin.of(feeder.route);
        apply_record(feeder, keys, object_type, record, moment, asked, &origin)
    }

    /// Applies the records to each connection; `why` says for what reason each
    /// was asked for there, and how.
    pub fn apply(
        &self,
        tx: &store::Tx<'_>,
        keys: &Keys,
        now: Timestamp,
        why: impl Fn(&ConnectionRoute, &ReadRecord) -> (Cause, Asked),
    ) -> Result<(), store::Error> {
        for (connection, records) in &self.page.connections {
            let _in_span = span(connection).entered();
            tracing::debug!(records = records.len(), "records are applied");
            let mut feeder = Feeder::new(tx, connection, Cause::default(), now);
            for record in records {
                let (cause, asked) = why(connection, record);
                feeder.count_for(cause);
                self.apply_one(&mut feeder, keys, record, asked)?;
            }
            feeder.finish()?.save(tx, connection.id, now)?;
        }
        Ok(())
    }
}

/// The runs that something was asked for by.
pub(super) struct Runs(HashMap<RunId, (ConnectionId, RunKind)>);

impl Runs {
    /// What is known of them.
    pub fn of(
        tx: &store::Tx<'_>,
        runs: impl Iterator<Item = Option<RunId>>,
    ) -> Result<Self, store::Error> {
        let ids: BTreeSet<RunId> = runs.flatten().collect();
        let mut runs = HashMap::new();
        for id in ids {
            match tx.run(id) {
                Ok(run) if run.status == RunStatus::Running => {
                    runs.insert(id, (run.connection, run.kind))
                }
                // Held, over, or let go of with its connection: what is read all
                // the same is read as if nobody counted it.
                Ok(_) | Err(store::Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Self(runs))
    }

    /// The cause, in a connection's terms: another connection's run is not
    /// counted there.
    pub fn cause(&self, cause: Cause, connection: ConnectionId) -> Cause {
        let run = cause.run.filter(|run| {
            let found = self.0.get(run);
            found.is_some_and(|(of, _)| *of == connection)
        });
        Cause { run, ..cause }
    }

    /// Whether a run asks that all of a connection's fields are filled.
    pub fn fill(&self, cause: Cause, connection: ConnectionId) -> bool {
        let run = cause.run.and_then(|run| self.0.get(&run));
        run == Some(&(connection, RunKind::Full))
    }
}

/// Within that of the account's calls.
pub(super) fn span(connection: &ConnectionRoute) -> tracing::Span {
    tracing::error_span!("connection", connection = %connection.id)
}
