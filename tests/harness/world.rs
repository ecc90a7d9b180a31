//! The whole story: a project with its token, a host, a HubSpot. Everything
//! goes over HTTP, as a customer's scripts and browser would.
//!
//! ```no_run
//! # async fn example() {
//! use harness::world::World;
//! use serde_json::json;
//!
//! let world = World::start().await;
//! let connection = world.connect(48_975_575).await;
//! world.put_users(json!([{"email": "ana@example.com"}])).await;
//! let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
//! world.map(&connection, json!({"contacts": {"fields": fields}})).await;
//! let account = world.account(48_975_575);
//! account.create("contacts", &[("email", "ana@example.com"), ("jobtitle", "Cook")]).unwrap();
//! world.settle().await;
//! let ana = world.user_by_email("ana@example.com").await;
//! assert_eq!(ana["variables"]["job_title"]["value"], "Cook");
//! # }
//! ```

use std::sync::Arc;

use hubspot_sim::{Account, Simulator};
use jimo_connect::{
    clock::Clock,
    config::{AlertsConfig, JournalUse},
    host::Host,
    model::{ProjectId, Timestamp},
    plugin::Version,
    secrets::{hash_token, random_token},
    store::projects::{Purpose, Role},
};
use reqwest::{Client, Method, Url, header, redirect::Policy};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    answer::Answer,
    host::{RunningHost, config},
    settled::{LOOK_AGAIN, PATIENCE, settle},
};

/// A Monday, at noon: no catch-up comes by itself for hours, and no hour ends soon.
pub const NOON: Timestamp = Timestamp(1_795_435_200_000);

/// A project on a host before a HubSpot.
pub struct World {
    /// HubSpot.
    pub sim: Simulator,
    /// The host's clock; HubSpot's is the simulator's own.
    pub clock: Clock,
    /// The project.
    pub project: String,
    /// A token of the project with the role admin.
    pub token: String,
    /// A token for the whole host.
    pub operator: String,
    /// The data directory.
    pub directory: TempDir,
    journal: JournalUse,
    /// How often the next host looks for changes that the journal does not tell.
    pub look_every_minutes: u64,
    /// How the next host sends alerts.
    pub alerts: AlertsConfig,
    running: Option<RunningHost>,
    browser: Client,
}

impl World {
    /// A host with one project, and a HubSpot with no account.
    pub async fn start() -> Self {
        Self::start_with(hubspot_sim::Config::default(), Clock::system()).await
    }

    /// [`World::start`], with other settings of HubSpot and another clock.
    pub async fn start_with(hubspot: hubspot_sim::Config, clock: Clock) -> Self {
        Self::start_from(hubspot, clock, JournalUse::Off).await
    }

    /// [`World::start`], with clocks of both sides that stand at [`NOON`] until
    /// they are turned, and the use of the journal said.
    pub async fn start_at_noon(hubspot: hubspot_sim::Config, journal: JournalUse) -> Self {
        let clock = hubspot_sim::Clock::manual(NOON.0);
        let hubspot = hubspot_sim::Config { clock, ..hubspot };
        Self::start_from(hubspot, Clock::manual(NOON), journal).await
    }

    /// [`World::start`], with a host that reads HubSpot's journal too.
    pub async fn start_with_journal() -> Self {
        let hubspot = hubspot_sim::Config::default();
        Self::start_from(hubspot, Clock::system(), JournalUse::On).await
    }

    /// [`World::start_with`], with the use of the journal said.
    pub async fn start_from(
        hubspot: hubspot_sim::Config,
        clock: Clock,
        journal: JournalUse,
    ) -> Self {
        let sim = Simulator::start(hubspot).await.unwrap();
        sim.subscribe_defaults();
        let directory = TempDir::new().unwrap();
        let mut config = config(&sim, directory.path());
        config.hubspot.journal = journal;
        let alerts = config.alerts.clone();
        let running = RunningHost::start(&sim, config, clock.clone()).await;
        let browser = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let mut world = Self {
            sim,
            clock,
            project: String::new(),
            token: String::new(),
            operator: String::new(),
            directory,
            journal,
            look_every_minutes: 0,
            alerts,
            running: Some(running),
            browser,
        };
        world.operator = world.make_token(None, Role::Operator).await;
        world.project = world.make_project("Northwind").await;
        let project = Some(world.project.clone());
        world.token = world.make_token(project.as_deref(), Role::Admin).await;
        world
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.running.as_ref().unwrap().host
    }

