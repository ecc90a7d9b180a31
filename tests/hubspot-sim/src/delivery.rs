//! Delivering webhooks: batches, concurrency, retries, repeats, disorder and loss.
//!
//! HubSpot: webhooks guide. At most 100 events a body and 10 requests in flight for an account; an
//! answer within 5 seconds; anything else than 2xx is tried again, up to 10 times over 24 hours
//! at random intervals. Which event comes when is drawn from the seed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::config::WebhookKnobs;
use crate::sign;
use crate::state::{REMEMBERED_MAX, Shared};
use crate::webhooks::Event;

/// Retries after the first attempt.
const RETRIES_MAX: u32 = 10;
/// The middle of each retry's wait, in seconds; the real one lies between half and one and a half
/// of it, so that ten of them stay within 24 hours.
const RETRY_SECONDS: [i64; RETRIES_MAX as usize] = [
    60, 180, 600, 1_200, 2_400, 4_800, 7_200, 10_800, 12_600, 14_400,
];

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When it began, by the simulator's clock.
    pub at_ms: i64,
    /// The accounts whose events it carried.
    pub portals: Vec<u64>,
    /// How many events it carried.
    pub events: usize,
    /// The highest attempt number among them.
    pub attempt: u32,
    /// The answer's status; `None` when there was none in time.
    pub status: Option<u16>,
}

/// How deliveries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Settled {
    /// Events that were delivered and acknowledged, since the start.
    pub delivered: u64,
    /// Events that wait for their next attempt.
    pub waiting: usize,
    /// Events given up after the last attempt, since the start.
    pub given_up: u64,
    /// Events lost on purpose, since the start.
    pub lost: u64,
}

#[derive(Debug, Clone)]
struct Waiting {
    event: Event,
    attempt: u32,
}

/// The events of one account that wait: by when they are due, then by their place.
#[derive(Debug, Default)]
struct Outbox {
    waiting: BTreeMap<(i64, u64), Waiting>,
    in_flight: usize,
}

/// All that waits to be delivered.
#[derive(Debug)]
pub(crate) struct Outboxes {
    boxes: BTreeMap<u64, Outbox>,
    place: u64,
    rng: StdRng,
    /// Held events go out until none is due any more.
    pub flushing: bool,
    pub log: VecDeque<Attempt>,
    delivered: u64,
    given_up: u64,
    lost: u64,
}

/// One body on its way.
struct Batch {
    /// The account whose concurrency it counts against.
    portal: u64,
    events: Vec<Waiting>,
}

