//! HubSpot promises neither order nor once.

use harness::{bare::deliver, world::World};
use hubspot_sim::{FaultRule, Route, Trouble};
use jimo_connect::intake;
use serde_json::{Value, json};

use super::{PORTAL, connected, contact, cook, hours_later, reads, user};

/// Delivers changes of a contact's job title as HubSpot does, each with its
/// moment, and waits until they show.
async fn titles(world: &World, contact: u64, changes: &[(i64, &str)]) {
    let event = |(occurred_at, title): &(i64, &str)| {
        json!({
            "objectId": contact, "subscriptionType": "contact.propertyChange",
            "occurredAt": occurred_at, "propertyName": "jobtitle", "propertyValue": title,
        })
    };
    events(world, changes.iter().map(event).collect()).await;
}

/// Delivers events of the account in one body, and waits until they show.
async fn events(world: &World, events: Vec<Value>) {
    deliver_events(world, events).await;
    world.settle().await;
}

/// Delivers events of the account in one body.
async fn deliver_events(world: &World, mut events: Vec<Value>) {
    let app = world.sim.app();
    for event in &mut events {
        event["portalId"] = PORTAL.into();
        event["appId"] = app.id.into();
    }
    let body = Value::from(events).to_string();
    let url = world.host().url(intake::PATH);
    let status = deliver(url.as_str(), &app.client_secret, body.into()).await;
    assert_eq!(status.unwrap(), 204);
}

