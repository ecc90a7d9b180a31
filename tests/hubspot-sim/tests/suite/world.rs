//! A simulator with one account that has the app, a client for its API, and a listener.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hubspot_sim::{Account, Clock, Config, Limits, Simulator, Tokens};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

pub const PORTAL: u64 = 48_975_575;
pub const START_MS: i64 = 1_790_000_000_000;

pub const SCOPES: &[&str] = &[
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.schemas.contacts.write",
];

/// A simulator, its one account and how to call it.
pub struct World {
    pub sim: Simulator,
    pub account: Account,
    pub tokens: Tokens,
    pub http: reqwest::Client,
}

/// An answer: status, headers, body (null when there is none).
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl World {
    /// A clock that stands still, no rate limits.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            clock: Clock::manual(START_MS),
            limits: Limits::unlimited(),
            ..Config::default()
        };
        change(&mut config);
        let sim = Simulator::start(config).await.unwrap();
        let account = sim.account(PORTAL);
        let tokens = account.install(SCOPES);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            sim,
            account,
            tokens,
            http,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sim.url()))
            .bearer_auth(&self.tokens.access_token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }
}

pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let bytes = response.bytes().await.unwrap();
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

/// One delivery as it arrived.
pub struct Delivery {
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Delivery {
    pub fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

/// Somewhere for webhooks to go: keeps what arrives, answers as told, else 204.
#[derive(Clone, Default)]
pub struct Listener {
    arrived: Arc<Mutex<Vec<Delivery>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Listener {
    /// Starts it and makes it the target of the simulator's webhooks.
    pub async fn start(sim: &Simulator) -> Self {
        let listener = Self::default();
        let app = Router::new()
            .route("/hook", post(take))
            .with_state(listener.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        sim.set_webhook_target(&format!("http://{}/hook", socket.local_addr().unwrap()));
        tokio::spawn(async move { axum::serve(socket, app).await });
        listener
    }

    /// Answers the next deliveries with these statuses.
    pub fn answer_next(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }

    /// All events that arrived, in order.
    pub fn events(&self) -> Vec<Value> {
        self.take().iter().flat_map(Delivery::events).collect()
    }
}

async fn take(State(listener): State<Listener>, headers: HeaderMap, bytes: Bytes) -> StatusCode {
    listener
        .arrived
        .lock()
        .unwrap()
        .push(Delivery { headers, bytes });
    let status = listener.answers.lock().unwrap().pop_front().unwrap_or(204);
    StatusCode::from_u16(status).unwrap()
}
