//! Its versions: one gives way to another, and what runs none.

use harness::{
    components::{self, rebuilt, reworded},
    world::World,
};
use reqwest::Method;
use serde_json::json;

use super::{Pushed, activate, install, person};

/// Activates a version that was not compared.
async fn force(world: &World, digest: &str) {
    let path = format!("/api/v1/plugins/{digest}/activate");
    let body = Some(json!({"force": true}));
    let forced = world.send(Method::POST, &path, &world.operator, body);
    forced.await.good();
}

#[tokio::test]
async fn another_version_takes_over_and_hubspots_stays_as_it_was() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let seats = |minute, seats: u32| {
        person(
            "p-1",
            minute,
            json!({"email": "ana@example.com", "seats": seats}),
        )
    };
    pushed.push(json!([seats(1, 1)])).await;
    let plugins = &world.host().plugins;
    let of_hubspot = plugins.active("hubspot").unwrap().digest().to_owned();

    let other = install(world, rebuilt(components::webhook(), "another")).await;
    // One runs: it is to be compared with that first.
    assert_eq!(activate(world, &other).await.status, 409);
    force(world, &other).await;
    assert_eq!(plugins.active("webhook").unwrap().digest(), other);
    assert_eq!(plugins.active("hubspot").unwrap().digest(), of_hubspot);
    pushed.push(json!([seats(2, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    let path = format!("/connections/{connection}/activity");
    let activity = world.get(&path).await.good();
    assert_eq!(activity[0]["plugin"], json!(other), "{activity:#}");
}

#[tokio::test]
async fn what_another_version_calls_choices_shows_without_another_push() {
    let (pushed, _) = Pushed::mapped().await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let said = json!({"email": "ana@example.com", "plan": "enterprise"});
    pushed.push(json!([person("p-1", 1, said)])).await;
    assert_eq!(pushed.values("ana@example.com").await["plan"], "Enterprise");
    let component = reworded(components::webhook(), "Enterprise", "Corporates");
    let other = install(world, component).await;
    force(world, &other).await;
    world
        .until(async || pushed.values("ana@example.com").await["plan"] == "Corporates")
        .await;
}

#[tokio::test]
async fn what_comes_while_no_version_runs_is_set_aside_until_one_does() {
    let world = World::start().await;
    let url = world.host().url("/webhooks/webhook").to_string();
    let ana = person("p-1", 1, json!({"email": "ana@example.com", "seats": 3}));
    assert_eq!(harness::webhook::push(&url, &json!([ana])).await, 204);
    world.settle().await;
    let digest = install(&world, components::webhook().to_vec()).await;
    activate(&world, &digest).await.good();
    let pushed = Pushed { world, digest };
    let aside = pushed.set_aside().await;
    assert_eq!(aside.len(), 1);
    assert!(aside[0].contains("no plugin"), "{aside:?}");
    let connection = pushed.connect(super::ACCOUNT).await;
    pushed.map(&connection).await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let path = "/api/v1/set-aside/replay";
    let asked = world.send(Method::POST, path, &world.operator, Some(json!({})));
    asked.await.good();
    world
        .until(async || pushed.set_aside().await.is_empty())
        .await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 3.0);
}
