//! The brake: what would take values from many users asks first.

use harness::world::World;
use serde_json::{Value, json};

use super::{PORTAL, mappings, over, silent, sync, users};

/// A world in which 150 users have a job title, and HubSpot lost the contacts of
/// 120 of them, told by no webhook.
async fn bereft() -> (World, String) {
    let (world, connection) = silent().await;
    let emails: Vec<_> = (0..150).map(|n| format!("user-{n}@example.com")).collect();
    users(
        &world,
        &emails.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let account = world.account(PORTAL);
    let contacts: Vec<_> = emails
        .iter()
        .map(|email| {
            let values = [("email", email.as_str()), ("jobtitle", "Cook")];
            account.create("contacts", &values).unwrap()
        })
        .collect();
    let mapped = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, mapped).await;
    sync(&world, &connection, "full").await;
    assert_eq!(cooks(&world), 150);
    for contact in &contacts[..120] {
        account.delete("contacts", *contact).unwrap();
    }
    (world, connection)
}

/// How many users have a job title.
fn cooks(world: &World) -> i64 {
    world.count("SELECT count(*) FROM shown_values")
}

/// A catch-up that its brake holds; the run.
async fn held(world: &World, connection: &str) -> (String, Value) {
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await.good();
    let id = started["id"].as_str().unwrap().to_owned();
    let path = format!("{path}/{id}");
    // A record is believed to be gone when it stays so for a while.
    let is_held = async || {
        super::pass(world, 10);
        world.get(&path).await.good()["status"] == "braked"
    };
    world.until(is_held).await;
    (id, world.get(&path).await.good())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_would_clear_many_users_stops_and_goes_on_when_told() {
    let (world, connection) = bereft().await;
    let (id, run) = held(&world, &connection).await;
    assert_eq!(run["problem"]["code"], "braked", "{run}");
    let detail = run["problem"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("A catch-up is held"), "{detail}");
    assert!(detail.contains(" of 150 users"), "{detail}");
    // Its connection asks, too.
    let path = format!("/connections/{connection}");
    let asks = world.get(&path).await.good();
    assert_eq!(asks["problem"], run["problem"], "{asks}");
    assert!(cooks(&world) >= 50);
    // Some of those are named whose values it would take: they show them still.
    let named = run["held_users"].as_array().unwrap();
    assert!((1..=10).contains(&named.len()), "{run}");
    for user in named {
        let values = world.values(user["id"].as_str().unwrap()).await;
        assert_eq!(values["job_title"], "Cook", "{user}");
        assert!(user["email"].as_str().unwrap().contains('@'), "{user}");
    }

    let path = format!("/connections/{connection}/syncs/{id}/continue");
    assert_eq!(world.post(&path, json!({})).await.status, 202);
    let going_on = format!("/connections/{connection}/syncs/{id}");
    let going_on = world.get(&going_on).await.good();
    assert!(going_on["held_users"].is_null(), "{going_on}");
    world
        .until(async || {
            super::pass(&world, 10);
            cooks(&world) == 30
        })
        .await;
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.post(&path, json!({})).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_held_can_be_cancelled_and_live_goes_on_meanwhile() {
    let (world, connection) = bereft().await;
    let (id, _) = held(&world, &connection).await;
    let left = cooks(&world);
    world.sim.set_webhooks(|knobs| knobs.loss = 0.0);
    let new = users(&world, &["new@example.com"]).await.remove(0);
    let values = [("email", "new@example.com"), ("jobtitle", "Chef")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.settle().await;
    assert_eq!(world.values(&new).await, json!({"job_title": "Chef"}));

    let path = format!("/connections/{connection}/syncs/{id}/cancel");
    assert_eq!(world.post(&path, json!({})).await.status, 202);
    super::pass(&world, 3_600);
    world.settle().await;
    assert_eq!(cooks(&world), left + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_held_ends_with_its_connection() {
    let (world, connection) = bereft().await;
    held(&world, &connection).await;
    let left = cooks(&world);
    let lost = "SELECT count(*) FROM run_losses";
    assert!(world.count(lost) > 0);
    let path = format!("/connections/{connection}?values=keep");
    assert_eq!(world.delete(&path).await.status, 204);
    world.until(async || world.count(lost) == 0).await;
    assert_eq!(cooks(&world), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_was_told_to_go_on_does_not_ask_again_when_its_connection_is_resumed() {
    let (world, connection) = bereft().await;
    let (id, _) = held(&world, &connection).await;
    let path = format!("/connections/{connection}");
    let post = async |what: &str| {
        world
            .post(&format!("{path}/{what}"), json!({}))
            .await
            .status
    };
    assert!(post("pause").await < 300);
    assert_eq!(post(&format!("syncs/{id}/continue")).await, 202);
    assert!(post("resume").await < 300);
    world
        .until(async || {
            super::pass(&world, 10);
            cooks(&world) == 30
        })
        .await;
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
}
