//! What a running simulator holds, and how a change of the world reaches its webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tokio::sync::Notify;

use crate::changes::{Change, Stamp};
use crate::clock::Clock;
use crate::config::{ApiKnobs, App, Config, Limits, WebhookKnobs};
use crate::crm::{Account, Error, Ids, World};
use crate::delivery::Outboxes;
use crate::faults::{Faults, Route};
use crate::grants::Grants;
use crate::journal::Journal;
use crate::limits::Meter;
use crate::record::Source;
use crate::webhooks::Subscriptions;

/// How many calls and deliveries are remembered.
pub(crate) const REMEMBERED_MAX: usize = 20_000;

/// One call that reached the simulated HubSpot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// When, by the simulator's clock.
    pub at_ms: i64,
    /// What kind of call.
    pub route: Route,
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The account whose token it carried.
    pub portal: Option<u64>,
    /// How it was answered; 0 when the connection was closed instead.
    pub status: u16,
}

/// All that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub world: World,
    pub grants: Grants,
    pub subscriptions: Subscriptions,
    pub outboxes: Outboxes,
    pub journal: Journal,
    pub meter: Meter,
    pub faults: Faults,
    pub calls: VecDeque<Call>,
    pub target: Option<String>,
    pub max_concurrent: usize,
    pub limits: Limits,
    pub hooks: WebhookKnobs,
    pub api: ApiKnobs,
    pub app: App,
    correlation: u64,
}

/// A running simulator, as its tasks share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub seed: u64,
    pub clock: Clock,
    /// Told whenever there may be something to deliver.
    pub wake: Notify,
    /// Told when gathering events is to end at once.
    pub hurry: Notify,
    pub http: reqwest::Client,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(config: Config, http: reqwest::Client) -> Arc<Self> {
        let seed = config.seed;
        Arc::new(Self {
            seed,
            clock: config.clock,
            wake: Notify::new(),
            hurry: Notify::new(),
            http,
            state: Mutex::new(State {
                world: World::new(seed),
                grants: Grants::new(seed),
                subscriptions: Subscriptions::new(config.app.id, seed),
                outboxes: Outboxes::new(seed),
                journal: Journal::new(seed),
                meter: Meter::default(),
                faults: Faults::new(seed),
                calls: VecDeque::new(),
                target: config.webhook_target,
                max_concurrent: 10,
                limits: config.limits,
                hooks: config.webhooks,
                api: config.api,
                app: config.app,
                correlation: seed,
            }),
        })
    }

    /// The state. It is whole even after a panic elsewhere: no change is left half made.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes a change in an account and sends out the events it leaves.
    pub(crate) fn change<T>(
        &self,
        portal: u64,
        source: Source,
        act: impl FnOnce(&mut Account, &mut Ids, Stamp) -> Result<(T, Vec<Change>), Error>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let stamp = Stamp {
            at: self.clock.now_ms(),
            source,
            lag_ms: state.api.search_lag_ms,
        };
        let (account, ids) = state.world.account_and_ids(portal)?;
        let (answer, changes) = act(account, ids, stamp)?;
        let queued = state.announce(portal, &changes);
        drop(state);
        if queued {
            self.wake.notify_one();
        }
        Ok(answer)
    }

    /// As [`Self::change`], where the events are all that comes of it.
    pub(crate) fn apply(
        &self,
        portal: u64,
        source: Source,
        act: impl FnOnce(&mut Account, Stamp) -> Result<Vec<Change>, Error>,
    ) -> Result<(), Error> {
        self.change(portal, source, |account, _, stamp| {
            Ok(((), act(account, stamp)?))
        })
    }
}

impl State {
    /// Turns changes into events of an account that has the app.
    fn announce(&mut self, portal: u64, changes: &[Change]) -> bool {
        if changes.is_empty() || !self.grants.installed(portal) {
            return false;
        }
        self.journal.record(portal, changes);
        if self.target.is_none() {
            return false;
        }
        let events = self.subscriptions.events(portal, changes);
        self.outboxes.queue(portal, events, &self.hooks);
        true
    }

    /// The id that an error body carries, of the form of a UUID.
    pub(crate) fn correlation(&mut self) -> String {
        self.correlation = self
            .correlation
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = self.correlation;
        let low = high.rotate_left(29) ^ 0x5bd1_e995;
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 52) & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }

    pub(crate) fn remember(&mut self, call: Call) {
        if self.calls.len() == REMEMBERED_MAX {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}
