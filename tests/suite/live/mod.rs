//! Live sync, from a change in HubSpot to a user's value, rule by rule.

mod associations;
mod calls;
mod counting;
mod matching;
mod order;
mod ownership;
mod refusals;
mod values;

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{Call, Route};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Mappings of all three types: contacts by e-mail, companies and deals through
/// them.
fn mappings() -> Value {
    json!({
        "contacts": {"fields": [
            {"property": "jobtitle", "variable": "job_title"},
            {"property": "city", "variable": "city"},
        ]},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
        "deals": {"fields": [{"property": "dealname", "variable": "deal"}]},
    })
}

/// A world whose connection maps all three types; its connection's id.
async fn connected() -> (World, String) {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    (world, connection)
}

/// A user by e-mail address, looked up when this returns; its id.
async fn user(world: &World, email: &str) -> String {
    let id = world.put_users(json!([{ "email": email }])).await.remove(0);
    let is_looked_up = async || world.count("SELECT count(*) FROM lookups") == 0;
    world.until(is_looked_up).await;
    id
}

/// A contact, known to the host when this returns; its id.
async fn contact(world: &World, values: &[(&str, &str)]) -> u64 {
    let id = world.account(PORTAL).create("contacts", values).unwrap();
    world.settle().await;
    id
}

/// A world as [`connected`], with a user whose contact is a cook in HubSpot:
/// the connection's, the user's and the contact's ids.
async fn cook() -> (World, String, String, u64) {
    let (world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let id = contact(&world, &values).await;
    (world, connection, ana, id)
}

/// The calls for records and associations since the last
/// [`hubspot_sim::Simulator::clear_calls`].
fn reads(world: &World) -> Vec<Call> {
    let read = |call: &Call| {
        matches!(
            call.route,
            Route::Get | Route::BatchRead | Route::List | Route::Search | Route::Associations
        )
    };
    world.sim.calls().into_iter().filter(read).collect()
}

/// The reasons that the connection's activity gives, newest first.
async fn reasons(world: &World, connection: &str) -> Vec<String> {
    let path = format!("/connections/{connection}/activity");
    let lines = world.get(&path).await.good();
    let lines = lines.as_array().unwrap().iter();
    lines
        .filter_map(|line| line["reason"].as_str().map(str::to_owned))
        .collect()
}

/// Waits until something is true, while the time passes that reads are put off
/// for.
async fn hours_later(world: &World, is_true: impl AsyncFn() -> bool) {
    let wait = async || {
        let routing = world.host().pipeline.routing().await.unwrap();
        let accounts: Vec<_> = routing.accounts().map(|route| route.id).collect();
        let store = &world.host().store;
        let next = store.read(move |tx| {
            let mut moments = Vec::new();
            for account in accounts {
                moments.extend(tx.next_read(account)?.map(|(at, _)| at));
                moments.extend(tx.next_lookup(account)?.map(|(at, _)| at));
            }
            Ok(moments.into_iter().min())
        });
        let now = world.clock.now();
        next.await
            .unwrap()
            .map_or(Duration::ZERO, |at| at.since(now))
    };
    world
        .until(async || {
            let wait = wait().await;
            world.clock.turn(wait);
            world.sim.turn(wait);
            is_true().await
        })
        .await;
}
