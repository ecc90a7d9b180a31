//! Keeps what people read of choices as it is in HubSpot now: labels of options,
//! stages, pipelines and owners, and which stages are closed.
//!
//! A refresh reads what an account's fields and selections depend on, and saves
//! what changed; `conversions` then goes through what is held, without a call.
//! One is made at the start of a catch-up, and where a choice is met that is not
//! known: once for all who meet one, and less often while it is in vain, for a
//! record may go on naming a choice that is gone.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    choices::{self, Found, Properties, Untold},
    definitions,
    places::{Place, Working},
};
use crate::{
    host::Host,
    hubspot::Priority,
    model::{AccountId, ObjectType, PropertyName, Shown, Timestamp},
    pipeline::routing::AccountRoute,
    store,
};

/// How long after a refresh that found something new the next is made.
const PAUSE: Duration = Duration::from_secs(60);

/// The longest wait after refreshes that found nothing new. A new choice shows
/// this late at the most; at some eight calls each it is a thousand a day.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// How often it looks when nothing in this process says that a choice was met.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why labels could not be refreshed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] definitions::Error),
    /// They could not be saved.
    #[error(transparent)]
    Store(Arc<store::Error>),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Error {
    /// Whether the same may succeed later, with nobody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Read(definitions::Error::Grant(error)) => error.is_retryable(),
            Self::Read(definitions::Error::HubSpot(error)) => error.is_retryable(),
            Self::Read(definitions::Error::Plugin(_) | definitions::Error::Ended) => false,
            Self::Store(error) => error.is_retryable(),
        }
    }

    /// When to try again, where that is known.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Read(definitions::Error::Grant(error)) => error.retry_at(),
            Self::Read(definitions::Error::HubSpot(error)) => error.retry_at(),
            Self::Read(_) | Self::Store(_) => None,
        }
    }
}

/// What a refresh found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// How many properties' choices differ from before.
    pub changed: usize,
    /// Properties whose choices HubSpot does not tell; they stay as they were
    /// known.
    pub untold: Vec<(ObjectType, PropertyName, Untold)>,
}

/// Reads the choices that an account's fields and selections depend on, and
/// saves those that changed: what is held is then shown by them behind.
///
/// # Errors
///
/// Whatever keeps all of them from being read; nothing is saved then.
pub async fn refresh(
    host: &Arc<Host>,
    account: &AccountRoute,
    priority: Priority,
) -> Result<Refreshed, Error> {
    let wanted = wanted(account);
    if wanted.is_empty() {
        return Ok(Refreshed::default());
    }
    let (id, read_at) = (account.id, host.clock.now());
    let found = choices::find(host, id, &wanted, read_at, priority).await?;
    let save = move |tx: &store::Tx<'_>| {
        let mut refreshed = Refreshed::default();
        if tx.account_connections(id)?.is_empty() {
            return Ok(refreshed);
        }
        for one in found {
            let Found {
                object_type,
                property,
                choices,
            } = one;
            match choices {
                Ok(table) => {
                    let changed = tx.save_options(id, &object_type, &property, &table, read_at)?;
                    refreshed.changed += usize::from(changed);
                }
                Err(untold) => refreshed.untold.push((object_type, property, untold)),
            }
        }
        Ok(refreshed)
    };
    let refreshed = host.store.transact(save).await?;
    for (object_type, property, untold) in &refreshed.untold {
        tracing::warn!(%object_type, %property, reason = %untold, "labels stay as they were known");
    }
    tracing::debug!(changed = refreshed.changed, "labels are refreshed");
    if refreshed.changed > 0 {
        host.pipeline.notify_changed();
    }
    Ok(refreshed)
}

