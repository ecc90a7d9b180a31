//! What else goes wrong for those who read HubSpot: merges, answers that leave
//! something out, dates in two forms, secondary addresses.

use harness::world::World;
use hubspot_sim::{FaultRule, ObjectType, PropertySpec, Route, Trouble};
use serde_json::{Value, json};

use super::{PORTAL, calls, mappings, pass, silent, sync, users};

/// Contacts by an id of the customer's own, and the city they are in.
fn by_customer_id() -> Value {
    json!({"contacts": {
        "matching": {"property": "customer_id", "user": "external_id"},
        "fields": [{"property": "city", "variable": "city"}],
    }})
}

/// A world with users `u-0`, `u-1`, … and their contacts, synced; their ids.
async fn synced(count: usize) -> (World, String, Vec<String>, Vec<u64>) {
    let (world, connection) = silent().await;
    let account = world.account(PORTAL);
    let spec = PropertySpec::text("customer_id");
    account.define("contacts", spec).unwrap();
    let items: Vec<_> = (0..count)
        .map(|number| json!({"external_id": format!("u-{number}")}))
        .collect();
    let ids = world.put_users(json!(items)).await;
    world.map(&connection, by_customer_id()).await;
    let contacts = (0..count).map(|number| create(&world, number, "Lyon"));
    let contacts = contacts.collect();
    sync(&world, &connection, "full").await;
    (world, connection, ids, contacts)
}

fn create(world: &World, number: usize, city: &str) -> u64 {
    let id = format!("u-{number}");
    let values = [("customer_id", id.as_str()), ("city", city)];
    world.account(PORTAL).create("contacts", &values).unwrap()
}

async fn cities(world: &World, ids: &[String]) -> Vec<Value> {
    let mut cities = Vec::new();
    for id in ids {
        cities.push(world.values(id).await["city"].clone());
    }
    cities
}

#[tokio::test(flavor = "multi_thread")]
async fn losers_of_merges_feed_nobody_though_search_still_shows_them() {
    let (world, connection, ids, contacts) = synced(4).await;
    let account = world.account(PORTAL);
    world.sim.set_api(|api| api.search_lag_ms = 30 * 60_000);
    // Two that are linked, and two that nobody has heard of.
    account.merge("contacts", contacts[0], contacts[1]).unwrap();
    account.delete("contacts", contacts[2]).unwrap();
    account.delete("contacts", contacts[3]).unwrap();
    pass(&world, 3_600);
    let [new, newer] = [2, 3].map(|number| create(&world, number, "Nice"));
    pass(&world, 31 * 60);
    account.merge("contacts", new, newer).unwrap();
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["failed"], 0, "{run}");
    let expected = [json!("Lyon"), Value::Null, json!("Nice"), Value::Null];
    assert_eq!(cities(&world, &ids).await, expected);
    assert_eq!(world.count("SELECT count(*) FROM reads"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_partial_answer_what_is_named_is_missing_and_all_else_is_read() {
    let (world, connection, ids, contacts) = synced(3).await;
    let account = world.account(PORTAL);
    account.delete("contacts", contacts[1]).unwrap();
    for contact in [contacts[0], contacts[2]] {
        account
            .patch("contacts", contact, &[("city", "Nice")])
            .unwrap();
    }
    world.sim.clear_calls();
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["status"], "completed", "{run}");
    let reads = calls(&world, Route::BatchRead, ObjectType::Contacts);
    assert_eq!(reads[0].status, 207, "{reads:?}");
    let expected = [json!("Nice"), Value::Null, json!("Nice")];
    assert_eq!(cities(&world, &ids).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_leaves_out_without_a_word_is_not_taken_for_deleted() {
    let (world, connection, ids, contacts) = synced(3).await;
    let first = json!({"status": "COMPLETE", "results": [{
        "id": contacts[0].to_string(),
        "properties": {"customer_id": "u-0", "city": "Nice"},
        "updatedAt": "2026-11-23T12:00:30.000Z",
        "archived": false,
    }]});
    let partial = FaultRule::by_chance(Trouble::Answer(200, first), 1.0).on(Route::BatchRead);
    world.sim.inject(partial);
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["counts"]["failed"], 2, "{run}");
    let expected = [json!("Nice"), json!("Lyon"), json!("Lyon")];
    assert_eq!(cities(&world, &ids).await, expected);
    // They are asked for until they are answered.
    world.sim.clear_faults();
    for contact in &contacts[1..] {
        world
            .account(PORTAL)
            .patch("contacts", *contact, &[("city", "Nice")])
            .unwrap();
    }
    pass(&world, 3_601);
    world.settle().await;
    assert_eq!(
        cities(&world, &ids).await,
        [json!("Nice"), json!("Nice"), json!("Nice")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_the_same_in_either_of_its_forms() {
    let (world, connection) = silent().await;
    world.sim.set_api(|api| api.dates_as_ms = true);
    let account = world.account(PORTAL);
    let spec = PropertySpec::date("renewal");
    account.define("contacts", spec).unwrap();
    let emails: Vec<_> = (0..8).map(|n| format!("user-{n}@example.com")).collect();
    let emails: Vec<_> = emails.iter().map(String::as_str).collect();
    let ids = users(&world, &emails).await;
    let fields = json!([{"property": "renewal", "variable": "renewal"}]);
    let mappings = json!({"contacts": {"fields": fields}});
    world.map(&connection, mappings).await;
    let made: Vec<u64> = emails
        .iter()
        .map(|email| {
            let values = [("email", *email), ("renewal", "2026-09-30")];
            account.create("contacts", &values).unwrap()
        })
        .collect();
    let odd = made.iter().filter(|id| *id % 2 == 1).count();
    assert!(odd > 0 && odd < made.len(), "both forms are met: {made:?}");
    sync(&world, &connection, "full").await;
    for id in &ids {
        assert_eq!(world.values(id).await, json!({"renewal": "2026-09-30"}));
    }
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["counts"]["updated"], 0, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_by_the_users_finds_contacts_by_their_secondary_addresses() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    let values = [("email", "ana@work.example"), ("jobtitle", "Cook")];
    let contact = account.create("contacts", &values).unwrap();
    let addresses = "other@example.com;ana@example.com";
    account
        .recalculate("contacts", contact, "hs_additional_emails", addresses)
        .unwrap();
    for stranger in 0..150 {
        let email = format!("stranger-{stranger}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    let run = sync(&world, &connection, "full").await;
    assert_eq!(run["plan"][0]["way"], "users", "{run}");
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}
