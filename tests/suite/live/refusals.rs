//! What HubSpot refuses holds up nothing else and is never dropped.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{FaultRule, Link, Route, Trouble};
use jimo_connect::store::projects::Role;
use serde_json::{Value, json};

use super::{PORTAL, connected, contact, cook, hours_later, reads, user};

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
    let (world, connection, ana, known) = cook().await;
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

/// Lets HubSpot answer this to reads of records, from now on.
fn answer_reads(world: &World, status: u16, body: Value) {
    let answer = FaultRule::by_chance(Trouble::Answer(status, body), 1.0);
    world.sim.inject(answer.on(Route::BatchRead));
}

async fn counts(world: &World, connection: &str) -> Value {
    let path = format!("/connections/{connection}");
    world.get(&path).await.good()["counts"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_hubspot_will_not_give_is_never_given_up_and_told_of() {
    let (world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let error = json!({"status": "error", "category": "VALIDATION_ERROR", "context": {}});
    let refusal = json!({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]});
    answer_reads(&world, 207, refusal);
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    account.create("contacts", &values).unwrap();
    world.sim.settle().await;
    let told = async || counts(&world, &connection).await["read_put_off"] == 1;
    hours_later(&world, told).await;
    let held = counts(&world, &connection).await;
    assert_eq!(held["skipped"]["read_unanswered"], 1);
    let reasons = super::reasons(&world, &connection).await;
    assert_eq!(reasons[0], "read_unanswered");
    // An hour later it is given.
    world.sim.clear_faults();
    hours_later(&world, async || {
        world.values(&ana).await == json!({"job_title": "Cook"})
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_missing_once_after_refusals_is_not_believed() {
    let (world, connection) = connected().await;
    let (ana, ben) = (
        user(&world, "ana@example.com").await,
        user(&world, "ben@example.com").await,
    );
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let id = contact(&world, &values).await;
    let odd = json!({"status": "COMPLETE", "results": [{"id": id.to_string(), "archived": []}]});
    answer_reads(&world, 200, odd);
    let account = world.account(PORTAL);
    let other = [("email", "ben@example.com")];
    account.patch("contacts", id, &other).unwrap();
    world.sim.settle().await;
    let told = async || counts(&world, &connection).await["read_put_off"] == 1;
    hours_later(&world, told).await;
    let held = counts(&world, &connection).await;
    assert_eq!(held["skipped"]["read_not_understood"], 1);
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    world.sim.clear_faults();
    let missing = json!({"status": "error", "category": "OBJECT_NOT_FOUND"});
    let once = FaultRule::once(Route::BatchRead, Trouble::Answer(404, missing));
    world.sim.inject(once);
    hours_later(&world, async || {
        world.values(&ben).await == json!({"job_title": "Cook"})
    })
    .await;
    assert_eq!(world.values(&ana).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_put_off_and_holds_up_no_other() {
    let (world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    answer_reads(&world, 200, json!({"status": "PENDING", "results": []}));
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    account.create("contacts", &values).unwrap();
    world.sim.settle().await;
    let told = async || counts(&world, &connection).await["read_put_off"] == 1;
    hours_later(&world, told).await;
    world.sim.clear_faults();
    hours_later(&world, async || {
        world.values(&ana).await == json!({"job_title": "Cook"})
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_stops_only_what_needs_it() {
    let (mut world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let (project, token) = (world.project.clone(), world.token.clone());
    world.project = world.make_project("Southwind").await;
    world.token = world.make_token(Some(&world.project), Role::Admin).await;
    let other = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    let contacts = json!({"contacts": {"fields": fields}});
    world.map(&other, contacts).await;
    let eve = user(&world, "eve@example.com").await;
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let id = contact(&world, &values).await;

    let account = world.account(PORTAL);
    account.drop_scope("crm.objects.deals.read");
    let deal = account.create("deals", &[("dealname", "Big")]).unwrap();
    let link = || account.associate(("contacts", id), ("deals", deal), Link::Plain);
    link().unwrap();
    let other_path = format!("/connections/{other}");
    let other_project = (world.project.clone(), world.token.clone());
    (world.project, world.token) = (project, token);
    let path = format!("/connections/{connection}");
    let status = async || world.get(&path).await.good()["status"].clone();
    world
        .until(async || status().await == "needs_attention")
        .await;
    let held = world.get(&path).await.good();
    assert_eq!(held["problem"]["code"], "missing_scopes");
    let problem = held["problem"]["detail"].as_str().unwrap();
    assert!(problem.contains("permissions to read deals"), "{problem}");
    let live = held["live"].as_array().unwrap().iter();
    let pushed = live.filter(|way| way["way"] == "webhooks");
    assert_eq!(pushed.count(), 3, "{held:#}");

    // Everything else goes on: events, and reads of other kinds. Nothing that
    // is refused is asked for again.
    world.sim.clear_calls();
    account
        .patch("contacts", id, &[("jobtitle", "Chef")])
        .unwrap();
    let acme = account.create("companies", &[("name", "Acme")]).unwrap();
    account
        .associate(("contacts", id), ("companies", acme), Link::Plain)
        .unwrap();
    account
        .dissociate(("contacts", id), ("deals", deal))
        .unwrap();
    link().unwrap();
    let values = [("email", "eve@example.com"), ("jobtitle", "Baker")];
    account.create("contacts", &values).unwrap();
    world.sim.settle().await;
    let shown = json!({"job_title": "Chef", "company": "Acme"});
    world
        .until(async || world.values(&ana).await == shown)
        .await;
    let refused = reads(&world).into_iter().filter(|call| call.status == 403);
    assert_eq!(refused.collect::<Vec<_>>(), []);

    // A connection that needs nothing of it is not told.
    let mine = (world.project.clone(), world.token.clone());
    (world.project, world.token) = other_project;
    let shown = json!({"job_title": "Baker"});
    world
        .until(async || world.values(&eve).await == shown)
        .await;
    assert_eq!(world.get(&other_path).await.good()["status"], "active");
    (world.project, world.token) = mine;

    // What waited is read as soon as it may be.
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 200, "{text}");
    world.settle().await;
    assert_eq!(world.values(&ana).await["deal"], "Big");
    assert_eq!(world.get(&path).await.good()["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_linked_records_show_while_a_grant_is_gone_and_reads_wait() {
    let (world, connection) = connected().await;
    let (ana, ben) = (
        user(&world, "ana@example.com").await,
        user(&world, "ben@example.com").await,
    );
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let id = contact(&world, &values).await;
    // HubSpot still delivers what happened before.
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let account = world.account(PORTAL);
    account
        .patch("contacts", id, &[("jobtitle", "Chef")])
        .unwrap();
    let values = [("email", "ben@example.com"), ("jobtitle", "Baker")];
    account.create("contacts", &values).unwrap();
    account.revoke_grant();
    account.expire_access();
    let path = format!("/connections/{connection}");
    // What is known of properties is kept for a minute.
    world.clock.turn(Duration::from_secs(61));
    let properties = format!("{path}/properties?object_type=contacts");
    world.get(&properties).await.problem(409);
    let held = world.get(&path).await.good();
    assert_eq!(held["problem"]["code"], "access_revoked");
    world.sim.clear_calls();
    world.sim.settle().await;
    let chef = json!({"job_title": "Chef"});
    world.until(async || world.values(&ana).await == chef).await;
    // Nobody asks HubSpot again and again.
    assert_eq!(world.sim.calls(), []);
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 200, "{text}");
    world.settle().await;
    assert_eq!(world.values(&ben).await, json!({"job_title": "Baker"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_needs_a_missing_scope_no_more_is_active_again() {
    let (world, connection) = connected().await;
    user(&world, "ana@example.com").await;
    let id = contact(&world, &[("email", "ana@example.com")]).await;
    let account = world.account(PORTAL);
    account.drop_scope("crm.objects.deals.read");
    let deal = account.create("deals", &[("dealname", "Big")]).unwrap();
    account
        .associate(("contacts", id), ("deals", deal), Link::Plain)
        .unwrap();
    let path = format!("/connections/{connection}");
    let status = async || world.get(&path).await.good()["status"].clone();
    world
        .until(async || status().await == "needs_attention")
        .await;
    // It is needed still.
    let mappings = super::mappings();
    world.map(&connection, mappings.clone()).await;
    world
        .until(async || status().await == "needs_attention")
        .await;
    let contacts = json!({"contacts": mappings["contacts"]});
    world.map(&connection, contacts).await;
    world.settle().await;
    assert_eq!(status().await, "active");
}