impl Outboxes {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            boxes: BTreeMap::new(),
            place: 0,
            rng: StdRng::seed_from_u64(seed ^ 0xde11),
            flushing: false,
            log: VecDeque::new(),
            delivered: 0,
            given_up: 0,
            lost: 0,
        }
    }

    /// Puts events in line, some of them lost, repeated or moved back.
    pub(crate) fn queue(&mut self, portal: u64, events: Vec<Event>, knobs: &WebhookKnobs) {
        for event in events {
            if self.chance(knobs.loss) {
                self.lost += 1;
                continue;
            }
            if self.chance(knobs.repeats) {
                let place = self.next_place(knobs, true);
                self.put(portal, place, event.clone());
            }
            let late = self.chance(knobs.disorder);
            let place = self.next_place(knobs, late);
            self.put(portal, place, event);
        }
    }

    fn put(&mut self, portal: u64, place: u64, event: Event) {
        let due = event.occurred_at;
        let waiting = Waiting { event, attempt: 0 };
        self.boxes
            .entry(portal)
            .or_default()
            .waiting
            .insert((due, place), waiting);
    }

    /// The next place in line, or one somewhat behind it. Places leave room between them.
    fn next_place(&mut self, knobs: &WebhookKnobs, late: bool) -> u64 {
        self.place += 1;
        let behind = if late {
            self.rng
                .random_range(0..=u64::from(knobs.disorder_reach).max(1))
        } else {
            0
        };
        ((self.place + behind) << 24) | (self.place & 0xff_ffff)
    }

    fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.random_bool(chance.clamp(0.0, 1.0))
    }

    /// Takes the next body that may go out now.
    fn take(&mut self, now: i64, concurrent: usize, knobs: &WebhookKnobs) -> Option<Batch> {
        let ready = |outbox: &Outbox| {
            outbox
                .waiting
                .first_key_value()
                .is_some_and(|((due, _), _)| *due <= now)
        };
        let portal = self
            .boxes
            .iter()
            .find(|(_, outbox)| outbox.in_flight < concurrent && ready(outbox))
            .map(|(portal, _)| *portal)?;
        let mut events = Vec::new();
        let sources: Vec<u64> = if knobs.mix_accounts {
            let others = self.boxes.keys().copied().filter(|other| *other != portal);
            std::iter::once(portal).chain(others).collect()
        } else {
            vec![portal]
        };
        for source in sources {
            let Some(outbox) = self.boxes.get_mut(&source) else {
                continue;
            };
            let mut due: Vec<(i64, u64)> = outbox
                .waiting
                .range(..=(now, u64::MAX))
                .map(|(key, _)| *key)
                .take(reach(knobs))
                .collect();
            // Places are the order of arrival with the disorder in it, whatever the moments.
            due.sort_unstable_by_key(|(_, place)| *place);
            for key in due {
                if events.len() == knobs.batch_max {
                    break;
                }
                events.extend(outbox.waiting.remove(&key));
            }
        }
        if let Some(outbox) = self.boxes.get_mut(&portal) {
            outbox.in_flight += 1;
        }
        Some(Batch { portal, events })
    }

    /// Notes how an attempt ended, and puts what failed in line again.
    fn finish(&mut self, batch: Batch, status: Option<u16>, began: i64, now: i64) {
        let mut portals: Vec<u64> = batch.events.iter().map(|w| w.event.portal_id).collect();
        portals.sort_unstable();
        portals.dedup();
        if self.log.len() == REMEMBERED_MAX {
            self.log.pop_front();
        }
        self.log.push_back(Attempt {
            at_ms: began,
            portals,
            events: batch.events.len(),
            attempt: batch.events.iter().map(|w| w.attempt).max().unwrap_or(0),
            status,
        });
        if let Some(outbox) = self.boxes.get_mut(&batch.portal) {
            outbox.in_flight = outbox.in_flight.saturating_sub(1);
        }
        if status.is_some_and(|status| (200..300).contains(&status)) {
            self.delivered += batch.events.len() as u64;
            return;
        }
        // One wait for the whole body: it comes again together, unless its parts have
        // been tried unlike times.
        let spread = self.rng.random_range(50..=150);
        for mut waiting in batch.events {
            if waiting.attempt >= RETRIES_MAX {
                self.given_up += 1;
                continue;
            }
            let seconds = RETRY_SECONDS[waiting.attempt as usize];
            waiting.attempt += 1;
            self.place += 1;
            let key = (now + seconds * 10 * spread, self.place << 24);
            self.boxes
                .entry(waiting.event.portal_id)
                .or_default()
                .waiting
                .insert(key, waiting);
        }
    }

    /// Whether nothing is due or on its way.
    pub(crate) fn idle(&self, now: i64) -> bool {
        self.boxes.values().all(|outbox| {
            outbox.in_flight == 0
                && outbox
                    .waiting
                    .first_key_value()
                    .is_none_or(|((due, _), _)| *due > now)
        })
    }

    /// When the next event is due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.boxes
            .values()
            .filter_map(|outbox| outbox.waiting.first_key_value())
            .map(|((due, _), _)| *due)
            .min()
    }

    pub(crate) fn settled(&self) -> Settled {
        Settled {
            delivered: self.delivered,
            waiting: self.boxes.values().map(|outbox| outbox.waiting.len()).sum(),
            given_up: self.given_up,
            lost: self.lost,
        }
    }
}

/// How many waiting events are looked at to fill a body: more than fit, so that an event
/// moved back gives way to those of later moments.
fn reach(knobs: &WebhookKnobs) -> usize {
    knobs.batch_max + knobs.disorder_reach as usize
}