/// As [`cook`], with a moment after that.
async fn timed_cook() -> (World, String, u64, i64) {
    let (world, _, ana, id) = cook().await;
    let now = world.clock.now().0;
    (world, ana, id, now)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_change_never_overwrites_a_newer_value() {
    let (world, ana, id, now) = timed_cook().await;
    titles(&world, id, &[(now + 20, "Owner")]).await;
    titles(&world, id, &[(now + 10, "Chef")]).await;
    titles(&world, id, &[(now - 3_600_000, "Apprentice")]).await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Owner"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_change_does_nothing() {
    let (world, ana, id, now) = timed_cook().await;
    titles(&world, id, &[(now + 10, "Chef"), (now + 10, "Chef")]).await;
    let written = world.user(&ana).await["variables"]["job_title"]["written_at"].clone();
    world.sim.clear_calls();
    titles(&world, id, &[(now + 10, "Chef")]).await;
    let held = world.user(&ana).await;
    assert_eq!(held["variables"]["job_title"]["value"], "Chef");
    assert_eq!(held["variables"]["job_title"]["written_at"], written);
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_of_one_moment_that_disagree_are_settled_by_a_read() {
    let (world, ana, id, _) = timed_cook().await;
    let account = world.account(PORTAL);
    world.sim.unsubscribe_all();
    account
        .patch("contacts", id, &[("jobtitle", "Chef")])
        .unwrap();
    let modified_at = account.record("contacts", id).unwrap().modified_at_ms;
    titles(
        &world,
        id,
        &[(modified_at, "Zookeeper"), (modified_at, "Astronaut")],
    )
    .await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_from_a_fast_clock_does_not_win_for_ever() {
    let (world, ana, id, now) = timed_cook().await;
    let ahead = now + 200_000;
    titles(&world, id, &[(ahead, "Zookeeper")]).await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Zookeeper"}));
    // They disagree, and what HubSpot says stays older: the last answer settles it.
    let disagrees = json!({
        "objectId": id, "subscriptionType": "contact.propertyChange",
        "occurredAt": ahead, "propertyName": "jobtitle", "propertyValue": "Astronaut",
    });
    deliver_events(&world, vec![disagrees]).await;
    let is_settled = async || world.values(&ana).await == json!({"job_title": "Cook"});
    hours_later(&world, is_settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_before_an_event_is_not_the_last_word() {
    let (world, ana, id, _) = timed_cook().await;
    let ben = user(&world, "ben@example.com").await;
    let account = world.account(PORTAL);
    world.sim.clear_calls();
    world
        .sim
        .inject(FaultRule::once(Route::BatchRead, Trouble::Held));
    account
        .patch("contacts", id, &[("email", "ben@example.com")])
        .unwrap();
    world.until(async || !reads(&world).is_empty()).await;
    account
        .patch("contacts", id, &[("email", "ana@example.com")])
        .unwrap();
    world.applied().await;
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn disorder_and_repeats_end_in_what_hubspot_says() {
    let (world, ana, id, _) = timed_cook().await;
    world.sim.set_webhooks(|webhooks| {
        webhooks.repeats = 0.5;
        webhooks.disorder = 0.7;
        webhooks.hold = true;
        webhooks.batch_max = 7;
    });
    let account = world.account(PORTAL);
    for round in 0..40 {
        let title = format!("Title {round}");
        account
            .patch("contacts", id, &[("jobtitle", &title)])
            .unwrap();
        let city = if round % 3 == 0 { "" } else { title.as_str() };
        account.patch("contacts", id, &[("city", city)]).unwrap();
    }
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Title 39"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_were_not_answered_come_again() {
    let (mut world, ana, id, _) = timed_cook().await;
    let account = world.account(PORTAL);
    let nowhere = "http://127.0.0.1:9/webhooks/hubspot";
    world.sim.set_webhook_target(nowhere);
    account
        .patch("contacts", id, &[("jobtitle", "Chef")])
        .unwrap();
    world.sim.settle().await;
    world.restart().await;
    world.sim.drain().await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_just_after_its_creation_is_asked_for_again() {
    let (world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    world.sim.set_api(|api| api.creation_lag_ms = 600);
    contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    )
    .await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert!(reads(&world).len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_wait_survive_a_restart() {
    let (mut world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    // Until the grant is there again, nothing can be read.
    let account = world.account(PORTAL);
    world.sim.inject(hubspot_sim::FaultRule::by_chance(
        hubspot_sim::Trouble::Status(503),
        1.0,
    ));
    account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    world.applied().await;
    assert_eq!(world.values(&ana).await, json!({}));
    world.restart().await;
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_merged_away_or_erased_never_comes_back() {
    let (world, ana, survivor, _) = timed_cook().await;
    let old = [("email", "old@example.com"), ("jobtitle", "Zombie")];
    let loser = contact(&world, &old).await;
    let account = world.account(PORTAL);
    world.sim.unsubscribe_all();
    let merged = account.merge("contacts", survivor, loser).unwrap();
    let now = world.clock.now().0 + 1_000;
    // In one body: what happened to the loser comes after its merge.
    events(
        &world,
        vec![
            json!({
                "subscriptionType": "contact.merge", "objectId": merged, "occurredAt": now,
                "primaryObjectId": survivor, "mergedObjectIds": [survivor, loser],
                "newObjectId": merged,
            }),
            json!({
                "subscriptionType": "contact.propertyChange", "objectId": survivor,
                "occurredAt": now + 10, "propertyName": "jobtitle", "propertyValue": "Zombie",
            }),
        ],
    )
    .await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    account.erase("contacts", merged).unwrap();
    let erased = json!({
        "subscriptionType": "contact.privacyDeletion", "objectId": merged, "occurredAt": now + 20,
    });
    let late = json!({
        "subscriptionType": "contact.merge", "objectId": survivor, "occurredAt": now + 30,
        "primaryObjectId": survivor, "mergedObjectIds": [merged],
    });
    let later = json!({
        "subscriptionType": "contact.propertyChange", "objectId": merged, "occurredAt": now + 40,
        "propertyName": "jobtitle", "propertyValue": "Zombie",
    });
    events(&world, vec![erased]).await;
    assert_eq!(world.values(&ana).await, json!({}));
    events(&world, vec![late, later]).await;
    assert_eq!(world.values(&ana).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrongly_said_to_be_merged_feeds_again_once_it_is_read_by_its_own_id() {
    let (world, connection, ana, id) = cook().await;
    let other = contact(&world, &[("email", "old@example.com")]).await;
    world.sim.unsubscribe_all();
    let wrong = json!({
        "subscriptionType": "contact.merge", "objectId": other,
        "occurredAt": world.clock.now().0, "primaryObjectId": other, "mergedObjectIds": [id],
    });
    events(&world, vec![wrong.clone()]).await;
    assert_eq!(world.values(&ana).await, json!({}));

    let account = world.account(PORTAL);
    account
        .patch("contacts", id, &[("jobtitle", "Chef")])
        .unwrap();
    let path = format!("/connections/{connection}/syncs");
    let asked = world.post(&path, json!({"kind": "catch_up"})).await;
    assert_eq!(asked.status, 202);
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
    events(&world, vec![wrong]).await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
}
