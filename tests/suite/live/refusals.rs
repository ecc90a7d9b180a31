//! What HubSpot refuses holds up nothing else and is never dropped.

use hubspot_sim::{FaultRule, Route, Trouble};
use serde_json::json;

use super::{PORTAL, connected, contact, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_hubspot_refuses_is_put_off_and_made_later() {
    let (world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let ben = user(&world, "ben@example.com").await;
    // Refused as one of two, then by itself: the first is put off, and the
    // second is answered.
    let refusal = FaultRule::by_chance(Trouble::Status(400), 1.0).on(Route::BatchRead);
    world.sim.inject(refusal.times(2));
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let account = world.account(PORTAL);
    for (email, title) in [("ana@example.com", "Cook"), ("ben@example.com", "Baker")] {
        let values = [("email", email), ("jobtitle", title)];
        account.create("contacts", &values).unwrap();
    }
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({"job_title": "Baker"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_accounts_trouble_delays_no_other() {
    let (world, _) = connected().await;
    let other = world.connect(PORTAL + 1).await;
    let fields = json!([{"property": "jobtitle", "variable": "other_title"}]);
    world
        .map(&other, json!({"contacts": {"fields": fields}}))
        .await;
    let ana = user(&world, "ana@example.com").await;
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.account(PORTAL).revoke_grant();
    world.account(PORTAL).expire_access();
    world
        .account(PORTAL + 1)
        .create("contacts", &values)
        .unwrap();
    world.sim.settle().await;
    world
        .until(async || world.values(&ana).await == json!({"other_title": "Cook"}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_a_grant_was_gone_shows_after_reconnecting() {
    let (world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let known = contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    )
    .await;
    let account = world.account(PORTAL);
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    account
        .patch(
            "contacts",
            known,
            &[("email", "ana@example.org"), ("city", "Lyon")],
        )
        .unwrap();
    account.revoke_grant();
    account.expire_access();
    world.sim.settle().await;
    let path = format!("/connections/{connection}");
    let needs_attention = async || world.get(&path).await.good()["status"] == "needs_attention";
    world.until(needs_attention).await;
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 200, "{text}");
    world.settle().await;
    assert_eq!(world.get(&path).await.good()["status"], "active");
    assert_eq!(world.values(&ana).await, json!({}));
}
