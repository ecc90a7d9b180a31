//! The handle of a running simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{AccountSpec, ApiKnobs, App, Config, Limits, WebhookKnobs};
use crate::control::Account;
use crate::crm::{self, Error, ObjectType};
use crate::delivery::{Attempt, Settled};
use crate::faults::FaultRule;
use crate::journal_subscriptions::subscription_json;
use crate::state::{Call, Shared};
use crate::truth::Truth;
use crate::webhooks::Subscription;
use crate::{delivery, server};

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Simulator {
    /// Starts one; it listens when this returns.
    ///
    /// # Errors
    /// When it can't listen at the configured address.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        // Another part of the process may have installed one: any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(config, http);
        let tasks = vec![
            tokio::spawn(server::serve(listener, shared.clone())),
            tokio::spawn(delivery::run(shared.clone())),
        ];
        Ok(Self {
            shared,
            address,
            tasks,
        })
    }

    /// Stops listening, closes every connection and ends deliveries. What is true stays readable.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address of API calls and of the consent page: `http://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The page where consent is asked for.
    #[must_use]
    pub fn authorize_url(&self) -> String {
        format!("{}/oauth/authorize", self.url())
    }

    /// The app's ids and secrets.
    #[must_use]
    pub fn app(&self) -> App {
        self.shared.lock().app.clone()
    }

    /// The clock; its clones turn together.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// Turns the clock forward, and lets deliveries that came due go out.
    pub fn turn(&self, by: Duration) {
        self.shared.clock.turn(by);
        self.shared.wake_now();
    }

    /// An account by its id; made with plain settings if there is none.
    #[must_use]
    pub fn account(&self, portal: u64) -> Account {
        self.shared.ensure(AccountSpec::new(portal));
        self.handle(portal)
    }

    /// Makes an account; if there is one of that id, it stays as it is.
    #[must_use]
    pub fn add_account(&self, spec: AccountSpec) -> Account {
        let portal = spec.portal;
        self.shared.ensure(spec);
        self.handle(portal)
    }

    fn handle(&self, portal: u64) -> Account {
        Account::new(self.shared.clone(), portal)
    }

    /// The ids of all accounts.
    #[must_use]
    pub fn portals(&self) -> Vec<u64> {
        self.shared.lock().world.accounts.keys().copied().collect()
    }

    /// What is true in an account.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn truth(&self, portal: u64) -> Result<Truth, Error> {
        self.handle(portal).truth()
    }
}

/// Webhooks.
impl Simulator {
    /// Sets where webhooks go, which is also the address that signatures cover.
    pub fn set_webhook_target(&self, target: &str) {
        self.shared.lock().target = Some(target.to_owned());
        self.shared.wake_now();
    }

    /// Subscribes the app: `contact.propertyChange` with a property, `company.merge` with none.
    ///
    /// # Errors
    /// When there is no such type, or the app has the subscription.
    pub fn subscribe(
        &self,
        event_type: &str,
        property: Option<&str>,
    ) -> Result<Subscription, Error> {
        self.shared.subscribe(event_type, property, None)
    }

    /// Subscribes the app in the generic form: `object.propertyChange` of an object type.
    ///
    /// # Errors
    /// As [`Simulator::subscribe`].
    pub fn subscribe_generic(
        &self,
        event_type: &str,
        object_type: &str,
        property: Option<&str>,
    ) -> Result<Subscription, Error> {
        let of =
            ObjectType::parse(object_type).ok_or_else(|| Error::NoType(object_type.to_owned()))?;
        self.shared
            .subscribe(event_type, property, Some(of.type_id()))
    }

    /// Subscribes to everything but property changes, for all types, and to changes of the
    /// properties that an answer carries without being asked.
    pub fn subscribe_defaults(&self) {
        self.shared.subscribe_defaults();
    }

