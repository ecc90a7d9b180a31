//! Look-ups that cannot be made, or are not wanted any more.

use std::time::Duration;

use hubspot_sim::{FaultRule, PropertySpec, Route, Trouble};
use serde_json::json;

use super::{PORTAL, by, by_email, calls, connected_after, cook, mappings, user, waiting};

/// A fault of every call that reads records.
fn on_reads(trouble: Trouble) -> FaultRule {
    FaultRule::by_chance(trouble, 1.0).on(Route::BatchRead)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_survives_the_end_of_the_host() {
    let (mut world, _) = cook().await;
    world.sim.inject(on_reads(Trouble::Held));
    let ana = user(&world, "ana@example.com").await;
    world
        .until(async || calls(&world, Route::BatchRead) > 0)
        .await;
    world.stop().await;
    assert_eq!(waiting(&world), 1);
    world.sim.clear_faults();
    world.go_on().await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(waiting(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_connection_drops_its_look_ups() {
    let (world, connection) = cook().await;
    world.sim.inject(on_reads(Trouble::Held));
    let ana = user(&world, "ana@example.com").await;
    world
        .until(async || calls(&world, Route::BatchRead) > 0)
        .await;
    let path = format!("/connections/{connection}");
    assert_eq!(world.delete(&path).await.status, 204);
    assert_eq!(waiting(&world), 0);
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_user_drops_their_look_up() {
    let (world, _) = cook().await;
    world.sim.inject(on_reads(Trouble::Held));
    let ana = user(&world, "ana@example.com").await;
    assert_eq!(waiting(&world), 1);
    let path = format!("/users/{ana}");
    assert_eq!(world.delete(&path).await.status, 204);
    assert_eq!(waiting(&world), 0);
    world.sim.clear_faults();
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_changed_meanwhile_finds_nobody() {
    let spec = PropertySpec::text("customer_id").unique();
    let (world, connection) = connected_after(by_email(), |account| {
        account.define("contacts", spec).unwrap();
        let values = [
            ("email", "ana@example.com"),
            ("customer_id", "someone else"),
            ("jobtitle", "Cook"),
        ];
        account.create("contacts", &values).unwrap();
    })
    .await;
    world.sim.inject(on_reads(Trouble::Held));
    let users = json!([{"external_id": "u-1", "email": "ana@example.com"}]);
    let ana = world.put_users(users).await.remove(0);
    world
        .until(async || calls(&world, Route::BatchRead) > 0)
        .await;
    world.map(&connection, mappings(by("customer_id"))).await;
    assert_eq!(waiting(&world), 0);
    // The answer to what was asked under the old rule comes now.
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
    // Under the new one the user is found by what it names.
    let users = json!([{"external_id": "someone else"}]);
    let other = world.put_users(users).await.remove(0);
    world.settle().await;
    assert_eq!(world.values(&other).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_during_the_call_is_asked_for_again() {
    let (world, _) = cook().await;
    world.sim.inject(on_reads(Trouble::Held));
    let put = async |email: &str| {
        let user = json!([{"external_id": "u-1", "email": email}]);
        world.put_users(user).await.remove(0)
    };
    put("nobody@example.com").await;
    world
        .until(async || calls(&world, Route::BatchRead) > 0)
        .await;
    let ana = put("ana@example.com").await;
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_while_the_connection_is_paused_is_filled_when_it_goes_on() {
    let (world, connection) = cook().await;
    let path = format!("/connections/{connection}");
    let act = async |act: &str| world.post(&format!("{path}/{act}"), json!({})).await.good();
    act("pause").await;
    let ana = user(&world, "ana@example.com").await;
    world.settle().await;
    assert_eq!(world.sim.calls(), []);
    act("resume").await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_told_and_ends_the_wait_when_it_is_there() {
    let (world, connection) = cook().await;
    world
        .account(PORTAL)
        .drop_scope("crm.objects.contacts.read");
    let ana = user(&world, "ana@example.com").await;
    let path = format!("/connections/{connection}");
    let status = async || world.get(&path).await.good()["status"].clone();
    world
        .until(async || status().await == "needs_attention")
        .await;
    let ben = user(&world, "ben@example.com").await;
    assert_eq!(calls(&world, Route::BatchRead), 1);
    assert_eq!(waiting(&world), 2);
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whom_hubspot_refuses_holds_up_no_other_and_is_given_up_and_told() {
    let (world, connection) = cook().await;
    let refusal = json!({"status": "error", "category": "VALIDATION_ERROR"});
    world.sim.inject(on_reads(Trouble::Answer(400, refusal)));
    let ana = user(&world, "ana@example.com").await;
    let path = format!("/connections/{connection}/activity");
    let given_up = async || {
        let wait = Duration::from_secs(30);
        world.clock.turn(wait);
        world.sim.turn(wait);
        let lines = world.get(&path).await.good();
        let mut lines = lines.as_array().unwrap().iter();
        lines.any(|line| {
            line["outcome"] == "lookup_given_up"
                && line["reason"] == "read_refused"
                && line["user"] == ana
        })
    };
    world.until(given_up).await;
    assert_eq!(waiting(&world), 0);
    world.sim.clear_faults();
    // One of a batch alone is at fault.
    let refused = json!({
        "status": "COMPLETE",
        "results": [],
        "numErrors": 1,
        "errors": [{"category": "VALIDATION_ERROR", "context": {"ids": ["eve@example.com"]}}],
    });
    let once = FaultRule::once(Route::BatchRead, Trouble::Answer(207, refused));
    world.sim.inject(once);
    let eve = user(&world, "eve@example.com").await;
    world
        .until(async || {
            world.clock.turn(Duration::from_secs(1));
            waiting(&world) == 0
        })
        .await;
    assert_eq!(world.values(&eve).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_limit_and_a_failing_hubspot_are_waited_out() {
    let (world, _) = cook().await;
    for trouble in [Trouble::TooManyRequests, Trouble::Status(503)] {
        let once = FaultRule::once(Route::BatchRead, trouble);
        world.sim.inject(once);
    }
    let ana = user(&world, "ana@example.com").await;
    world
        .until(async || {
            world.clock.turn(Duration::from_secs(1));
            world.sim.turn(Duration::from_secs(1));
            world.values(&ana).await == json!({"job_title": "Cook"})
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_missing_once_leaves_nobody_empty() {
    let (world, _) = cook().await;
    let missing = json!({"status": "error", "category": "OBJECT_NOT_FOUND"});
    let once = FaultRule::once(Route::BatchRead, Trouble::Answer(404, missing));
    world.sim.inject(once);
    let ana = user(&world, "ana@example.com").await;
    let filled = async || {
        world.clock.turn(Duration::from_secs(1));
        world.sim.turn(Duration::from_secs(1));
        waiting(&world) == 0
    };
    world.until(filled).await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}
