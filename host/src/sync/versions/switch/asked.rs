//! A switch is asked for, and what became of it.

use std::time::Duration;

use crate::{
    host::Host,
    hubspot::CONNECTOR,
    model::{ConnectionId, Timestamp},
    store::{
        self, Store, Tx,
        plugins::{Outcome, PluginVersion, Switch, Why},
    },
    sync::versions::{Error, history, shadow},
};

/// How often one who waits for a switch looks whether it was made.
const OUTCOME_EVERY: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Activate the version whose digest begins so.
    Activate {
        /// The beginning.
        begins: String,
        /// Whether it need not have been compared with the active one.
        force: bool,
        /// The connection that it is to serve alone; none where it is to serve all.
        connection: Option<ConnectionId>,
    },
    /// Go back to the version that was active before, of this connector.
    Rollback {
        /// The connector; need not be said where there is one alone.
        connector: Option<String>,
        /// The version that is meant, by digest; none where it is whichever was active
        /// before.
        to: Option<String>,
    },
    /// Have the active version serve a connection again.
    EndTrial {
        /// The connection.
        connection: ConnectionId,
        /// The version that is meant to serve it no more, by digest; none where it is
        /// whichever does.
        from: Option<String>,
    },
}

/// A switch that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Requested {
    /// Its number, by which [`outcome`] is asked for.
    pub request: i64,
    /// The version that is switched to.
    pub version: PluginVersion,
    /// What compared it with the active one, where anything did.
    pub compared: Option<shadow::Report>,
}

/// Asks the host for a switch, which it makes within two seconds. The API tells the
/// host at once by saying that something changed.
pub async fn request(
    store: &Store,
    ask: Ask,
    by: String,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Requested, Error> {
    let (why, force) = match &ask {
        Ask::Activate { force, .. } => (Why::Operator, *force),
        Ask::Rollback { .. } | Ask::EndTrial { .. } => (Why::Rollback, true),
    };
    let connection = match ask {
        Ask::Activate { connection, .. } => connection,
        Ask::EndTrial { connection, .. } => Some(connection),
        Ask::Rollback { .. } => None,
    };
    let (version, running, report) = store
        .read(move |tx| {
            let version = match ask {
                Ask::Activate { begins, .. } => Some(tx.plugin_version(&begins)?),
                Ask::Rollback { connector, to } => {
                    let before = match connector_of(tx, connector)? {
                        Ok(connector) => history::before(tx, &connector)?,
                        Err(error) => return Ok(Err(error)),
                    };
                    if let (Some(to), Some(before)) = (to, &before)
                        && to != before.digest
                    {
                        return Ok(Err(Error::OtherBefore));
                    }
                    before
                }
                Ask::EndTrial { connection, from } => {
                    let is_meant =
                        |digest: &String| from.as_ref().is_none_or(|from| from == digest);
                    let tried = tx.trial(connection)?.map(|trial| trial.digest);
                    match tried.filter(is_meant) {
                        Some(digest) => Some(tx.plugin_version(&digest)?),
                        None => return Ok(Err(Error::NoTrial)),
                    }
                }
            };
            let Some(version) = version else {
                return Ok(Err(Error::NoneBefore));
            };
            if let Some(connection) = connection {
                let connection = tx.any_connection(connection)?;
                if connection.connector != version.connector {
                    let (of, connector) = (connection.connector, version.connector);
                    return Ok(Err(Error::OtherConnector { of, connector }));
                }
                let is_tried = connection.trial.as_deref() == Some(version.digest.as_str());
                if is_tried && why == Why::Operator {
                    return Ok(Err(Error::Active));
                }
            }
            let running = tx.running(&version.connector)?;
            let report = shadow::Report::load(tx, &version.connector)?;
            Ok(Ok((version, running, report)))
        })
        .await??;
    let ends_trial = connection.is_some() && why == Why::Rollback;
    if let Some(running) = running.as_ref().filter(|_| !ends_trial) {
        if running.is_chosen(&version.digest) {
            return Err(Error::Active);
        }
        if version.file.is_none() && !running.has_built_in(&version.digest) {
            return Err(Error::NotKept);
        }
    }
    let active = running.and_then(|running| running.digest);
    if active.is_none() && connection.is_some() && !ends_trial {
        return Err(Error::NothingToCompare(version.connector));
    }
    if !force {
        compared(&version, active.as_deref(), report.as_ref(), now)?;
    }
    let switch = Switch {
        connector: version.connector.clone(),
        connection,
        digest: version.digest.clone(),
        by,
        why,
        reason,
    };
    let compared_with = (!force).then(|| active.unwrap_or_default());
    let request = store
        .transact(move |tx| tx.request_switch(&switch, compared_with.as_deref(), now))
        .await?;
    Ok(Requested {
        request,
        compared: report.filter(|report| report.shadow.digest == version.digest),
        version,
    })
}

/// The connector that is meant: the one that is named, or the only one there is.
fn connector_of(tx: &Tx<'_>, named: Option<String>) -> Result<Result<String, Error>, store::Error> {
    if let Some(named) = named {
        return Ok(Ok(named));
    }
    let mut all = tx.plugin_connectors()?;
    match all.len() {
        1 => Ok(Ok(all.remove(0))),
        0 => Ok(Err(Error::NoneBefore)),
        _ => Ok(Err(Error::WhichConnector(all))),
    }
}

/// Whether a version may be switched to without saying that it was not compared:
/// [`shadow::compared`] with the one that runs, where any does.
pub fn compared(
    version: &PluginVersion,
    active: Option<&str>,
    report: Option<&shadow::Report>,
    now: Timestamp,
) -> Result<(), Error> {
    // Of HubSpot's plugin a host always runs one; of another there may be none yet.
    match active.is_none() && version.connector != CONNECTOR {
        true => Ok(()),
        false => shadow::compared(&version.digest, active, report, now),
    }
}

/// What became of a switch, once the host has looked at it, or after so long.
pub async fn outcome(store: &Store, request: i64, patience: Duration) -> Result<Outcome, Error> {
    let looked = async {
        loop {
            match store.read(move |tx| tx.switch_outcome(request)).await? {
                Outcome::Waits => tokio::time::sleep(OUTCOME_EVERY).await,
                outcome => return Ok::<_, store::Error>(outcome),
            }
        }
    };
    match tokio::time::timeout(patience, looked).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Ok(Outcome::Waits),
    }
}

/// Asks a running host for a switch, and waits for it that long: what is asked for, and
/// what became of it.
pub async fn ask(
    host: &Host,
    ask: Ask,
    by: String,
    reason: Option<String>,
    patience: Duration,
) -> Result<(Requested, Outcome), Error> {
    let requested = request(&host.store, ask, by, reason, host.clock.now()).await?;
    host.pipeline.notify_changed();
    let outcome = outcome(&host.store, requested.request, patience).await?;
    Ok((requested, outcome))
}
