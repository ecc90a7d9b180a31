//! How long pages take that have much to show: a project of a hundred thousand
//! users, and an account whose contacts have a thousand properties, before a
//! simulated HubSpot in the same process that takes no time to answer.
//! `cargo bench --package jimo-connect-tests --bench pages`; after `--`, how many
//! users, where it should be another number.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

use std::time::{Duration, Instant};

use harness::world::World;
use hubspot_sim::{Account, Config, Limits, PropertySpec};
use jimo_connect::{
    clock::Clock,
    store::projects::Role,
    web::session::{Link, make_sign_in_link},
};
use reqwest::{Client, header, redirect::Policy};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;
const USERS: usize = 100_000;
const PROPERTIES: usize = 1_000;

/// Of so many users there is a contact.
const CONTACTS: usize = 5_000;

/// So many properties are mapped, and filled.
const FIELDS: usize = 15;

/// How often each page is asked for.
const RUNS: usize = 15;

fn main() {
    let users = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(USERS);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(users));
}

async fn measure(users: usize) {
    let config = Config {
        limits: Limits {
            per_ten_seconds: Some(10_000),
            search_per_second: None,
            ..Limits::marketplace()
        },
        ..Config::default()
    };
    let world = World::start_with(config, Clock::system()).await;
    let account = world.account(PORTAL);
    let (connection, user) = lay(&world, &account, users).await;
    let segments = segments(&world).await;
    let browser = Browser::sign_in(&world).await;
    println!(
        "| page, of {users} users and {PROPERTIES} properties | first | median | longest of {RUNS} | KiB |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let settings = format!("/settings/integrations/{connection}");
    let of = |path: &str| format!("{settings}{path}");
    for (name, path) in [
        ("users", "/users".to_owned()),
        ("users, the 1,000th page", format!("/users?after={user}")),
        ("users, searched", format!("/users?q=user-{}", users - 1)),
        ("a user", format!("/users/{user}")),
        ("a user's segments", format!("/users/{user}/segments")),
        ("segments, with counts", "/segments".to_owned()),
        ("a segment", format!("/segments/{}", segments[0])),
        ("integrations", "/settings/integrations".to_owned()),
        ("connection", settings.clone()),
        ("matching field", of("/matching")),
        (
            "matching field, what it would match",
            of("/matching/check?property=email&user=email"),
        ),
        ("synced fields", of("/fields")),
        ("properties to add", of("/fields/add?object_type=contacts")),
        (
            "properties to add, searched",
            of("/fields/add?object_type=contacts&q=feature+077"),
        ),
        (
            "properties to add, the most shown",
            of("/fields/add?object_type=contacts&shown=1000"),
        ),
        ("full sync", of("/syncs")),
        ("what a full sync costs", of("/syncs/estimate?kind=full")),
        ("health", of("/health")),
        ("activity", of("/activity")),
        (
            "why a record did not reach a user",
            of("/activity?q=user-7@example.com"),
        ),
    ] {
        browser.measure(name, &path).await;
    }
}

/// Users, contacts, and what is mapped; the connection's id and a user's.
async fn lay(world: &World, account: &Account, users: usize) -> (String, String) {
    for number in 0..PROPERTIES {
        let label = format!("Usage of feature {number:04}");
        let spec = PropertySpec::number(&property(number)).label(&label);
        account.define("contacts", spec).unwrap();
    }
    let mut in_the_middle = String::new();
    let all: Vec<usize> = (0..users).collect();
    for some in all.chunks(1_000) {
        let item =
            |number: &usize| json!({"email": email(*number), "name": format!("User {number}")});
        let ids = world.put_users(some.iter().map(item).collect()).await;
        if some.contains(&(users / 2)) {
            in_the_middle.clone_from(&ids[0]);
        }
    }
    for number in (0..users).step_by((users / CONTACTS).max(1)) {
        let email = email(number);
        let values: Vec<(String, String)> = (0..FIELDS)
            .map(|field| (property(field), (number * field % 997).to_string()))
            .collect();
        let mut values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        values.push(("email", &email));
        account.create("contacts", &values).unwrap();
    }
    let connection = world.connect(PORTAL).await;
    let fields: Vec<Value> = (0..FIELDS)
        .map(|field| json!({"property": property(field), "variable": property(field)}))
        .collect();
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let path = format!("/connections/{connection}/syncs");
    let run = world.post(&path, json!({"kind": "full"})).await.good();
    let path = format!("{path}/{}", run["id"].as_str().unwrap());
    while world.get(&path).await.good()["status"] == "running" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (connection, in_the_middle)
}

fn property(number: usize) -> String {
    format!("usage_{number:04}")
}

fn email(number: usize) -> String {
    format!("user-{number}@example.com")
}

/// Ten segments, by their ids.
async fn segments(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..10 {
        let rule = json!({"variable": property(number), "operator": ">", "value": 500});
        let body = json!({"name": format!("Segment {number}"), "conditions": {"all": [rule]}});
        let made = world.post("/segments", body).await;
        assert_eq!(made.status, 201, "{}", made.json);
        ids.push(made.json["id"].as_str().unwrap().to_owned());
    }
    ids
}

struct Browser<'a> {
    world: &'a World,
    client: Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(world: &'a World) -> Self {
        let host = world.host();
        let of = (world.project.parse().unwrap(), Role::Admin);
        let now = host.clock.now();
        let link = make_sign_in_link(&host.store, &host.public_url, of, Link::Again, now);
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let answer = client.get(link.await.unwrap()).send().await.unwrap();
        let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        Self {
            world,
            cookie: set.split(';').next().unwrap().to_owned(),
            client,
        }
    }

    async fn measure(&self, name: &str, path: &str) {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..RUNS {
            let begun = Instant::now();
            let url = self.world.host().public_url.join(path).unwrap();
            let request = self.client.get(url).header(header::COOKIE, &self.cookie);
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert!(status.is_success(), "{path}: {status} {text}");
            times.push(begun.elapsed());
            bytes = text.len();
        }
        let first = times[0];
        times.sort();
        let [first, median, longest] = [first, times[RUNS / 2], times[RUNS - 1]]
            .map(|time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0));
        println!(
            "| {name} | {first} | {median} | {longest} | {} |",
            bytes / 1_024
        );
    }
}
