//! What a run will cost, before it begins; and its beginning.

use std::{sync::Arc, time::Duration};

use super::{
    super::{failures::Error, lookups::are_read_by_rule},
    Outcome,
    plan::{Facts, Plan, plan, rehearsal},
    stages::Step,
};
use crate::{
    host::Host,
    hubspot::{self, search::fit_a_list},
    model::{
        ConnectionId, ObjectType, Planned, Priority, ProjectId, RunKind, Timestamp, UserIdentifier,
    },
    pipeline::{
        brake::losses_max,
        routing::{AccountRoute, ConnectionRoute},
    },
    store::{self, Tx, runs::Beginning},
};

/// How far a catch-up goes back behind the start of the last run that looked at
/// everything: HubSpot's index may know of a change an hour late (observed by
/// other connectors, which read an hour again).
const OVERLAP: Duration = Duration::from_secs(3_600);

/// What a run will cost.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// How it goes about it.
    pub types: Vec<Planned>,
    /// How many calls it takes.
    pub calls: u64,
    /// How long it takes, in seconds, if nothing else needs the account's
    /// budget.
    pub seconds: u64,
}

/// Estimates a run of a connection.
///
/// # Errors
///
/// Any failure of the calls that count the records.
pub async fn estimate(
    host: &Arc<Host>,
    id: ConnectionId,
    kind: RunKind,
) -> Result<Estimate, Error> {
    let routing = host.pipeline.routing().await?;
    let mut routes = routing.accounts().filter(|route| route.may_call);
    let found = routes.find_map(|account| {
        let mut connections = account.connections.iter();
        Some((account, connections.find(|route| route.id == id)?))
    });
    let Some((account, connection)) = found else {
        return Err(store::Error::Conflict("the connection cannot sync now".into()).into());
    };
    // Somebody waits for it.
    let facts = facts(host, account, connection, kind, Priority::Live).await?;
    let plan = plan(kind, false, &facts);
    let calls = plan.calls();
    let allowed = host.hubspot.budgets().of(&account.key).usage().0.allowed;
    Ok(Estimate {
        types: plan.types,
        calls,
        seconds: (calls * 10).div_ceil(u64::from(allowed.max(1))),
    })
}

impl Step<'_> {
    /// Plans the run, and begins it.
    pub(super) async fn begin(&self) -> Result<Outcome, Error> {
        let (kind, brief) = (self.run.kind, self.run.brief);
        let priority = self.priority();
        let facts = facts(self.host, self.account, self.connection, kind, priority).await?;
        let plan = match self.run.dry_run {
            true => rehearsal(&facts),
            false => plan(kind, brief, &facts),
        };
        tracing::info!(calls = plan.calls(), ?kind, brief, "a run begins");
        let Plan { types, stages } = plan;
        let id = self.run.id;
        let (connection, account) = (self.run.connection, self.account.id);
        let now = self.host.clock.now();
        let share = self.host.config.sync.brake_share;
        let fed = self
            .host
            .store
            .read(move |tx| tx.fed_users_count(connection));
        let losses_max = losses_max(fed.await?, share);
        self.transact(move |tx| {
            if !brief {
                // What choices are called moves no record's stamp.
                tx.request_labels(account)?;
            }
            let since = match kind {
                RunKind::Full => None,
                RunKind::CatchUp => since(tx, connection)?,
            };
            let beginning = Beginning {
                sequence: tx.next_sequence()?,
                since,
                plan: types,
                stages,
                losses_max: Some(losses_max),
            };
            tx.start_run(id, &beginning, now)
        })
        .await?;
        Ok(Outcome::More)
    }
}

/// The moment from which on a catch-up looks for changes: the start of the last
/// run that looked at everything, or the first mapping; and some before that.
fn since(tx: &Tx<'_>, connection: ConnectionId) -> Result<Option<Timestamp>, store::Error> {
    let last = tx.last_completed_run(connection, None)?;
    let known = match last {
        Some(last) => Some(last),
        None => tx.first_mapped_at(connection)?,
    };
    Ok(known.map(|moment| moment.minus(OVERLAP)))
}

async fn facts(
    host: &Arc<Host>,
    account: &AccountRoute,
    connection: &ConnectionRoute,
    kind: RunKind,
    priority: Priority,
) -> Result<Vec<Facts>, Error> {
    let mut facts = Vec::new();
    for mapping in &connection.mappings {
        let object_type = mapping.object_type.clone();
        let mut is_refused = false;
        let (records, is_read_by_key) = match kind {
            RunKind::Full => {
                let counted = count(host, account, &object_type, priority).await;
                let records = match counted {
                    // Its own stage says so, and the other types go on.
                    Err(Error::HubSpot(hubspot::Error::MissingScopes { .. })) => {
                        is_refused = true;
                        0
                    }
                    counted => counted?,
                };
                let is_read_by_key = match &mapping.matching {
                    Some(rule) => are_read_by_rule(host, account.id, &object_type, rule).await?,
                    None => false,
                };
                (records, is_read_by_key)
            }
            RunKind::CatchUp => (0, false),
        };
        let (project, id) = (connection.project, connection.id);
        // A catch-up asks for no users.
        let rule = mapping.matching.as_ref().filter(|_| kind == RunKind::Full);
        let identifier = rule.map(|rule| rule.identifier);
        let of_type = object_type.clone();
        let (users, reached) = host
            .store
            .read(move |tx| {
                let reached = tx.reached_count(id, &of_type)?;
                Ok((users(tx, project, identifier)?, reached))
            })
            .await?;
        facts.push(Facts {
            fits_a_list: fit_a_list(&account.read_properties(&object_type)),
            through: mapping.through.clone(),
            object_type,
            records,
            users,
            // What reaches users already cannot be read again either.
            reached: if is_refused { 0 } else { reached },
            is_read_by_key,
        });
    }
    Ok(facts)
}

fn users(
    tx: &Tx<'_>,
    project: ProjectId,
    identifier: Option<UserIdentifier>,
) -> Result<u64, store::Error> {
    match identifier {
        Some(identifier) => tx.identified_users(project, identifier),
        None => Ok(0),
    }
}

async fn count(
    host: &Host,
    account: &AccountRoute,
    object_type: &ObjectType,
    priority: Priority,
) -> Result<u64, Error> {
    host.grants
        .call(account.id, priority, async |caller| {
            host.hubspot.count(&caller, object_type, &[]).await
        })
        .await
}
