//! Connecting what was consented to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    super::{
        grants::missing_scopes,
        runs::schedule::{self, UnderWay},
    },
    Error, Sides, Visitor, choices,
};
use crate::{
    host::Host,
    hubspot::{
        CONNECTOR, Caller, Priority, Region,
        oauth::{self, Grant, GrantError, SCOPES},
    },
    model::{AccountKey, Connection, ConnectionId, Problem, ProjectId, Status, Timestamp},
    store::{self, Tx},
};

/// What is known of an account.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Known {
    domain: Option<String>,
    region: Option<String>,
    time_zone: Option<String>,
}

/// Asks HubSpot who the account is. The domain is for people and may be
/// missing; a token that is not ours is refused.
pub(super) async fn known(host: &Host, app: &oauth::App, grant: &Grant) -> Result<Known, Error> {
    let info = match host.hubspot.introspect(app, &grant.access_token).await {
        Ok(Some(info)) if info.account == grant.account => Some(info),
        Ok(_) => return Err(GrantError::BadCode.into()),
        Err(error @ GrantError::OtherApp) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "an account's domain is not known");
            None
        }
    };
    let caller = Caller {
        account: grant.account.clone(),
        token: grant.access_token.clone(),
        region: None,
        priority: Priority::Live,
    };
    let details = match host.hubspot.account_details(&caller).await {
        Ok(details) => Some(details),
        Err(error) => {
            tracing::warn!(%error, "an account's time zone is not known");
            None
        }
    };
    let region = |region: Region| region.as_str().to_owned();
    Ok(Known {
        domain: info.and_then(|info| info.domain),
        region: details
            .as_ref()
            .and_then(|details| details.region.clone())
            .map(region),
        time_zone: details.and_then(|details| details.time_zone),
    })
}

/// Both sides, when they may be connected. `id` is the connection that is to be of
/// the account; none where it is made when the admin confirms.
pub(super) async fn sides(
    host: &Host,
    id: Option<ConnectionId>,
    project: ProjectId,
    grant: &Grant,
    known: &Known,
) -> Result<Sides, Error> {
    let (own, others, name) = host
        .store
        .read(move |tx| {
            let connections = of_hubspot(tx, project)?.into_iter();
            let (own, others): (Vec<_>, Vec<_>) =
                connections.partition(|other| Some(other.id) == id);
            Ok((own, others, tx.project(project)?.name))
        })
        .await?;
    let is_of = |key: &AccountKey| *key == grant.account;
    let expected = own.into_iter().find_map(|own| own.account);
    if let Some((_, expected)) = expected
        && !is_of(&expected)
    {
        return Err(Error::OtherAccount {
            expected,
            given: grant.account.clone(),
        });
    }
    let by = others.iter().find(|other| {
        let account = other.account.as_ref();
        account.is_some_and(|(_, key)| is_of(key))
    });
    // What the marketplace begins goes to the connection that there is.
    if let (Some(_), Some(by)) = (id, by) {
        return Err(Error::AlreadyConnected { by: Some(by.id) });
    }
    Ok(Sides {
        connection: id,
        project,
        project_name: name,
        account: grant.account.clone(),
        domain: known.domain.clone(),
        missing_scopes: missing(grant),
    })
}

/// The scopes that we ask for and a grant does not have.
fn missing(grant: &Grant) -> Vec<String> {
    let is_missing = |scope: &&&str| !grant.scopes.iter().any(|granted| granted == **scope);
    let missing = SCOPES.iter().filter(is_missing);
    missing.map(|scope| (*scope).to_owned()).collect()
}

