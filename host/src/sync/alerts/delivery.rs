//! Sends what waits: each channel by itself, its messages one after the other,
//! again and again with growing pauses until they are taken or given up.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{channel::Target, message::Message, sending};
use crate::{
    host::Host,
    model::AlertChannelId,
    store::{
        self,
        alerts::{DueMessage, LastMessage},
    },
};

/// How often it looks for what is due.
const EVERY: Duration = Duration::from_secs(1);

/// A message that is not taken is sent again after this long, and after each
/// further failure twice as long.
const AGAIN: Duration = Duration::from_secs(30);

/// The longest pause between two attempts.
const AGAIN_MAX: Duration = Duration::from_secs(6 * 3_600);

/// A message that was not taken for this often (about two days) is given up.
const ATTEMPTS_MAX: u32 = 16;

/// Channels that are sent to at once; others wait for their turn.
const AT_ONCE_MAX: usize = 32;

/// Sends until it is told to stop; what is under way then is finished.
pub async fn run(host: Arc<Host>, stop: CancellationToken) {
    let mut under_way = JoinSet::new();
    let mut channels = HashSet::new();
    while !stop.is_cancelled() {
        let now = host.clock.now();
        match host.store.read(move |tx| tx.due_messages(now)).await {
            Ok(due) => {
                for message in due {
                    if channels.len() < AT_ONCE_MAX && channels.insert(message.channel) {
                        under_way.spawn(finished(host.clone(), message));
                    }
                }
                host.metrics.looked("messages");
            }
            Err(error) => tracing::warn!(%error, "alerts could not be looked for"),
        }
        tokio::select! {
            Some(ended) = under_way.join_next() => match ended {
                Ok(channel) => drop(channels.remove(&channel)),
                // A defect; its channel is not known, so it waits for the next start.
                Err(error) => tracing::error!(%error, "sending an alert ended abruptly"),
            },
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    // A panic was reported where it happened.
    while under_way.join_next().await.is_some() {}
}

/// Sends one, and says where to.
async fn finished(host: Arc<Host>, due: DueMessage) -> AlertChannelId {
    let channel = due.channel;
    if let Err(error) = deliver(&host, due).await {
        tracing::warn!(%channel, %error, "an alert is sent later, or what came of it could not be kept");
    }
    channel
}

async fn deliver(host: &Host, due: DueMessage) -> Result<(), store::Error> {
    let id = due.channel;
    let again_at = host.clock.now().plus(pause(due.attempts));
    // Written before it is sent: where nothing can be written, nothing is sent, lest
    // it be sent again at every look.
    let claimed = host.store.transact(move |tx| {
        if due.attempts >= ATTEMPTS_MAX {
            tx.end_message(due.id)?;
            return Ok(None);
        }
        tx.claim_message(due.id, again_at)?;
        tx.channel(id).map(Some)
    });
    let channel = match claimed.await {
        // It was removed, and its messages with it.
        Err(store::Error::NotFound(_)) | Ok(None) => return Ok(()),
        Ok(Some(channel)) => channel,
        Err(error) => return Err(error),
    };
    let read = Target::open(&host.keys, &channel)
        .map_err(|error| error.to_string())
        .and_then(|target| {
            let message: Message =
                serde_json::from_str(&due.message).map_err(|error| error.to_string())?;
            Ok((target, message))
        });
    let (target, message) = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(channel = %id, error, "an alert cannot be read, and is given up");
            return host.store.transact(move |tx| tx.end_message(due.id)).await;
        }
    };
    let number = format!("alm_{}", due.id);
    let sent = sending::send(host, &target, &number, &message).await;
    let is_last = due.attempts + 1 >= ATTEMPTS_MAX;
    if is_last && !sent.taken {
        tracing::warn!(channel = %id, "an alert is not taken, and is given up");
    }
    let is_over = is_last || sent.taken;
    let last = LastMessage {
        at: host.clock.now(),
        sent: sent.taken,
        answer: sent.answer,
    };
    host.store
        .transact(move |tx| {
            if is_over {
                tx.end_message(due.id)?;
            }
            tx.set_last_message(id, &last)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(())
}

/// How long to wait after a number of failures before.
fn pause(attempts: u32) -> Duration {
    AGAIN
        .saturating_mul(2_u32.saturating_pow(attempts))
        .min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_after_about_two_days() {
        assert_eq!(pause(0), Duration::from_secs(30));
        assert_eq!(pause(1), Duration::from_secs(60));
        assert_eq!(pause(u32::MAX), AGAIN_MAX);
        let all: Duration = (0..ATTEMPTS_MAX - 1).map(pause).sum();
        let day = Duration::from_secs(24 * 3_600);
        assert!((day..day * 3).contains(&all), "{all:?}");
    }
}
