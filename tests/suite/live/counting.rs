//! What the host counts of its own work.

use std::time::Duration;

use hubspot_sim::{FaultRule, Route, Trouble};

use super::{PORTAL, connected, contact, user};

/// A counter of the host, by its name and labels as they are written.
fn counter(world: &harness::world::World, name: &str) -> u64 {
    let metrics = world.host().metrics.render();
    let name = format!("jimo_connect_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_that_reads_is_counted_once_by_its_outcome() {
    let (world, _) = connected().await;
    user(&world, "ana@example.com").await;
    let refusal = FaultRule::once(Route::BatchRead, Trouble::Status(400));
    world.sim.inject(refusal);
    contact(&world, &[("email", "ana@example.com")]).await;
    world.sim.clear_calls();
    let before = counter(&world, r#"reads_total{outcome="ok"}"#);
    assert_eq!(counter(&world, r#"reads_total{outcome="failed"}"#), 1);
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let account = world.account(PORTAL);
    for number in 0..250 {
        let email = format!("stranger{number}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    world.settle().await;
    let made = super::reads(&world).len() as u64;
    assert!(made >= 3, "{made}");
    let counted = counter(&world, r#"reads_total{outcome="ok"}"#);
    assert_eq!(counted - before, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_batch_that_is_tried_again_count_once() {
    let (world, connection) = connected().await;
    let id = contact(&world, &[("email", "stranger@example.com")]).await;
    let before = counter(&world, "events_total");
    // The configuration moves all the while, and no batch is applied under
    // another one than it was prepared under.
    let (store, connection) = (world.host().store.clone(), connection.parse().unwrap());
    let moving = tokio::spawn(async move {
        for _ in 0..300 {
            let moved = store.transact(move |tx| tx.mappings_saved(connection));
            moved.await.unwrap();
        }
    });
    let account = world.account(PORTAL);
    for number in 0..100 {
        let title = format!("Cook {number}");
        account
            .patch("contacts", id, &[("jobtitle", &title)])
            .unwrap();
        tokio::time::timeout(Duration::from_secs(60), world.sim.settle())
            .await
            .unwrap();
    }
    moving.await.unwrap();
    world.settle().await;
    assert_eq!(counter(&world, "events_total") - before, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_connection_is_paused_is_not_unknown() {
    let (world, connection) = connected().await;
    let id = contact(&world, &[("email", "stranger@example.com")]).await;
    let path = format!("/connections/{connection}/pause");
    world.post(&path, serde_json::json!({})).await.good();
    let before = counter(&world, "events_total");
    let account = world.account(PORTAL);
    account
        .patch("contacts", id, &[("jobtitle", "Cook")])
        .unwrap();
    world.applied().await;
    assert_eq!(counter(&world, "events_total") - before, 1);
    assert_eq!(counter(&world, "unknown_account_events_total"), 0);
}
