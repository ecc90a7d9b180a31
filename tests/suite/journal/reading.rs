//! Reading file after file: none is skipped, and what is lost is said.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{FaultRule, Route, Trouble};
use serde_json::{Value, json};

use super::{OWN, PORTAL, ana, journal_calls, noon, shows, soon, unpushed, way};

/// Whom a change concerns that was made while the host was stopped.
struct Away {
    connection: String,
    user: String,
    contact: u64,
}

/// A host that is stopped, and whose contact has had stew since.
async fn changed_while_stopped() -> (World, Away) {
    let (mut world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    // It has read all that there was: twice in turn nothing came next.
    soon(&world, async || {
        let calls = journal_calls(&world);
        let mut last = calls.iter().rev().take(2);
        calls.len() >= 2 && last.all(|path| path.ends_with("/next"))
    })
    .await;
    world.stop().await;
    world
        .account(PORTAL)
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    let away = Away {
        connection,
        user,
        contact,
    };
    (world, away)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_again_goes_on_behind_the_last_file() {
    let (mut world, away) = changed_while_stopped().await;
    world.sim.clear_calls();
    world.go_on().await;
    shows(&world, &away.user, "dish", json!("Stew")).await;
    let calls = journal_calls(&world);
    assert!(
        !calls.iter().any(|path| path.ends_with("/earliest")),
        "{calls:?}"
    );
    let files = calls.iter().filter(|path| path.contains("/files/"));
    assert_eq!(files.count(), 1, "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_could_not_be_fetched_is_fetched_again_and_none_is_skipped() {
    let (world, _) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    let account = world.account(PORTAL);
    world.sim.inject(FaultRule {
        times: Some(6),
        ..FaultRule::once(Route::JournalFile, Trouble::Status(503))
    });
    world.sim.clear_calls();
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    account
        .patch("contacts", contact, &[("jobtitle", "Cook")])
        .unwrap();
    shows(&world, &user, "job_title", json!("Cook")).await;
    assert_eq!(world.values(&user).await["dish"], "Stew");
    let calls = world.sim.calls().into_iter();
    let mut refused = calls.filter(|call| call.route == Route::JournalFile && call.status == 503);
    assert!(refused.next().is_some());
}

/// Reads the journal as another process of the app would.
async fn publish(world: &World) {
    let app = world.sim.app();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.client_secret.as_str()),
        ("scope", "developer.webhooks_journal.read"),
    ];
    let url = format!("{}/oauth/2026-09/token", world.sim.url());
    let token = http.post(url).form(&form).send().await.unwrap();
    let token: Value = token.json().await.unwrap();
    let url = format!(
        "{}/webhooks-journal/journal/2026-09/latest",
        world.sim.url()
    );
    let request = http
        .get(url)
        .bearer_auth(token["access_token"].as_str().unwrap());
    assert!(request.send().await.unwrap().status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_did_not_read_for_too_long_says_what_is_missing_and_goes_on() {
    let (mut world, away) = changed_while_stopped().await;
    // It is published when somebody reads, and then kept for three days.
    publish(&world).await;
    let four_days = Duration::from_secs(4 * 24 * 3_600);
    world.clock.turn(four_days);
    world.sim.turn(four_days);
    world
        .account(PORTAL)
        .patch("contacts", away.contact, &[("jobtitle", "Cook")])
        .unwrap();
    world.go_on().await;
    shows(&world, &away.user, "job_title", json!("Cook")).await;
    // The catch-up after its absence may be ahead of it.
    soon(&world, async || world.host().journal.gap().is_some()).await;
    let (_, reason) = world.host().journal.gap().unwrap();
    assert!(
        reason.contains("missing until the next catch-up"),
        "{reason}"
    );
    // Which a host that was away makes at once; then nothing is missing any more.
    shows(&world, &away.user, "dish", json!("Stew")).await;
    soon(&world, async || {
        let way = way(&world, &away.connection, "contacts", "journal").await;
        way.is_some_and(|way| !way["why"].as_str().unwrap().contains("missing"))
    })
    .await;
}

/// Has the reader's place in the journal be lost, and waits until that is found.
async fn lose_place(world: &World, contact: u64) {
    // It has one again, behind a file.
    world.sim.clear_calls();
    let is_behind_one = |path: &String| path.ends_with("/next");
    soon(world, async || {
        journal_calls(world).iter().any(is_behind_one)
    })
    .await;
    let before = world.host().journal.gap();
    world.sim.turn(Duration::from_secs(4 * 24 * 3_600));
    // Old files go when a new one is published.
    let title = format!("Cook for {before:?}");
    world
        .account(PORTAL)
        .patch("contacts", contact, &[("jobtitle", &title)])
        .unwrap();
    soon(world, async || world.host().journal.gap() != before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_lost_again_and_again_lets_a_catch_up_end() {
    let (world, connection) = noon().await;
    let (_, contact) = ana(&world, PORTAL, "ana@example.com").await;
    // A catch-up that waits for what it reads.
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead);
    world.sim.inject(failing);
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await.good();
    let waits = "SELECT count(*) FROM runs WHERE stages LIKE '[{\"stage\":\"answers\"}%'";
    soon(&world, async || world.count(waits) == 1).await;
    let begun = || world.count("SELECT coalesce(max(sequence), 0) FROM runs");
    let first = begun();

    // It may have passed what was lost, and begins anew once.
    lose_place(&world, contact).await;
    soon(&world, async || begun() > first && world.count(waits) == 1).await;
    let second = begun();
    for _ in 0..2 {
        lose_place(&world, contact).await;
        assert_eq!((begun(), world.count(waits)), (second, 1));
    }
    world.sim.clear_faults();
    let path = format!("{path}/{}", started["id"].as_str().unwrap());
    soon(&world, async || {
        world.get(&path).await.good()["status"] == "completed"
    })
    .await;
}
