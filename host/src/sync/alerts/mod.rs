//! Alerts: what goes wrong with a connection, and that it is over, told once each
//! to whoever an admin named.
//!
//! What is wrong says [`super::health`]; here it is compared with what was told.
//! Both, and the messages to be sent, are kept in one transaction, so a restart
//! tells nothing twice and forgets nothing.
//!
//! Architecture invariant: a message holds no value of anybody's, and no address
//! is called that an admin could not reach by themselves ([`address`]).

pub mod address;
pub mod channel;
pub mod delivery;
mod mail;
pub mod message;
mod request;
pub mod sending;

pub use request::signature;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use self::message::{Message, State};
use super::health::{self, Error};
use crate::{
    host::Host,
    log::Lane,
    model::{ConnectionId, Problem, Timestamp},
    store::{self, Tx, activity::Activity, alerts::ToldAlert},
};

/// How often it looks. What began and is over within that time is not told.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where a line of activity comes from that tells of an alert.
pub const ALERT: &str = "alert";

/// Looks, until it is told to stop, at connections whose alerts go somewhere.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match look(&host).await {
            Ok(()) => host.metrics.looked("problems"),
            Err(error) => {
                tracing::warn!(%error, "what is wrong with connections could not be looked at");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn look(host: &Host) -> Result<(), Error> {
    let connections = host.store.read(|tx| tx.connections_with_channels()).await?;
    if connections.is_empty() {
        return Ok(());
    }
    let backlog = Arc::new(health::backlog(host).await?);
    for id in connections {
        // What cannot be read of one keeps nothing from the others.
        if let Err(error) = look_at(host, id, &backlog).await {
            tracing::warn!(connection = %id, %error, "what is wrong with a connection could not be looked at");
        }
    }
    Ok(())
}

/// Looks at one connection, and tells what is news.
async fn look_at(host: &Host, id: ConnectionId, backlog: &Arc<Backlog>) -> Result<(), Error> {
    let (seen, now) = (backlog.clone(), host.clock.now());
    let connector = host
        .store
        .read(move |tx| {
            let news = news(tx, id, &seen, now)?;
            // One of which nothing is news may be gone.
            let connector = match news.is_empty() {
                true => None,
                false => Some(tx.any_connection(id)?.connector),
            };
            Ok(connector)
        })
        .await?;
    let Some(connector) = connector else {
        return Ok(());
    };
    let (seen, label) = (backlog.clone(), host.plugins.label(&connector));
    // Found again where it is written: somebody may have been quicker.
    let told = host.store.transact(move |tx| {
        let news = self::news(tx, id, &seen, now)?;
        tell(tx, id, &label, &news, now)?;
        Ok(news)
    });
    for one in told.await? {
        let (state, code) = (one.state, &one.problem.code);
        tracing::info!(connection = %id, code, ?state, "an alert is told");
    }
    host.pipeline.notify_changed();
    Ok(())
}

/// Since when something of each account waits.
type Backlog = BTreeMap<Lane, Timestamp>;

/// Something that began, or is over.
#[derive(Clone, Debug)]
struct News {
    state: State,
    problem: Problem,
    since: Timestamp,
}

/// What differs from what was told.
fn news(
    tx: &Tx<'_>,
    id: ConnectionId,
    backlog: &Backlog,
    now: Timestamp,
) -> Result<Vec<News>, store::Error> {
    let connection = match tx.any_connection(id) {
        Err(store::Error::NotFound(_)) => return Ok(Vec::new()),
        found => found?,
    };
    let told = tx.alerts(id)?;
    let observed = health::observe(tx, &connection, backlog, now)?;
    let codes: BTreeSet<String> = told.keys().cloned().collect();
    let found = health::problems(&observed, &codes, now);
    let mut news: Vec<News> = told
        .into_iter()
        .filter(|(code, _)| !found.iter().any(|problem| problem.code == *code))
        .filter(|(code, _)| observed.tells_end_of(code))
        .map(|(_, ToldAlert { problem, since })| News {
            state: State::Ended,
            problem,
            since,
        })
        .collect();
    let began = found.into_iter().filter(|one| !codes.contains(&one.code));
    news.extend(began.map(|problem| News {
        state: State::Began,
        problem,
        since: now,
    }));
    Ok(news)
}

fn tell(
    tx: &Tx<'_>,
    id: ConnectionId,
    label: &str,
    news: &[News],
    now: Timestamp,
) -> Result<(), store::Error> {
    for one in news {
        let (code, state) = (&one.problem.code, one.state);
        match state {
            State::Ended => tx.remove_alert(id, code)?,
            _ => tx.add_alert(id, &one.problem, now)?,
        }
        let message = Message::about(tx, id, label, state, &one.problem, (one.since, now))?;
        tx.add_messages(id, &message.stored(), now)?;
        tx.add_activity(
            id,
            &Activity {
                at: now,
                origin: ALERT.into(),
                outcome: format!("alert_{}", state.as_str()),
                reason: Some(code.clone()),
                ..Activity::default()
            },
        )?;
    }
    Ok(())
}
