//! HubSpot's webhooks journal, the second way by which changes come.

mod commands;
mod events;
mod reading;
mod subscriptions;

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{PropertySpec, Route};
use jimo_connect::config::JournalUse;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A property that one customer alone has, which no app can have pushed.
const OWN: &str = "favourite_dish";

/// Contacts by e-mail, with a property that is pushed and one that is not.
fn contacts() -> Value {
    json!({"contacts": {"fields": [
        {"property": "jobtitle", "variable": "job_title"},
        {"property": OWN, "variable": "dish"},
    ]}})
}

/// A connected account with a property of its own; the connection's id.
async fn connect(world: &World, portal: u64) -> String {
    let account = world.account(portal);
    account.define("contacts", PropertySpec::text(OWN)).unwrap();
    world.connect(portal).await
}

/// Maps, and subscribes nothing to be pushed.
async fn map(world: &World, connection: &str, mappings: Value) {
    let path = format!("/connections/{connection}/mappings");
    world.put(&path, mappings).await.good();
}

/// A host that hears of [`contacts`] by the journal alone; its connection.
async fn unpushed() -> (World, String) {
    unpushed_in(World::start_with_journal().await).await
}

/// The same at noon, when no catch-up comes by itself for hours.
async fn noon() -> (World, String) {
    let world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::On);
    unpushed_in(world.await).await
}

async fn unpushed_in(world: World) -> (World, String) {
    world.sim.unsubscribe_all();
    let connection = connect(&world, PORTAL).await;
    map(&world, &connection, contacts()).await;
    told(&world, &connection, "contacts", &[OWN]).await;
    (world, connection)
}

/// Waits until something is true, while the time passes that lies between two
/// looks at the journal.
async fn soon(world: &World, is_true: impl AsyncFn() -> bool) {
    world
        .until(async || {
            pass(world, 1);
            is_true().await
        })
        .await;
}

/// Time passes, for both sides.
fn pass(world: &World, seconds: u64) {
    let time = Duration::from_secs(seconds);
    world.clock.turn(time);
    world.sim.turn(time);
}

/// How many catch-ups were asked for.
fn catch_ups(world: &World) -> i64 {
    world.count("SELECT count(*) FROM runs WHERE kind = 'catch_up'")
}

/// The ways by which changes of a type come.
async fn ways(world: &World, connection: &str, object_type: &str) -> Vec<Value> {
    let held = world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    let live = held["live"].as_array().unwrap().iter();
    live.filter(|way| way["object_type"] == object_type)
        .cloned()
        .collect()
}

/// The way of that name, where there is one.
async fn way(world: &World, connection: &str, object_type: &str, name: &str) -> Option<Value> {
    let ways = ways(world, connection, object_type).await;
    ways.into_iter().find(|way| way["way"] == name)
}

/// Waits until the journal tells of properties.
async fn told(world: &World, connection: &str, object_type: &str, properties: &[&str]) {
    soon(world, async || {
        let Some(way) = way(world, connection, object_type, "journal").await else {
            return false;
        };
        let told = way["properties"].as_array().unwrap();
        properties.iter().all(|name| told.contains(&json!(name)))
    })
    .await;
}

/// Waits until a user has a value.
async fn shows(world: &World, user: &str, variable: &str, value: Value) {
    soon(world, async || world.values(user).await[variable] == value).await;
}

/// The connection's activity about one record, newest first: origin and outcome.
async fn activity(world: &World, connection: &str, record: u64) -> Vec<(String, String)> {
    let lines = world
        .get(&format!("/connections/{connection}/activity"))
        .await;
    let lines = lines.good();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let record = record.to_string();
    let own = lines.as_array().unwrap().iter();
    own.filter(|line| line["record_id"] == record.as_str())
        .map(|line| (text(&line["origin"]), text(&line["outcome"])))
        .collect()
}

/// The paths of the calls that read the journal, oldest first.
fn journal_calls(world: &World) -> Vec<String> {
    let calls = world.sim.calls().into_iter();
    let read = calls.filter(|call| {
        matches!(call.route, Route::Journal | Route::JournalFile) && call.method == "GET"
    });
    read.map(|call| call.path)
        .filter(|path| !path.contains("/subscriptions/"))
        .collect()
}

/// A user with a contact that the host knows; both ids.
async fn ana(world: &World, portal: u64, email: &str) -> (String, u64) {
    let user = world.put_users(json!([{"email": email}])).await.remove(0);
    let contact = world
        .account(portal)
        .create("contacts", &[("email", email), (OWN, "Soup")])
        .unwrap();
    shows(world, &user, "dish", json!("Soup")).await;
    // No read of it is left that could bring what changes next.
    world.settle().await;
    (user, contact)
}
