//! One step of a run: what its present stage does next.

use std::sync::Arc;

use super::{
    super::{failures::Error, grants::missing_scopes},
    Outcome,
    brake::braked,
};
use crate::{
    host::Host,
    hubspot::{
        self,
        objects::ASSOCIATION_INPUTS_MAX,
        search::{FOUND_MAX, Filter, FoundRecord},
    },
    model::{
        Cause, Existence, ObjectType, Priority, RecordId, Run, RunKind, RunStatus, Stage,
        Timestamp, UserId,
    },
    pipeline::routing::{AccountRoute, ConnectionRoute},
    store::{
        self, Tx,
        reads::{ReadKey, Wanted},
        records::{RecordKey, RecordState},
        runs::RunRecord,
    },
};

/// Reads of a run that wait at once; more are asked for when these are answered,
/// so that the queue stays short however much is linked.
pub(super) const WAITING_MAX: u64 = 2_000;

/// Users that are asked for in one step.
const USERS_ASKED: usize = 1_000;

/// A run, and what its step needs to know.
pub(super) struct Step<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) account: &'a Arc<AccountRoute>,
    pub(super) connection: &'a Arc<ConnectionRoute>,
    pub(super) run: &'a Run,
}

impl Step<'_> {
    /// How urgent the run is.
    pub(super) fn priority(&self) -> Priority {
        match self.run.kind {
            RunKind::Full => Priority::FullSync,
            RunKind::CatchUp => Priority::CatchUp,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        Cause {
            priority: self.priority(),
            run: Some(self.run.id),
            refresh: true,
        }
    }

    /// Writes what a step did, unless the configuration changed or the run was
    /// ended meanwhile.
    pub(super) async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (account, configuration) = (self.account.id, self.account.configuration);
        let id = self.run.id;
        let checked = move |tx: &Tx<'_>| {
            let is_same = tx.is_configuration(account, configuration)?;
            if !is_same || tx.run(id)?.status != RunStatus::Running {
                return Err(store::Error::Outdated);
            }
            work(tx)
        };
        match self.host.store.transact_behind(checked).await {
            Err(error) => Err(braked(self.host, error).await.into()),
            Ok(done) => Ok(done),
        }
    }

    /// Does what the stage does next; `rest` comes after it.
    pub(super) async fn take(&self, stage: &Stage, rest: &[Stage]) -> Result<Outcome, Error> {
        match stage {
            Stage::Records {
                object_type,
                ranges,
            } => self.records(object_type, ranges.as_deref(), rest).await,
            Stage::Keys { object_type, after } => {
                self.rehearse_keys(object_type, after.as_deref(), rest)
                    .await
            }
            Stage::Users { object_type, after } => self.users(object_type, *after, rest).await,
            Stage::Changes { object_type, after } => {
                self.changes(object_type, after.as_ref(), rest).await
            }
            Stage::Associations {
                object_type,
                to_type,
                after,
            } => self.associations(object_type, to_type, *after, rest).await,
            Stage::Reached { object_type, after } if self.run.dry_run => {
                self.rehearse_reached(object_type, *after, rest).await
            }
            Stage::Reached { object_type, after } => self.reached(object_type, *after, rest).await,
            Stage::Proof {
                object_type,
                sample,
            } => self.prove(object_type, sample.as_deref(), rest).await,
            Stage::Answers if self.waiting().await? > 0 => Ok(Outcome::Wait),
            Stage::Answers => self.move_on(None, rest).await,
        }
    }

    /// All is done, unless the run is to begin anew.
    pub(super) async fn end(&self) -> Result<Outcome, Error> {
        let id = self.run.id;
        let status = match self.run.problem {
            None => RunStatus::Completed,
            Some(_) => RunStatus::Failed,
        };
        let now = self.host.clock.now();
        let is_over = self.transact(move |tx| tx.end_run(id, status, now)).await?;
        if !is_over {
            return Ok(Outcome::More);
        }
        tracing::info!(?status, "a run is over");
        self.host.pipeline.notify_changed();
        Ok(Outcome::Over)
    }

    /// Goes on with what is left of the stage, or with the next.
    pub(super) async fn move_on(
        &self,
        left: Option<Stage>,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let (id, stages) = (self.run.id, stages(left, rest));
        self.transact(move |tx| tx.move_run(id, &stages)).await?;
        Ok(Outcome::More)
    }

    /// How many reads the run waits for; those that its account's grant does not
    /// allow are let go of, and told.
    pub(super) async fn waiting(&self) -> Result<u64, Error> {
        let id = self.run.id;
        let now = self.host.clock.now();
        let store = &self.host.store;
        let (waiting, barred) = store
            .read(move |tx| Ok((tx.waiting_of_run(id)?, tx.barred_of_run(id, now)?)))
            .await?;
        if barred == 0 {
            return Ok(waiting);
        }
        let connection = self.connection.id;
        self.transact(move |tx| {
            let problem = tx.any_connection(connection)?.problem;
            let problem = problem.unwrap_or_else(|| missing_scopes(&[]));
            tx.set_run_problem(id, &problem)?;
            tx.let_go_of_barred(id, now)
        })
        .await?;
        Ok(waiting - barred)
    }

    pub(super) async fn call<T, F>(&self, call: impl Fn(hubspot::Caller) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, hubspot::Error>>,
    {
        self.host
            .grants
            .call(self.account.id, self.priority(), call)
            .await
    }

    /// Looks for the next records that changed.
    async fn changes(
        &self,
        object_type: &ObjectType,
        after: Option<&RecordId>,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let Some(since) = self.run.since else {
            return self.move_on(None, rest).await;
        };
        if self.waiting().await? >= WAITING_MAX {
            return Ok(Outcome::Wait);
        }
        let mut filters = vec![Filter::modified_since(object_type, since)];
        filters.extend(after.map(Filter::after));
        let client = &self.host.hubspot;
        let found = self
            .call(async |caller| {
                client
                    .search(&caller, object_type, &filters, FOUND_MAX)
                    .await
            })
            .await?;
        // The highest, should the order not be strict.
        let order = |record: &RecordId| (record.as_str().len(), record.to_string());
        let highest = found
            .records
            .iter()
            .map(|found| &found.record)
            .max_by_key(|record| order(record))
            .cloned();
        let left = found.has_more.then(|| Stage::Changes {
            object_type: object_type.clone(),
            after: highest,
        });
        let stages = stages(left, rest);
        let (of_type, connection) = (object_type.clone(), self.connection.clone());
        let is_brief = self.run.brief;
        let wanted = self
            .host
            .store
            .read(move |tx| {
                let mapping = connection.mapping(&of_type);
                let through = mapping.is_some_and(|(_, mapping)| mapping.through.is_some());
                let mut wanted = Vec::new();
                for found in found.records {
                    let held = tx.find_record(connection.id, &of_type, &found.record)?;
                    if is_news(held.as_ref(), &found, through, is_brief) {
                        wanted.push((found.record, found.modified_at.unwrap_or_default()));
                    }
                }
                Ok(wanted)
            })
            .await?;
        self.ask(object_type, Wanted::Record, wanted, stages).await
    }

    /// Asks for the records of the next users.
    async fn users(
        &self,
        object_type: &ObjectType,
        after: i64,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let mapping = self.connection.mapping(object_type);
        let Some(rule) = mapping.and_then(|(_, mapping)| mapping.matching.as_ref()) else {
            return self.move_on(None, rest).await;
        };
        if self.waiting().await? >= WAITING_MAX {
            return Ok(Outcome::Wait);
        }
        let (run, connection, cause) = (self.run.id, self.connection.id, self.cause());
        let (of_type, identifier) = (object_type.clone(), rule.identifier);
        let rest = rest.to_vec();
        self.transact(move |tx| {
            let last = tx.request_lookups_of_users(
                connection,
                &of_type,
                identifier,
                UserId(after),
                USERS_ASKED,
                cause,
            )?;
            let left = last.map(|last| Stage::Users {
                object_type: of_type,
                after: last.0,
            });
            tx.move_run(run, &stages(left, &rest))
        })
        .await?;
        Ok(Outcome::More)
    }

    /// Asks for the next linked records' associations.
    async fn associations(
        &self,
        object_type: &ObjectType,
        to_type: &ObjectType,
        after: i64,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let (id, sequence) = (self.connection.id, self.run.sequence);
        let types = (object_type.clone(), to_type.clone());
        let linked = self.host.store.read(move |tx| {
            let types = (&types.0, &types.1);
            let after = RecordKey(after);
            tx.linked_records_after(id, types, after, sequence, ASSOCIATION_INPUTS_MAX)
        });
        let left = |after| Stage::Associations {
            object_type: object_type.clone(),
            to_type: to_type.clone(),
            after,
        };
        let wanted = Wanted::Associations(to_type.clone());
        self.look_again(object_type, wanted, linked.await?, left, rest)
            .await
    }

    /// Asks for the next records that reach users.
    async fn reached(
        &self,
        object_type: &ObjectType,
        after: i64,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let (id, sequence) = (self.connection.id, self.run.sequence);
        let of_type = object_type.clone();
        let reached = self.host.store.read(move |tx| {
            let after = RecordKey(after);
            tx.reached_records(id, &of_type, after, sequence, ASSOCIATION_INPUTS_MAX)
        });
        let left = |after| Stage::Reached {
            object_type: object_type.clone(),
            after,
        };
        self.look_again(object_type, Wanted::Record, reached.await?, left, rest)
            .await
    }

    /// Asks for what was not answered since the run began.
    async fn look_again(
        &self,
        object_type: &ObjectType,
        wanted: Wanted,
        records: Vec<RunRecord>,
        left: impl Fn(i64) -> Stage,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        if self.waiting().await? >= WAITING_MAX {
            return Ok(Outcome::Wait);
        }
        let stages = stages(records.last().map(|last| left(last.key.0)), rest);
        let asked = records.into_iter().filter(|record| !record.is_done);
        let asked = asked.map(|record| (record.record, Timestamp::default()));
        self.ask(object_type, wanted, asked.collect(), stages).await
    }

    /// Puts reads into the queue, and moves on.
    pub(super) async fn ask(
        &self,
        object_type: &ObjectType,
        wanted: Wanted,
        records: Vec<(RecordId, Timestamp)>,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let (id, cause) = (self.run.id, self.cause());
        let (account, object_type) = (self.account.id, object_type.clone());
        let now = self.host.clock.now();
        self.transact(move |tx| {
            for (record, expected_at) in records {
                let key = ReadKey {
                    account,
                    object_type: object_type.clone(),
                    wanted: wanted.clone(),
                    record,
                };
                tx.request_read(&key, cause, expected_at, now)?;
            }
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }
}

/// What is left of a run: of the present stage, and after it.
pub(super) fn stages(left: Option<Stage>, rest: &[Stage]) -> Vec<Stage> {
    left.into_iter().chain(rest.iter().cloned()).collect()
}

/// Whether a record that changed has to be read. What reaches users is read
/// later, whether it changed or not, unless the run is brief.
fn is_news(held: Option<&RecordState>, found: &FoundRecord, through: bool, is_brief: bool) -> bool {
    let Some(held) = held else {
        return !through;
    };
    match held.existence {
        Existence::Erased => return false,
        // What was modified since was not merged away, whoever said so.
        Existence::Merged(_) => {
            return found.modified_at.is_some_and(|at| at >= held.existence_at);
        }
        Existence::Unknown | Existence::Exists | Existence::Deleted => {}
    }
    if held.reached {
        return is_brief;
    }
    let is_known = found.modified_at.is_some_and(|at| at <= held.read.stamp);
    !through && !is_known
}