/// The task that delivers, for as long as the simulator runs.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut sending = tokio::task::JoinSet::new();
    loop {
        let (coalesce, wait) = {
            let state = shared.lock();
            let now = shared.clock.now_ms();
            let wait = state
                .outboxes
                .next_due()
                .map_or(1_000, |due| (due - now).clamp(10, 1_000));
            (state.hooks.coalesce_ms, u64::try_from(wait).unwrap_or(10))
        };
        tokio::select! {
            () = shared.wake.notified() => {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(coalesce)) => {}
                    () = shared.hurry.notified() => {}
                }
            }
            () = shared.hurry.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
        }
        while sending.try_join_next().is_some() {}
        for (batch, target, secret, timeout_ms) in take_all(&shared) {
            let shared = shared.clone();
            sending.spawn(async move {
                send(&shared, batch, &target, &secret, timeout_ms).await;
                shared.wake_now();
            });
        }
    }
}

/// Takes all bodies that may go out now.
fn take_all(shared: &Shared) -> Vec<(Batch, String, String, u64)> {
    let mut state = shared.lock();
    let now = shared.clock.now_ms();
    let Some(target) = state.target.clone() else {
        return Vec::new();
    };
    if state.hooks.hold && !state.outboxes.flushing {
        return Vec::new();
    }
    let knobs = state.hooks.clone();
    let concurrent = state.max_concurrent;
    let secret = state.app.client_secret.clone();
    let mut batches = Vec::new();
    while let Some(batch) = state.outboxes.take(now, concurrent, &knobs) {
        batches.push((batch, target.clone(), secret.clone(), knobs.timeout_ms));
    }
    if state.outboxes.idle(now) {
        state.outboxes.flushing = false;
    }
    batches
}

async fn send(shared: &Shared, mut batch: Batch, target: &str, secret: &str, timeout_ms: u64) {
    for waiting in &mut batch.events {
        waiting.event.attempt_number = waiting.attempt;
    }
    let events: Vec<&Event> = batch.events.iter().map(|waiting| &waiting.event).collect();
    let body = serde_json::to_vec(&events).unwrap_or_default();
    let began = shared.clock.now_ms();
    let signed_at = shared.clock.signature_ms();
    let answer = shared
        .http
        .post(target)
        .timeout(Duration::from_millis(timeout_ms))
        .header("content-type", "application/json")
        .header("user-agent", "HubSpot Webhooks")
        .header("x-hubspot-signature-version", "v1")
        .header("x-hubspot-signature", sign::v1(secret, &body))
        .header(
            "x-hubspot-signature-v3",
            sign::v3(secret, "POST", target, &body, signed_at),
        )
        .header("x-hubspot-request-timestamp", signed_at.to_string())
        .body(body)
        .send()
        .await;
    let status = answer.ok().map(|answer| answer.status().as_u16());
    if !status.is_some_and(|status| (200..300).contains(&status)) {
        tracing::debug!(?status, "a delivery was not acknowledged");
    }
    let now = shared.clock.now_ms();
    shared.lock().outboxes.finish(batch, status, began, now);
}

impl Shared {
    /// Looks at once for something to deliver.
    pub(crate) fn wake_now(&self) {
        self.hurry.notify_one();
    }

    /// Sends out what is held, and waits until nothing is due or on its way.
    pub(crate) async fn settle(&self) -> Settled {
        loop {
            {
                let mut state = self.lock();
                if state.target.is_none() || state.outboxes.idle(self.clock.now_ms()) {
                    return state.outboxes.settled();
                }
                state.outboxes.flushing = true;
            }
            self.wake_now();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Settles, turning the clock to each next attempt, until nothing waits any more.
    pub(crate) async fn drain(&self) -> Settled {
        loop {
            let settled = self.settle().await;
            let due = {
                let state = self.lock();
                state.target.as_ref().and(state.outboxes.next_due())
            };
            let Some(due) = due else {
                return settled;
            };
            let ahead = due - self.clock.now_ms();
            self.clock
                .turn(Duration::from_millis(u64::try_from(ahead).unwrap_or(0)));
        }
    }
}
