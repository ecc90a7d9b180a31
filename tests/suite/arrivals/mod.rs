//! A user new in Jimo gets their values at once, though nothing was known of
//! their record before they came.

mod calls;
mod finding;
mod waiting;

use harness::world::World;
use hubspot_sim::{Call, PropertySpec, Route};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A world in whose HubSpot something is before anybody is connected, so that
/// no event tells of it; contacts are mapped as `contacts` says beside their
/// title. Its connection's id.
async fn connected_after(
    contacts: Value,
    before: impl FnOnce(&hubspot_sim::Account),
) -> (World, String) {
    let world = World::start().await;
    before(&world.account(PORTAL));
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings(contacts)).await;
    world.settle().await;
    world.sim.clear_calls();
    (world, connection)
}

/// Mappings of contacts, and of companies and deals through them.
fn mappings(mut contacts: Value) -> Value {
    contacts["fields"] = json!([{"property": "jobtitle", "variable": "job_title"}]);
    json!({
        "contacts": contacts,
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
        "deals": {"fields": [{"property": "dealname", "variable": "deal"}]},
    })
}

/// Contacts matched by their e-mail address.
fn by_email() -> Value {
    json!({"matching": {"property": "email", "user": "email"}})
}

/// Contacts matched by a property of their own and the users' external id.
fn by(property: &str) -> Value {
    json!({"matching": {"property": property, "user": "external_id"}})
}

/// [`connected_after`], with a contact of Ana's, a cook.
async fn cook() -> (World, String) {
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    connected_after(by_email(), |account| {
        account.create("contacts", &values).unwrap();
    })
    .await
}

/// Contacts that have a property, by its values; each one's title is its value.
fn identified(spec: PropertySpec, values: &[&str]) -> impl FnOnce(&hubspot_sim::Account) {
    move |account| {
        let name = spec.name.clone();
        account.define("contacts", spec).unwrap();
        for value in values {
            let values = [(name.as_str(), *value), ("jobtitle", *value)];
            account.create("contacts", &values).unwrap();
        }
    }
}

/// Writes a user by e-mail address; its id.
async fn user(world: &World, email: &str) -> String {
    world.put_users(json!([{ "email": email }])).await.remove(0)
}

/// Calls of a kind since [`connected_after`].
fn calls(world: &World, route: Route) -> usize {
    let of = |call: &Call| call.route == route;
    world.sim.calls().into_iter().filter(of).count()
}

/// How many look-ups the store holds.
fn waiting(world: &World) -> i64 {
    let file = world.directory.path().join("store.sqlite");
    let store = rusqlite::Connection::open(file).unwrap();
    store
        .query_one("SELECT count(*) FROM lookups", [], |row| row.get(0))
        .unwrap()
}
