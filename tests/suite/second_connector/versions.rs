//! Its versions: one gives way to another, and what runs none.

use harness::components::{self, rebuilt};
use serde_json::json;

use super::{Pushed, activate, install, person};
use crate::privacy::{nowhere, somewhere};

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
    let path = format!("/api/v1/plugins/{other}/activate");
    let forced = world.send(
        reqwest::Method::POST,
        &path,
        &world.operator,
        Some(json!({"force": true})),
    );
    forced.await.good();
    assert_eq!(plugins.active("webhook").unwrap().digest(), other);
    assert_eq!(plugins.active("hubspot").unwrap().digest(), of_hubspot);
    pushed.push(json!([seats(2, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    let path = format!("/connections/{connection}/activity");
    let activity = world.get(&path).await.good();
    assert_eq!(activity[0]["plugin"], json!(other), "{activity:#}");
}

#[tokio::test]
async fn what_comes_while_no_version_runs_is_set_aside_until_one_does() {
    let world = harness::world::World::start().await;
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
    let asked = world.send(
        reqwest::Method::POST,
        path,
        &world.operator,
        Some(json!({})),
    );
    asked.await.good();
    world
        .until(async || pushed.set_aside().await.is_empty())
        .await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 3.0);
}

#[tokio::test]
async fn what_comes_of_an_erased_record_while_no_version_runs_is_erased_when_one_does() {
    let world = harness::world::World::start().await;
    let component = components::misbehaving_as("webhook", "nothing");
    let digest = install(&world, component.clone()).await;
    activate(&world, &digest).await.good();
    let mut pushed = Pushed { world, digest };
    pushed.connect("7").await;
    let erased =
        json!({"changes": [{"element": 0, "type": "contacts", "kind": "erased", "at": 1}]});
    let of = |record: &str, text: &str| json!({"portalId": "7", "objectId": record, "text": text});
    let mut told = of("9", "nobody");
    told["say"] = erased;
    pushed.push(json!([told])).await;
    assert_eq!(pushed.world.count("SELECT count(*) FROM erasures"), 1);

    pushed.world.stop().await;
    let directory = pushed.world.directory.path().to_path_buf();
    let file = directory.join(format!("plugins/{}.wasm", pushed.digest));
    std::fs::write(&file, "damaged").unwrap();
    pushed.world.go_on().await;
    let both = json!([of("9", "Hildegard"), of("10", "Bertram")]);
    pushed.push(both).await;
    somewhere(&directory, &["Hildegard", "Bertram"]);

    pushed.world.stop().await;
    std::fs::write(&file, component).unwrap();
    pushed.world.go_on().await;
    pushed.world.settle().await;
    nowhere(&directory, &["Hildegard"]);
    somewhere(&directory, &["Bertram"]);
    assert_eq!(pushed.set_aside().await.len(), 1);
}
