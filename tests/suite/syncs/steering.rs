//! Syncs started, watched, ended; and what holds them up.

use harness::world::World;
use hubspot_sim::{FaultRule, ObjectType, Route, Trouble};
use jimo_connect::{config::JournalUse, model::Timestamp};
use serde_json::json;

use super::{PORTAL, calls, lose_webhooks, mappings, over, pass, silent, sync, users};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_beforehand_what_it_will_cost() {
    let (world, connection) = silent().await;
    let account = world.account(PORTAL);
    for number in 0..250 {
        let email = format!("user-{number}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    world.map(&connection, mappings()).await;
    let path = format!("/connections/{connection}/syncs/estimate");
    let estimate = world.post(&path, json!({"kind": "full"})).await.good();
    let contacts = &estimate["plan"][0];
    assert_eq!(contacts["object_type"], "contacts", "{estimate}");
    // Nobody is there whose records could be asked for.
    assert_eq!(contacts["way"], "users", "{estimate}");
    assert_eq!(estimate["calls"], 0, "{estimate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_kind_runs_at_a_time_and_can_be_cancelled() {
    let (world, connection) = silent().await;
    world.map(&connection, mappings()).await;
    users(&world, &["ana@example.com"]).await;
    let values = [("email", "ana@example.com")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    let slow = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::Search);
    world.sim.inject(slow);
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "full"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    let twice = world.post(&path, json!({"kind": "full"})).await;
    assert_eq!(twice.status, 409);
    let cancelled = world.post(&format!("{path}/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.status, 202);
    assert_eq!(over(&world, &connection, &id).await["status"], "cancelled");
    let again = world.post(&format!("{path}/{id}/cancel"), json!({})).await;
    assert_eq!(again.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_or_pending_connection_and_one_that_maps_nothing_cannot_sync() {
    let (world, connection) = silent().await;
    let path = format!("/connections/{connection}/syncs");
    let refused = async || world.post(&path, json!({"kind": "full"})).await.status;
    assert_eq!(refused().await, 409);
    world.map(&connection, mappings()).await;
    let pause = format!("/connections/{connection}/pause");
    world.post(&pause, json!({})).await.good();
    assert_eq!(refused().await, 409);
    let resume = format!("/connections/{connection}/resume");
    world.post(&resume, json!({})).await.good();
    assert_eq!(refused().await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_without_its_scope_fails_alone_and_is_told() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.map(&connection, mappings()).await;
    world.account(PORTAL).drop_scope("crm.objects.deals.read");
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    // Not all of it could be done, so the next one looks as far back.
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["problem"]["code"], "missing_scopes", "{run}");

    // The connection says so, and that the next try comes later each time.
    let path = format!("/connections/{connection}");
    let failed = async |count: u32, hours: u64| {
        let failed = world.get(&path).await.good()["failed_catch_ups"].clone();
        assert_eq!(failed["count"], count, "{failed}");
        assert_eq!(failed["problem"]["code"], "missing_scopes", "{failed}");
        let last = "SELECT requested_at FROM runs ORDER BY id DESC LIMIT 1";
        let wait = std::time::Duration::from_secs(hours * 3_600);
        let next_at = Timestamp(world.count(last)).plus(wait);
        assert_eq!(failed["next_at"], json!(next_at), "{failed}");
    };
    failed(1, 1).await;
    sync(&world, &connection, "catch_up").await;
    failed(2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_does_not_serve_changes_are_looked_for_every_few_minutes() {
    let mut world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::Off).await;
    world.look_every_minutes = 5;
    world.restart().await;
    let connection = world.connect(PORTAL).await;
    lose_webhooks(&world);
    world.map(&connection, mappings()).await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    world.settle().await;
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = account.create("contacts", &values).unwrap();
    pass(&world, 301);
    let title = async |title: &str| world.values(&ana).await["job_title"] == *title;
    world.until(async || title("Cook").await).await;
    world.settle().await;
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    pass(&world, 301);
    world.until(async || title("Chef").await).await;
    let path = format!("/connections/{connection}/syncs");
    let runs = world.get(&path).await.good();
    assert_eq!(runs["syncs"][0]["origin"], "schedule", "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_an_account_go_one_after_the_other_and_a_full_sync_fills() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    let values = [
        ("email", "ana@example.com"),
        ("jobtitle", "Cook"),
        ("city", "Lyon"),
    ];
    account.create("contacts", &values).unwrap();
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    let mut more = mappings();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    world.map(&connection, more).await;
    let path = format!("/connections/{connection}/syncs");
    let mut ids = Vec::new();
    for kind in ["full", "catch_up"] {
        let started = world.post(&path, json!({ "kind": kind })).await;
        ids.push(started.json["id"].as_str().unwrap().to_owned());
    }
    let full = over(&world, &connection, &ids[0]).await;
    let catch_up = over(&world, &connection, &ids[1]).await;
    assert!(full["finished_at"].as_str() <= catch_up["started_at"].as_str());
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "Cook", "city": "Lyon"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_anew_when_the_mapping_that_it_goes_by_changes() {
    let (world, connection) = silent().await;
    let known = json!([
        {"external_id": "u-1", "email": "ana@example.com"},
        {"external_id": "u-2", "email": "ben@example.com"},
    ]);
    let ana = world.put_users(known).await.remove(0);
    let account = world.account(PORTAL);
    for (email, title) in [("other@example.com", "u-1"), ("ben@example.com", "u-9")] {
        let values = [("email", email), ("jobtitle", title)];
        account.create("contacts", &values).unwrap();
    }
    world.map(&connection, mappings()).await;
    // It has passed all contacts, and waits for what one of them leads to.
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::Associations);
    world.sim.inject(held);
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "full"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    let passed = "SELECT count(*) FROM reads WHERE to_type > 0 AND run IS NOT NULL";
    world
        .until(async || {
            pass(&world, 1);
            world.count(passed) > 0
        })
        .await;
    let mut by_id = mappings();
    by_id["contacts"]["matching"] = json!({"property": "jobtitle", "user": "external_id"});
    world.map(&connection, by_id).await;
    world.sim.clear_faults();
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.values(&ana).await, json!({"job_title": "u-1"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_comes_after_a_new_consent_fails_no_sync() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let account = world.account(PORTAL);
    account.create("contacts", &values).unwrap();
    world
        .map(&connection, json!({"contacts": mappings()["contacts"]}))
        .await;
    account.drop_scope("crm.objects.contacts.read");
    let held = FaultRule::once(Route::Search, Trouble::Held);
    world.sim.inject(held);
    world.sim.clear_calls();
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    let refused = || {
        let calls = world.sim.calls().into_iter();
        calls
            .filter(|call| call.route == Route::Search && call.status == 403)
            .count()
    };
    world.until(async || refused() == 1).await;
    let path = format!("/connections/{connection}/reconnect");
    let begun = world.post(&path, json!({})).await.good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    // It is to begin anew by now; the refusal is of before.
    world.sim.clear_faults();
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_cannot_be_given_up_asks_hubspot_no_more_until_later() {
    let (world, connection) = silent().await;
    world.map(&connection, mappings()).await;
    world
        .account(PORTAL)
        .drop_scope("crm.objects.contacts.read");
    // As where the disk is full.
    let stuck = "CREATE TRIGGER stuck BEFORE UPDATE OF stages ON runs WHEN OLD.stages IS NOT NULL
                 BEGIN SELECT RAISE(ABORT, 'there is no room'); END";
    world.tamper(stuck).await;
    world.sim.clear_calls();
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    let searched = || calls(&world, Route::Search, ObjectType::Contacts).len();
    world.until(async || searched() > 0).await;
    // It would have asked again many times meanwhile.
    for number in 0..50 {
        users(&world, &[&format!("user-{number}@example.com")]).await;
    }
    assert_eq!(searched(), 1);

    world.tamper("DROP TRIGGER stuck").await;
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["problem"]["code"], "missing_scopes", "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_that_hubspot_leaves_waiting_hold_up_no_other_accounts() {
    let world = World::start().await;
    lose_webhooks(&world);
    // More than take steps at once.
    let mut connections = Vec::new();
    for number in 0..20 {
        let connection = world.connect(PORTAL + number).await;
        let variable = format!("job_title_{number}");
        let fields = json!([{"property": "jobtitle", "variable": variable}]);
        world
            .map(&connection, json!({"contacts": {"fields": fields}}))
            .await;
        connections.push(connection);
    }
    let served = connections.pop().unwrap();
    for number in 0..connections.len() as u64 {
        let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::Search);
        world.sim.inject(held.of(PORTAL + number));
    }
    world.sim.clear_calls();
    for connection in &connections {
        let path = format!("/connections/{connection}/syncs");
        let started = world.post(&path, json!({"kind": "catch_up"})).await;
        assert_eq!(started.status, 202, "{:?}", started.json);
    }
    let run = sync(&world, &served, "catch_up").await;
    assert_eq!(run["status"], "completed", "{run}");
    let all_wait = async || {
        let waiting = calls(&world, Route::Search, ObjectType::Contacts);
        waiting.len() > connections.len()
    };
    world.until(all_wait).await;

    world.sim.clear_faults();
    world.settle().await;
}
