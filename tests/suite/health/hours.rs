//! Numbers by the hour.

use std::time::Duration;

use harness::{bare::deliver, world::World};
use jimo_connect::{config::JournalUse, intake};
use serde_json::json;

use super::{Fed, PORTAL, mappings};

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_what_it_did_is_told_by_the_hour() {
    let world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::Off).await;
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = account.create("contacts", &values).unwrap();
    account
        .create("contacts", &[("email", "eve@example.com")])
        .unwrap();
    let pass = |seconds| {
        world.clock.turn(Duration::from_secs(seconds));
        world.sim.turn(Duration::from_secs(seconds));
    };
    pass(10);
    world.settle().await;
    pass(3_600);
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    pass(2);
    world.settle().await;

    let path = format!("/connections/{connection}/health?hours=3");
    let health = world.get(&path).await.good();
    assert_eq!(health["problems"], json!([]));
    let hours = health["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 3);
    let (first, last) = (&hours[1], &hours[2]);
    assert!(first["reads"].as_i64().unwrap() >= 2, "{first:#}");
    assert!(first["webhooks"].as_i64().unwrap() >= 2, "{first:#}");
    assert_eq!(first["updated"], 1, "{first:#}");
    assert!(first["no_match"].as_i64().unwrap() >= 1, "{first:#}");
    assert_eq!(last["webhooks"], 1, "{last:#}");
    assert_eq!(
        (&last["updated"], &last["values_written"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(last["reads"], 0);
    let p95 = last["p95_seconds"].as_f64().unwrap();
    assert!((1.0..5.0).contains(&p95), "{p95}");
    world
        .get(&format!("/connections/{connection}/health?hours=337"))
        .await
        .problem(400);
    world
        .get(&format!("/connections/{connection}/health?hours=0"))
        .await
        .problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_sync_of_what_is_old_says_nothing_of_freshness() {
    let world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::Off);
    let fed = Fed::start_in(world.await).await;
    fed.world.clock.turn(Duration::from_secs(1));
    fed.world.sim.turn(Duration::from_secs(1));
    let account = fed.world.account(PORTAL);
    account
        .patch("contacts", fed.contact, &[("jobtitle", "Chef")])
        .unwrap();
    fed.world.settle().await;
    let before = fed.get("").await["freshness"].clone();
    assert!(before["p50_seconds"].is_number(), "{before:#}");
    // Mapped now, and as it is for long: it is filled, and was late for nobody.
    account
        .patch("contacts", fed.contact, &[("city", "Lyon")])
        .unwrap();
    fed.world.sim.turn(Duration::from_secs(1));
    fed.world.settle().await;
    fed.world.clock.turn(Duration::from_secs(1_800));
    fed.world.sim.turn(Duration::from_secs(1_800));
    let mut wider = mappings();
    wider["contacts"]["fields"] = json!([
        {"property": "jobtitle", "variable": "job_title"},
        {"property": "city", "variable": "city"},
    ]);
    fed.world.map(&fed.connection, wider).await;
    let started = fed
        .world
        .post(&fed.path("/syncs"), json!({"kind": "full"}))
        .await
        .good();
    fed.world.settle().await;
    let sync = fed
        .get(&format!("/syncs/{}", started["id"].as_str().unwrap()))
        .await;
    assert_eq!(sync["counts"]["updated"], 1, "{sync:#}");
    assert_eq!(fed.world.values(&fed.user).await["city"], "Lyon");
    assert_eq!(fed.get("").await["freshness"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_already_is_nothing_new_and_nothing_that_was_skipped() {
    let fed = Fed::start().await;
    let world = &fed.world;
    let sum = async |name: &str| -> i64 {
        let hours = fed.get("/health?hours=3").await["hours"].clone();
        let hours = hours.as_array().unwrap().iter();
        hours.map(|hour| hour[name].as_i64().unwrap()).sum()
    };
    let before = (sum("unchanged").await, sum("skipped").await);
    let event = json!([{
        "portalId": PORTAL, "objectId": fed.contact, "subscriptionType": "contact.creation",
        "occurredAt": 1,
    }]);
    let secret = world.sim.app().client_secret;
    let url = world.host().url(intake::PATH);
    let status = deliver(url.as_str(), &secret, event.to_string().into()).await;
    assert_eq!(status.unwrap(), 204);
    world.settle().await;
    let told = fed.get("/activity?reason=older").await;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told:#}");
    let after = (sum("unchanged").await, sum("skipped").await);
    assert_eq!(after, (before.0 + 1, before.1));
}