/// A project's connection for an account that consented in HubSpot's
/// marketplace: the one it has, else one that was begun, else a new one.
///
/// # Errors
///
/// [`Error::NoAdmin`] where who confirms may not connect to the project.
pub(super) async fn connection_for(
    host: &Host,
    visitor: Visitor,
    project: ProjectId,
    account: &AccountKey,
) -> Result<ConnectionId, Error> {
    let (account, now) = (account.clone(), host.clock.now());
    let id = host.store.transact(move |tx| {
        let choices = choices(tx, visitor)?;
        if !choices.iter().any(|choice| choice.id == project) {
            return Ok(Err(Error::NoAdmin));
        }
        let connections = of_hubspot(tx, project)?;
        let of_account = connections.iter().find(|connection| {
            let key = connection.account.as_ref().map(|(_, key)| key);
            key == Some(&account)
        });
        let begun = || {
            let mut all = connections.iter();
            all.find(|one| one.status == Status::Pending)
        };
        Ok(Ok(match of_account.or_else(begun) {
            Some(connection) => connection.id,
            None => tx.create_connection(project, CONNECTOR, now)?,
        }))
    });
    id.await?
}

/// Connects: from the commit on, the account's deliveries are the connection's.
pub(super) async fn connect(
    host: &Arc<Host>,
    id: ConnectionId,
    grant: Grant,
    known: Known,
) -> Result<(), Error> {
    let app = host.app.as_ref().ok_or(Error::NoApp)?;
    let _turn = host.grants.turn(&grant.account).await;
    // The account's last connection may have been deleted since the consent.
    let living = host.hubspot.introspect(app, &grant.refresh_token).await?;
    if living.is_none() {
        return Err(Error::GivenBack);
    }
    let sealed = host.grants.seal_grant(&grant);
    let missing = missing(&grant);
    let problem = (!missing.is_empty()).then(|| missing_scopes(&missing));
    let key = grant.account;
    let wanted = key.clone();
    let now = host.clock.now();
    let connected = host
        .store
        .transact(move |tx| {
            let connection = tx.any_connection(id)?;
            let other = connection
                .account
                .as_ref()
                .is_some_and(|(_, expected)| *expected != key);
            if other {
                return Err(store::Error::Conflict(
                    "the connection is of another account".into(),
                ));
            }
            let account = tx.save_account(
                &connection.connector,
                &key,
                known.domain.as_deref(),
                known.region.as_deref(),
                known.time_zone.as_deref(),
            )?;
            tx.save_grant(account, Some(&sealed))?;
            tx.forget_revocations(account)?;
            tx.allow_reads(account)?;
            tx.set_connection_account(id, account)?;
            // The grant is the account's: what was wrong with it is mended for
            // all of its connections.
            for connection in tx.account_connections(account)? {
                resume(tx, connection.id, connection.status, problem.as_ref(), now)?;
            }
            Ok(())
        })
        .await;
    match connected {
        Err(store::Error::Conflict(_)) => {
            let by = host.store.read(move |tx| connected_by(tx, id, &wanted));
            return Err(Error::AlreadyConnected { by: by.await? });
        }
        other => other?,
    }
    host.pipeline.notify_changed();
    Ok(())
}

/// A project's connections to HubSpot: another source's account may have the same key.
fn of_hubspot(tx: &Tx<'_>, project: ProjectId) -> Result<Vec<Connection>, store::Error> {
    let mut connections = tx.connections(project)?;
    connections.retain(|connection| connection.connector == CONNECTOR);
    Ok(connections)
}

/// The connection of the same project that is of an account.
fn connected_by(
    tx: &Tx<'_>,
    id: ConnectionId,
    account: &AccountKey,
) -> Result<Option<ConnectionId>, store::Error> {
    let project = tx.any_connection(id)?.project;
    let mut connections = of_hubspot(tx, project)?.into_iter();
    let found = connections.find(|one| one.account.as_ref().is_some_and(|(_, key)| key == account));
    Ok(found.map(|one| one.id))
}

fn resume(
    tx: &Tx<'_>,
    id: ConnectionId,
    status: Status,
    problem: Option<&Problem>,
    now: Timestamp,
) -> Result<(), store::Error> {
    match (status, problem) {
        // An admin paused it, and resumes it.
        (Status::Paused, problem) => tx.set_connection_status(id, Status::Paused, problem),
        (_, Some(problem)) => tx.set_connection_status(id, Status::NeedsAttention, Some(problem)),
        (_, None) => {
            tx.set_connection_status(id, Status::Active, None)?;
            // What happened while it was not connected.
            schedule::request(tx, id, UnderWay::BeginsAnew, now)
        }
    }
}