    /// The app's subscriptions.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        let state = self.shared.lock();
        state.subscriptions.all.values().cloned().collect()
    }

    /// The app's subscriptions to the journal, as HubSpot tells them.
    #[must_use]
    pub fn journal_subscriptions(&self) -> Vec<serde_json::Value> {
        let state = self.shared.lock();
        let held = state.journal.subscriptions.values();
        held.map(|one| subscription_json(one, state.app.id))
            .collect()
    }

    /// Whether the journal tells more than who has read up to an offset knows.
    #[must_use]
    pub fn journal_has_more_after(&self, offset: Option<&str>) -> bool {
        self.shared.lock().journal.has_more_after(offset)
    }

    /// Ends all subscriptions of the app to the journal.
    pub fn drop_journal_subscriptions(&self) {
        self.shared.lock().journal.subscriptions.clear();
    }

    /// Ends all subscriptions of the app.
    pub fn unsubscribe_all(&self) {
        self.shared.lock().subscriptions.all.clear();
    }

    /// Sends out what is held back, and waits until nothing is due or on its way.
    pub async fn settle(&self) -> Settled {
        self.shared.settle().await
    }

    /// Settles, turning the clock to each next attempt, until nothing waits any more.
    pub async fn drain(&self) -> Settled {
        self.shared.drain().await
    }

    /// How deliveries stand.
    #[must_use]
    pub fn settled(&self) -> Settled {
        self.shared.lock().outboxes.settled()
    }

    /// The attempts at deliveries so far, the latest 20,000.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared.lock().outboxes.log.iter().cloned().collect()
    }
}

/// Knobs, faults and the record of calls.
impl Simulator {
    /// Changes how webhooks behave.
    pub fn set_webhooks(&self, change: impl FnOnce(&mut WebhookKnobs)) {
        change(&mut self.shared.lock().hooks);
        self.shared.wake_now();
    }

    /// Changes how the objects API behaves.
    pub fn set_api(&self, change: impl FnOnce(&mut ApiKnobs)) {
        change(&mut self.shared.lock().api);
    }

    /// Changes the app: consent without a person, rotation of refresh tokens, secrets.
    pub fn set_app(&self, change: impl FnOnce(&mut App)) {
        change(&mut self.shared.lock().app);
    }

    /// Sets the rate limits of all accounts.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.lock().limits = limits;
    }

    /// Lets something go wrong. Rules are tried in the order in which they were added.
    pub fn inject(&self, rule: FaultRule) {
        self.shared.lock().faults.add(rule);
    }

    /// Lets nothing go wrong any more.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// The calls so far, the latest 20,000 since they were last cleared.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.iter().cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.shared.lock().calls.clear();
    }
}

impl Shared {
    pub(crate) fn ensure(&self, spec: AccountSpec) {
        let now = self.clock.now_ms();
        self.lock()
            .world
            .accounts
            .entry(spec.portal)
            .or_insert_with(|| crm::Account::new(spec, now));
    }

    pub(crate) fn subscribe(
        &self,
        event_type: &str,
        property: Option<&str>,
        object_type_id: Option<&str>,
    ) -> Result<Subscription, Error> {
        let now = self.clock.now_ms();
        self.lock()
            .subscriptions
            .add(event_type, property, object_type_id, true, now)
            .map_err(Error::Refused)
    }

    pub(crate) fn subscribe_defaults(&self) {
        let now = self.clock.now_ms();
        let mut state = self.lock();
        let mut add = |event_type: &str, property: Option<&str>| {
            // One that is there already stays.
            let _ = state
                .subscriptions
                .add(event_type, property, None, true, now);
        };
        add("contact.privacyDeletion", None);
        for object_type in ObjectType::ALL {
            let name = object_type.singular();
            for what in [
                "creation",
                "deletion",
                "merge",
                "restore",
                "associationChange",
            ] {
                add(&format!("{name}.{what}"), None);
            }
            for property in object_type.default_properties() {
                if !matches!(
                    *property,
                    "createdate" | "hs_object_id" | "lastmodifieddate"
                ) {
                    add(&format!("{name}.propertyChange"), Some(property));
                }
            }
        }
    }
}