    /// The version of a connector's plugin that is active.
    pub fn active(&self, connector: &str) -> Arc<Version> {
        self.host().plugins.active(connector).unwrap()
    }

    /// Stops the host; another may run on its data directory.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    /// Stops the host, where it runs, and starts it again on the same data, at another port.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.go_on().await;
    }

    /// Starts a host again, after [`World::stop`].
    pub async fn go_on(&mut self) {
        let mut config = config(&self.sim, self.directory.path());
        config.hubspot.journal = self.journal;
        config.sync.look_every_minutes = self.look_every_minutes;
        config.alerts = self.alerts.clone();
        let running = RunningHost::start(&self.sim, config, self.clock.clone()).await;
        self.running = Some(running);
    }

    /// Makes another project; returns its id.
    pub async fn make_project(&self, name: &str) -> String {
        let made = self
            .send(
                Method::POST,
                "/api/v1/projects",
                &self.operator,
                Some(json!({"name": name})),
            )
            .await;
        made.good()["id"].as_str().unwrap().to_owned()
    }

    /// Makes a token, as the command line does.
    pub async fn make_token(&self, project: Option<&str>, role: Role) -> String {
        let token = random_token();
        let hash = hash_token(&token);
        let project = project.map(|id| id.parse::<ProjectId>().unwrap());
        let now = self.clock.now();
        self.host()
            .store
            .transact(move |tx| tx.create_token(hash, project, role, Purpose::Api, now, None))
            .await
            .unwrap();
        token.expose().to_owned()
    }
}

