//! What search gets wrong, where a test asks for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{START_MS, World};

const SEARCH: &str = "/crm/objects/2026-09/contacts/search";

/// The ids that a search finds, in their order.
async fn found(world: &World, body: Value) -> Vec<String> {
    let answer = world.post(SEARCH, body).await;
    let results = answer.body["results"].as_array().unwrap().iter();
    let ids = results.map(|record| record["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn what_is_gone_is_still_found_for_a_while_as_it_was() {
    let world = World::with(|config| config.api.search_lag_ms = 5_000).await;
    let create = |email: &str| {
        world
            .account
            .create("contacts", &[("email", email)])
            .unwrap()
    };
    let [ana, ben, cleo] = ["ana@a.example", "ben@a.example", "cleo@a.example"].map(create);
    world.sim.turn(Duration::from_secs(5));
    let into = world.account.merge("contacts", ana, ben).unwrap();
    world.account.delete("contacts", cleo).unwrap();
    let before = [ana, ben, cleo].map(|id| id.to_string());
    assert_eq!(found(&world, json!({})).await, before);
    let by_email = json!({"filterGroups": [{"filters": [
        {"propertyName": "email", "operator": "EQ", "value": "ben@a.example"}
    ]}]});
    assert_eq!(found(&world, by_email).await, [ben.to_string()]);
    world.sim.turn(Duration::from_secs(5));
    assert_eq!(found(&world, json!({})).await, [into.to_string()]);
}

#[tokio::test]
async fn its_filters_may_have_stamps_wrong_by_the_seed() {
    let world = World::with(|config| config.api.search_window_ms = 60_000).await;
    let mut made = Vec::new();
    for _ in 0..100 {
        made.push(world.account.create("contacts", &[]).unwrap().to_string());
    }
    let since = |moment: i64| {
        let value = moment.to_string();
        json!({"limit": 200, "filterGroups": [{"filters": [
            {"propertyName": "lastmodifieddate", "operator": "GTE", "value": value}
        ]}]})
    };
    // Some from before the window are found, and some within are not.
    let outside = found(&world, since(START_MS + 1)).await;
    let within = found(&world, since(START_MS)).await;
    assert!(!outside.is_empty() && outside.len() < 20, "{outside:?}");
    assert!(within.len() < 100 && within.len() > 80, "{within:?}");
    assert_eq!(found(&world, since(START_MS - 60_000)).await, made);
}

#[tokio::test]
async fn a_contact_is_found_by_a_secondary_address_that_was_calculated() {
    let world = World::new().await;
    let ana = [("email", "ana@a.example")];
    let ana = world.account.create("contacts", &ana).unwrap();
    let addresses = "ana@b.example;ana@c.example";
    world
        .account
        .recalculate("contacts", ana, "hs_additional_emails", addresses)
        .unwrap();
    let path = "/crm/objects/2026-09/contacts/batch/read";
    let read = async |address: &str| {
        let inputs = json!([{ "id": address }]);
        let body = json!({"idProperty": "email", "properties": ["email"], "inputs": inputs});
        world.post(path, body).await.body["results"][0]["id"].clone()
    };
    assert_eq!(read("ana@c.example").await, json!(ana.to_string()));
    world
        .account
        .recalculate("contacts", ana, "hs_additional_emails", "")
        .unwrap();
    assert_eq!(read("ana@c.example").await, Value::Null);
}
