//! A catch-up: whatever live had missed.

use harness::world::World;
use hubspot_sim::{FaultRule, Link, ObjectType, Route, Trouble};
use serde_json::json;

use super::{PORTAL, calls, mappings, over, pass, silent, silent_from, sync, users};

#[tokio::test(flavor = "multi_thread")]
async fn what_no_webhook_told_is_found_and_counted_as_missed() {
    let (world, connection) = silent().await;
    world.map(&connection, mappings()).await;
    let ids = users(&world, &["ana@example.com", "ben@example.com"]).await;
    world.settle().await;
    let account = world.account(PORTAL);
    let ana = account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    let first = sync(&world, &connection, "catch_up").await;
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!(first["counts"]["updated"], 1, "{first}");
    assert_eq!(world.values(&ids[0]).await, json!({"job_title": "Cook"}));

    // Changed, moved to another user, and joined by a company.
    let acme = account.create("companies", &[("name", "Acme")]).unwrap();
    account
        .associate(("contacts", ana), ("companies", acme), Link::Primary)
        .unwrap();
    account
        .patch(
            "contacts",
            ana,
            &[("email", "ben@example.com"), ("jobtitle", "Chef")],
        )
        .unwrap();
    sync(&world, &connection, "catch_up").await;
    assert_eq!(world.values(&ids[0]).await, json!({}));
    assert_eq!(
        world.values(&ids[1]).await,
        json!({"job_title": "Chef", "company": "Acme"})
    );
    let third = sync(&world, &connection, "catch_up").await;
    assert_eq!(third["counts"]["updated"], 0, "{third}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_merges_associations_and_calculated_values_are_found_without_a_stamp() {
    let (world, connection) = silent().await;
    let emails = ["ana@example.com", "ben@example.com", "cleo@example.com"];
    let ids = users(&world, &emails).await;
    let account = world.account(PORTAL);
    let contacts: Vec<_> = emails
        .iter()
        .map(|email| {
            let values = [("email", *email), ("jobtitle", "Cook")];
            account.create("contacts", &values).unwrap()
        })
        .collect();
    let [acme, bolt] =
        ["Acme", "Bolt"].map(|name| account.create("companies", &[("name", name)]).unwrap());
    account
        .associate(
            ("contacts", contacts[1]),
            ("companies", acme),
            Link::Primary,
        )
        .unwrap();
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    assert_eq!(
        world.values(&ids[1]).await,
        json!({"job_title": "Cook", "company": "Acme"})
    );

    account.delete("contacts", contacts[0]).unwrap();
    account
        .dissociate(("contacts", contacts[1]), ("companies", acme))
        .unwrap();
    account
        .associate(
            ("contacts", contacts[1]),
            ("companies", bolt),
            Link::Primary,
        )
        .unwrap();
    account
        .recalculate("contacts", contacts[1], "jobtitle", "Chef")
        .unwrap();
    let old = account
        .create(
            "contacts",
            &[("email", "old@example.com"), ("jobtitle", "Sailor")],
        )
        .unwrap();
    account.merge("contacts", old, contacts[2]).unwrap();
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.values(&ids[0]).await, json!({}));
    assert_eq!(
        world.values(&ids[1]).await,
        json!({"job_title": "Chef", "company": "Bolt"})
    );
    // The survivor has the primary's values, and the other's address as well.
    assert_eq!(world.values(&ids[2]).await, json!({"job_title": "Sailor"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_changes_than_a_search_gives_with_one_stamp_are_all_found() {
    let hubspot = hubspot_sim::Config {
        limits: hubspot_sim::Limits::unlimited(),
        ..hubspot_sim::Config::default()
    };
    let (world, connection) = silent_from(hubspot).await;
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    let last = users(&world, &["user-10400@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    for number in 0..10_500 {
        let email = format!("user-{number}@example.com");
        account
            .create("contacts", &[("email", &email), ("jobtitle", "Cook")])
            .unwrap();
    }
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(run["counts"]["read"], 10_500, "{run}");
    assert_eq!(world.values(&last).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_whose_stamp_is_known_cost_a_search_alone() {
    let (world, connection) = silent().await;
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    let account = world.account(PORTAL);
    for number in 0..150 {
        let email = format!("stranger-{number}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    sync(&world, &connection, "catch_up").await;
    world.sim.clear_calls();
    sync(&world, &connection, "catch_up").await;
    assert_eq!(calls(&world, Route::Search, ObjectType::Contacts).len(), 1);
    assert_eq!(
        calls(&world, Route::BatchRead, ObjectType::Contacts).len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_once_a_night_and_after_the_host_was_away() {
    let (mut world, connection) = silent().await;
    world.map(&connection, mappings()).await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    let contact = account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    let path = format!("/connections/{connection}/syncs");
    let runs = async |world: &World| {
        let syncs = world.get(&path).await.good()["syncs"].clone();
        syncs.as_array().unwrap().len()
    };
    assert_eq!(runs(&world).await, 0);
    pass(&world, 17 * 3_600);
    world.until(async || runs(&world).await == 1).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));

    world.stop().await;
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    pass(&world, 3_600);
    world.restart().await;
    world.until(async || runs(&world).await == 2).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_under_way_when_its_time_comes_goes_on_where_it_is() {
    let (world, connection) = silent().await;
    world.map(&connection, mappings()).await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = account.create("contacts", &values).unwrap();
    sync(&world, &connection, "full").await;
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::BatchRead);
    world.sim.inject(held);
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    world.until(async || waits(&world)).await;
    let begun_at = began(&world);
    // A day and a few looks later.
    for seconds in [86_400, 31, 31, 31] {
        pass(&world, seconds);
        let now = world.clock.now().0;
        let looked = async || {
            // It may have been looking when the clocks were turned.
            pass(&world, 1);
            world.count("SELECT alive_at FROM state") >= now
        };
        world.until(looked).await;
    }
    world.until(async || waits(&world)).await;
    assert_eq!(began(&world), begun_at);
    world.sim.clear_faults();
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.values(&ana).await, json!({"job_title": "Chef"}));
}

/// Whether a run waits for what it asked for.
fn waits(world: &World) -> bool {
    world.count("SELECT count(*) FROM reads WHERE run IS NOT NULL") > 0
}

/// When the last run began.
fn began(world: &World) -> i64 {
    world.count("SELECT started_at FROM runs ORDER BY id DESC LIMIT 1")
}
