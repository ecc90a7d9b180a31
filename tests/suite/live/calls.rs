//! Live needs no call to HubSpot when it can do without.

use hubspot_sim::Route;
use serde_json::json;

use super::{PORTAL, connected, contact, cook, reads, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_records_change_costs_no_call() {
    let (world, _, ana, id) = cook().await;
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account
        .patch("contacts", id, &[("jobtitle", "Chef"), ("city", "Lyon")])
        .unwrap();
    world.settle().await;
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "Chef", "city": "Lyon"})
    );
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_read_once_and_its_later_changes_cost_no_call() {
    let (world, _) = connected().await;
    world.sim.clear_calls();
    let id = contact(&world, &[("email", "stranger@example.com")]).await;
    assert_eq!(reads(&world).len(), 1);
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    for title in ["Cook", "Chef", ""] {
        account
            .patch("contacts", id, &[("jobtitle", title)])
            .unwrap();
        world.settle().await;
    }
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_records_are_read_together_and_once() {
    let (world, _) = connected().await;
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let account = world.account(PORTAL);
    for number in 0..60 {
        let email = format!("user{number}@example.com");
        let id = account.create("contacts", &[("email", &email)]).unwrap();
        account
            .patch("contacts", id, &[("jobtitle", "Cook"), ("city", "Lyon")])
            .unwrap();
    }
    world.sim.clear_calls();
    world.settle().await;
    let calls = reads(&world);
    assert!(
        calls.iter().all(|call| call.route == Route::BatchRead),
        "{calls:?}"
    );
    // Three hundred events come in a few deliveries, and each may be worked on
    // before the next arrives.
    assert!((1..=5).contains(&calls.len()), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_and_deals_of_no_user_cost_no_call() {
    let (world, _) = connected().await;
    contact(&world, &[("email", "stranger@example.com")]).await;
    let account = world.account(PORTAL);
    world.sim.clear_calls();
    let company = account.create("companies", &[("name", "Acme")]).unwrap();
    let deal = account.create("deals", &[("dealname", "Big")]).unwrap();
    world.settle().await;
    account
        .patch("companies", company, &[("name", "Acme Ltd")])
        .unwrap();
    account
        .patch("deals", deal, &[("dealname", "Bigger")])
        .unwrap();
    account.delete("deals", deal).unwrap();
    world.settle().await;
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_not_mapped_costs_nothing_and_shows_nowhere() {
    let (world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let id = contact(&world, &[("email", "ana@example.com"), ("phone", "1")]).await;
    world
        .sim
        .subscribe("contact.propertyChange", Some("phone"))
        .unwrap();
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account.patch("contacts", id, &[("phone", "2")]).unwrap();
    world.settle().await;
    assert_eq!(reads(&world), []);
    assert_eq!(world.values(&ana).await, json!({}));
}
