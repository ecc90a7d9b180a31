//! Full syncs and catch-ups: what live did not bring.

mod brake;
mod catch_up;
mod full;
mod kills;
mod missed;
mod proof;
mod search;
mod steering;
mod traps;

use harness::world::World;
use hubspot_sim::{Call, ObjectType, Route};
use jimo_connect::config::JournalUse;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Contacts by e-mail, companies and deals through them.
fn mappings() -> Value {
    json!({
        "contacts": {"fields": [{"property": "jobtitle", "variable": "job_title"}]},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
        "deals": {"fields": [{"property": "dealname", "variable": "deal"}]},
    })
}

/// A world at noon with a connection that maps nothing yet, and webhooks that are
/// lost.
async fn silent() -> (World, String) {
    silent_from(hubspot_sim::Config::default()).await
}

async fn silent_from(hubspot: hubspot_sim::Config) -> (World, String) {
    let world = World::start_at_noon(hubspot, JournalUse::Off).await;
    let connection = world.connect(PORTAL).await;
    lose_webhooks(&world);
    (world, connection)
}

/// What happens from here on is told by no webhook.
fn lose_webhooks(world: &World) {
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
}

/// Users by these addresses; their ids.
async fn users(world: &World, emails: &[&str]) -> Vec<String> {
    let items: Vec<_> = emails
        .iter()
        .map(|email| json!({ "email": email }))
        .collect();
    world.put_users(json!(items)).await
}

/// Runs a sync to its end; what the API says of it then.
async fn sync(world: &World, connection: &str, kind: &str) -> Value {
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({ "kind": kind })).await;
    assert_eq!(started.status, 202, "{:?}", started.json);
    let id = started.json["id"].as_str().unwrap().to_owned();
    over(world, connection, &id).await
}

/// Waits until a sync is over; what the API says of it then.
async fn over(world: &World, connection: &str, id: &str) -> Value {
    let path = format!("/connections/{connection}/syncs/{id}");
    let is_over = async || {
        // The account allows so many calls a second.
        pass(world, 1);
        world.get(&path).await.good()["status"] != "running"
    };
    world.until(is_over).await;
    world.get(&path).await.good()
}

/// Time passes, for both sides.
fn pass(world: &World, seconds: u64) {
    let time = std::time::Duration::from_secs(seconds);
    // HubSpot's first: else it refuses what the host believes is allowed again.
    world.sim.turn(time);
    world.clock.turn(time);
}

/// The calls of one route for a type since the last time they were cleared.
fn calls(world: &World, route: Route, object_type: ObjectType) -> Vec<Call> {
    let calls = world.sim.calls().into_iter();
    calls
        .filter(|call| call.route == route && call.path.contains(object_type.name()))
        .collect()
}