/// Over the API.
impl World {
    /// Sends a request to a path of the host with a token.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self
            .browser
            .request(method, self.host().url("").join(path).unwrap())
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.answer(request).await
    }

    /// Sends a request that is built already.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request).await
    }

    /// A request to a path of the project with its token, to be built further.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = self.host().url(&self.path("")).to_string() + path;
        self.browser.request(method, url).bearer_auth(&self.token)
    }

    /// A path of the project.
    pub fn path(&self, path: &str) -> String {
        format!("/api/v1/projects/{}{path}", self.project)
    }

    /// GET of a path of the project.
    pub async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, path)).await
    }

    /// PUT to a path of the project.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.answer(self.request(Method::PUT, path).json(&body))
            .await
    }

    /// PATCH of a path of the project.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.answer(self.request(Method::PATCH, path).json(&body))
            .await
    }

    /// POST to a path of the project.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.answer(self.request(Method::POST, path).json(&body))
            .await
    }

    /// DELETE of a path of the project.
    pub async fn delete(&self, path: &str) -> Answer {
        self.answer(self.request(Method::DELETE, path)).await
    }

    /// Writes users, of whom none is refused; returns their ids.
    pub async fn put_users(&self, users: Value) -> Vec<String> {
        let answer = self.put("/users", json!({"users": users})).await.good();
        assert_eq!(answer["refused"], json!([]));
        let users = answer["users"].as_array().unwrap();
        let ids = users.iter().map(|user| user["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    }

    /// A user's profile.
    pub async fn user(&self, id: &str) -> Value {
        self.get(&format!("/users/{id}")).await.good()
    }

    /// The profile of the one user with an e-mail address.
    pub async fn user_by_email(&self, email: &str) -> Value {
        let request = self.request(Method::GET, "/users");
        let found = self.answer(request.query(&[("email", email)])).await.good();
        let users = found["users"].as_array().unwrap();
        assert_eq!(users.len(), 1, "{found:#}");
        self.user(users[0]["id"].as_str().unwrap()).await
    }

    /// A user's values by variable, without where they come from.
    pub async fn values(&self, id: &str) -> Value {
        let user = self.user(id).await;
        let held = user["variables"].as_object().unwrap();
        let values = held
            .iter()
            .map(|(name, held)| (name.clone(), held["value"].clone()));
        Value::Object(values.collect())
    }

    /// Replaces how a connection maps. HubSpot's app is subscribed to what is
    /// mapped.
    pub async fn map(&self, connection: &str, mappings: Value) -> Value {
        for (object_type, object) in mappings.as_object().unwrap() {
            let singular = match object_type.as_str() {
                "companies" => "company",
                plural => plural.trim_end_matches('s'),
            };
            for field in object["fields"].as_array().into_iter().flatten() {
                let event = format!("{singular}.propertyChange");
                // It may be among those that every app has.
                let _ = self.sim.subscribe(&event, field["property"].as_str());
            }
        }
        let path = format!("/connections/{connection}/mappings");
        self.put(&path, mappings).await.good()
    }
}

/// Consent.
impl World {
    /// An account of HubSpot.
    pub fn account(&self, portal: u64) -> Account {
        self.sim.account(portal)
    }

    /// Connects an account to the project, through the consent page and the
    /// confirmation; returns the connection's id.
    pub async fn connect(&self, portal: u64) -> String {
        let begun = self
            .post("/connections", json!({"connector": "hubspot"}))
            .await
            .good();
        assert_eq!(begun["status"], "pending");
        let page = self.consent(&begun, portal).await;
        let (status, text) = self.confirm(&page).await;
        assert_eq!(status, 200, "{text}");
        begun["id"].as_str().unwrap().to_owned()
    }

    /// Consents at HubSpot with an account to what `begun` asks for, and
    /// returns the page that the browser comes back to.
    pub async fn consent(&self, begun: &Value, portal: u64) -> String {
        let back = self.consent_at_hubspot(begun, portal).await;
        let (status, text) = self.page(back).await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Consents at HubSpot, and returns the address that the browser is sent
    /// back to, unvisited.
    pub async fn consent_at_hubspot(&self, begun: &Value, portal: u64) -> Url {
        // The account is there before anybody consents for it.
        let _ = self.account(portal);
        let mut url: Url = begun["authorize_url"].as_str().unwrap().parse().unwrap();
        url.query_pairs_mut()
            .append_pair("approve", "true")
            .append_pair("portal", &portal.to_string());
        let answer = self.browser.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 302, "{answer:?}");
        answer.headers()[header::LOCATION]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The page at an address, as a browser without cookies gets it.
    pub async fn page(&self, url: Url) -> (u16, String) {
        let answer = self.browser.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends the form of the page that asks for confirmation.
    pub async fn confirm(&self, page: &str) -> (u16, String) {
        let (_, rest) = page
            .split_once("name=\"token\" value=\"")
            .unwrap_or_else(|| panic!("{page}"));
        let token = rest.split('"').next().unwrap();
        let url = self.host().url("/oauth/hubspot/confirm");
        let request = self.browser.post(url).form(&[("token", token)]);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// What nobody else may do.
impl World {
    /// A number that the store has.
    pub fn count(&self, sql: &str) -> i64 {
        let path = self.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        store.query_one(sql, [], |row| row.get(0)).unwrap()
    }

    /// Changes the store behind the host's back.
    pub async fn tamper(&self, sql: &str) {
        let path = self.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        store.execute_batch(sql).unwrap();
    }
}

/// Waiting.
impl World {
    /// Waits until everything that happened in HubSpot shows on users.
    pub async fn settle(&self) {
        settle(self.host(), &self.sim).await;
    }

    /// Waits until the log is applied, whatever is left to read.
    pub async fn applied(&self) {
        self.sim.settle().await;
        let tail = *self.host().log.tail().borrow();
        let mut applied = self.host().pipeline.applied();
        let waited = applied.wait_for(|place| *place >= tail);
        tokio::time::timeout(PATIENCE, waited)
            .await
            .expect("applied in time")
            .unwrap();
    }

    /// Waits until something is true, looking whenever something was done.
    pub async fn until(&self, is_true: impl AsyncFn() -> bool) {
        let waited = async {
            let mut changed = self.host().pipeline.changed();
            while !is_true().await {
                let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited)
            .await
            .expect("true in time");
    }
}
