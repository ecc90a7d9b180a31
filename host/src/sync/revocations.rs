//! Grants that are over are given back to HubSpot, each by itself: one that
//! HubSpot does not answer holds up no other.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    grants,
    places::{Place, Working},
};
use crate::{
    host::Host,
    store::{self, connections::Revocation},
};

/// How often it looks. A grant is given back within seconds of the deletion
/// that ended it.
const EVERY: Duration = Duration::from_secs(1);

/// How many are given back at once. One that HubSpot does not answer is given up
/// for the time being after half a minute at most, so that many of these hold up
/// the others for as long, and no longer.
const AT_ONCE_MAX: usize = 500;

/// A revocation that HubSpot does not take is tried again after this long, and
/// after each further failure twice as long.
const AGAIN: Duration = Duration::from_secs(10);

/// A grant that could not be given back for this often (about two days) is
/// given up: its access token has long ended.
const ATTEMPTS_MAX: u32 = 14;

/// Gives back until it is told to stop; what is under way then is finished.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut under_way = JoinSet::new();
    let working = Arc::new(Working::default());
    while !stop.is_cancelled() {
        let now = host.clock.now();
        let (taken, room) = (working.taken(), AT_ONCE_MAX - under_way.len());
        let due = host
            .store
            .read(move |tx| tx.due_revocations(now, &taken, room));
        match due.await {
            Ok(due) => {
                for revocation in due {
                    if let Some(place) = Place::take(&working, revocation.id) {
                        under_way.spawn(finished(host.clone(), revocation, place));
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "grants could not be given back"),
        }
        tokio::select! {
            Some(ended) = under_way.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "giving a grant back ended abruptly");
                }
            }
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    // A panic was reported where it happened.
    while under_way.join_next().await.is_some() {}
}

/// Gives one back; its place is left then.
async fn finished(host: Arc<Host>, revocation: Revocation, _place: Place<i64>) {
    if let Err(error) = give_back(&host, revocation).await {
        tracing::warn!(%error, "a grant that was given back could not be forgotten");
    }
}

async fn give_back(host: &Host, revocation: Revocation) -> Result<(), store::Error> {
    let Revocation {
        id,
        account,
        sealed,
        attempts,
    } = revocation;
    let again_at = match host.grants.revoke(account, &sealed).await {
        Ok(()) => None,
        Err(error) if is_given_up(&error, attempts) => {
            tracing::warn!(%account, %error, "a grant is not given back");
            None
        }
        Err(error) => {
            tracing::warn!(%account, %error, "a grant could not be given back yet");
            let wait = AGAIN * 2_u32.pow(attempts.min(ATTEMPTS_MAX));
            let soonest = host.clock.now().plus(wait);
            Some(error.retry_at().map_or(soonest, |told| told.max(soonest)))
        }
    };
    host.store
        .transact(move |tx| tx.settle_revocation(id, again_at))
        .await
}

fn is_given_up(error: &grants::Error, attempts: u32) -> bool {
    attempts >= ATTEMPTS_MAX || matches!(error, grants::Error::Secrets(_))
}