/// The properties whose choices decide what is shown, or who is selected.
fn wanted(account: &AccountRoute) -> Properties {
    let mut wanted = Properties::new();
    let mappings = account.connections.iter();
    for mapping in mappings.flat_map(|connection| &connection.mappings) {
        let shown = mapping.fields.iter();
        let shown = shown.filter(|field| field.show == Shown::Label);
        for field in shown.chain(mapping.closing()) {
            wanted
                .entry(mapping.object_type.clone())
                .or_default()
                .insert(field.property.name.clone());
        }
    }
    wanted
}

/// Refreshes where that is asked for, until it is told to stop. Accounts do not
/// wait for each other.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut changed = host.pipeline.changed();
    let working = Arc::new(Working::default());
    while !stop.is_cancelled() {
        let next = match begin_due(&host, &working, &stop).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "it could not be seen whose labels are to be refreshed");
                None
            }
        };
        let due = async {
            match next {
                Some(moment) => host.clock.sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changed.changed() => {}
            () = due => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Begins the refreshes that are due. Returns when the next one is.
async fn begin_due(
    host: &Arc<Host>,
    working: &Arc<Working<AccountId>>,
    stop: &CancellationToken,
) -> Result<Option<Timestamp>, store::Error> {
    let waiting = host.store.read(|tx| tx.waiting_labels()).await?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let (routing, now) = (host.pipeline.routing().await?, host.clock.now());
    let mut next = None;
    for (at, due) in waiting {
        let mut routes = routing.accounts();
        // A component tells its source's choices without a call.
        let is_told = |route: &AccountRoute| route.may_call || !route.is_read();
        let Some(route) = routes.find(|route| route.id == due.account && is_told(route)) else {
            continue;
        };
        if at > now {
            next = next.or(Some(at));
            continue;
        }
        let Some(place) = Place::take(working, due.account) else {
            continue;
        };
        let span = tracing::error_span!("labels", account = %route.key);
        let (host, route, stop) = (host.clone(), route.clone(), stop.clone());
        let answered = async move {
            let answered = tokio::select! {
                answered = answer(&host, &route) => answered,
                // It is still asked for at the next start.
                () = stop.cancelled() => Ok(()),
            };
            if let Err(error) = answered {
                tracing::error!(%error, "labels that were asked for could not be refreshed");
            }
            drop(place);
        };
        tokio::spawn(answered.instrument(span));
    }
    Ok(next)
}

/// Refreshes what was asked for, and keeps when it may be done again.
async fn answer(host: &Arc<Host>, route: &AccountRoute) -> Result<(), store::Error> {
    // Another refresh may have ended since this one was seen to be due.
    let (account, now) = (route.id, host.clock.now());
    let waiting = host.store.read(|tx| tx.waiting_labels()).await?;
    let mut due = waiting.into_iter().filter(|(at, _)| *at <= now);
    let Some((_, due)) = due.find(|(_, due)| due.account == account) else {
        return Ok(());
    };
    let refreshed = refresh(host, route, Priority::Live).await;
    let now = host.clock.now();
    let in_vain = match &refreshed {
        Ok(refreshed) if refreshed.changed > 0 => 0,
        _ => due.in_vain.saturating_add(1),
    };
    let later = now.plus(pause(in_vain));
    let keep = move |tx: &store::Tx<'_>| match &refreshed {
        Ok(_) => tx.finish_labels(&due, in_vain, later),
        Err(error) => {
            tracing::warn!(%error, "labels could not be refreshed yet");
            let until = error.retry_at().map_or(later, |told| told.max(later));
            tx.put_off_labels(&due, in_vain, until)
        }
    };
    host.store.transact(keep).await?;
    host.pipeline.notify_changed();
    Ok(())
}

fn pause(in_vain: u32) -> Duration {
    let factor = 2_u32.saturating_pow(in_vain.saturating_sub(1));
    PAUSE.saturating_mul(factor).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_in_vain_become_rarer_up_to_a_quarter_of_an_hour() {
        let minutes: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, u32::MAX]
            .into_iter()
            .map(|in_vain| pause(in_vain).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 15, 15, 15]);
    }
}
