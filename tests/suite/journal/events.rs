//! What the journal tells: changes, associations, erasures, uninstallations.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{Link, ObjectType, Route};
use jimo_connect::{hubspot::Priority, sync::grants};
use serde_json::json;

use super::{
    OWN, PORTAL, activity, ana, connect, contacts, journal_calls, map, shows, soon, told, unpushed,
    ways,
};

/// Waits until all that HubSpot pushed and all that its journal has is applied.
async fn read_up(world: &World) {
    world.sim.settle().await;
    let seen = world.sim.calls().len();
    soon(world, async || {
        let calls = world.sim.calls().into_iter().skip(seen);
        let mut journal = calls.filter(|call| call.route == Route::Journal);
        journal.any(|call| call.path.ends_with("/next") && call.status == 204)
    })
    .await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_journal_alone_tells_reaches_the_user() {
    let (world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    shows(&world, &user, "dish", json!("Stew")).await;
    let lines = activity(&world, &connection, contact).await;
    assert_eq!(lines[0], ("journal".into(), "updated".into()));
    // A linked record's change carries its value.
    let reads = world.sim.calls();
    let reads = reads.iter().filter(|call| call.route == Route::BatchRead);
    assert_eq!(reads.count(), 0);
    let ways = ways(&world, &connection, "contacts").await;
    let names: Vec<_> = ways.iter().map(|way| &way["way"]).collect();
    assert_eq!(names, ["webhooks", "journal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_both_ways_tell_is_one_change() {
    let world = World::start_with_journal().await;
    let connection = connect(&world, PORTAL).await;
    world.map(&connection, contacts()).await;
    told(&world, &connection, "contacts", &["jobtitle", OWN]).await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("jobtitle", "Cook")])
        .unwrap();
    read_up(&world).await;
    let before = world.user(&user).await;
    assert_eq!(before["variables"]["job_title"]["value"], "Cook");
    let count = activity(&world, &connection, contact).await.len();
    world.sim.clear_calls();
    account
        .patch("contacts", contact, &[("jobtitle", "Owner")])
        .unwrap();
    read_up(&world).await;
    // One line by each way.
    let lines = activity(&world, &connection, contact).await;
    let mut outcomes: Vec<_> = lines[..lines.len() - count].to_vec();
    outcomes.sort();
    let updated = outcomes.iter().filter(|(_, outcome)| outcome == "updated");
    assert_eq!((updated.count(), outcomes.len()), (1, 2), "{outcomes:?}");
    let reads = world.sim.calls();
    let reads = reads.iter().filter(|call| call.route == Route::BatchRead);
    assert_eq!(reads.count(), 0);
    let after = world.user(&user).await;
    assert_eq!(after["variables"]["job_title"]["value"], "Owner");
    assert_eq!(after["variables"]["dish"], before["variables"]["dish"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_with_the_events_of_several_accounts_reaches_the_users_of_each() {
    let world = World::start_with_journal().await;
    world.sim.unsubscribe_all();
    let portals = [PORTAL, PORTAL + 1];
    let mut people = Vec::new();
    for (index, portal) in portals.into_iter().enumerate() {
        let connection = connect(&world, portal).await;
        let variable = format!("dish_{index}");
        let fields = json!([{"property": OWN, "variable": variable}]);
        map(&world, &connection, json!({"contacts": {"fields": fields}})).await;
        told(&world, &connection, "contacts", &[OWN]).await;
        let email = format!("person{index}@example.com");
        let user = world.put_users(json!([{"email": email}])).await.remove(0);
        people.push((portal, variable, user, email, connection));
    }
    for (portal, variable, user, email, _) in &people {
        let values = [("email", email.as_str()), (OWN, "Soup")];
        world.account(*portal).create("contacts", &values).unwrap();
        shows(&world, user, variable, json!("Soup")).await;
    }
    // In one file, for nobody reads meanwhile.
    let mut world = world;
    world.stop().await;
    for (portal, ..) in &people {
        let account = world.account(*portal);
        let truth = account.truth().unwrap();
        let contact = truth.live(ObjectType::Contacts).next().unwrap().id;
        let stew = format!("Stew of {portal}");
        account.patch("contacts", contact, &[(OWN, &stew)]).unwrap();
    }
    world.sim.clear_calls();
    world.go_on().await;
    for (portal, variable, user, ..) in &people {
        let stew = format!("Stew of {portal}");
        shows(&world, user, variable, json!(stew)).await;
    }
    let calls = journal_calls(&world);
    let files = calls.iter().filter(|path| path.contains("/files/"));
    assert_eq!(files.count(), 1, "{calls:?}");
    // Each connection was told of its own account alone.
    for (portal, variable, user, ..) in &people {
        let stew = format!("Stew of {portal}");
        assert_eq!(world.values(user).await, json!({variable: stew}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn associations_come_by_the_journal() {
    let (world, connection) = unpushed().await;
    let mut mappings = contacts();
    mappings["companies"] = json!({"fields": [{"property": "name", "variable": "company"}]});
    map(&world, &connection, mappings).await;
    told(&world, &connection, "companies", &["name"]).await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    let account = world.account(PORTAL);
    let company = account.create("companies", &[("name", "Acme")]).unwrap();
    let ends = (("contacts", contact), ("companies", company));
    account.associate(ends.0, ends.1, Link::Primary).unwrap();
    shows(&world, &user, "company", json!("Acme")).await;
    account.dissociate(ends.0, ends.1).unwrap();
    soon(&world, async || {
        world.values(&user).await["company"].is_null()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privacy_deletion_erases_by_the_journal() {
    let (world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    world.account(PORTAL).erase("contacts", contact).unwrap();
    soon(&world, async || world.values(&user).await == json!({})).await;
    // Nothing names it any more; that a record was erased is told.
    assert_eq!(activity(&world, &connection, contact).await, []);
    let path = format!("/connections/{connection}/activity");
    let lines = world.get(&path).await.good();
    let mut lines = lines.as_array().unwrap().iter();
    let erased = lines.find(|line| line["outcome"] == "erased");
    assert_eq!(erased.unwrap()["origin"], "journal");
    let again = [("email", "ana@example.com"), (OWN, "Stew")];
    world.account(PORTAL).create("contacts", &again).unwrap();
    shows(&world, &user, "dish", json!("Stew")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstallation_ends_the_accounts_calls_at_once_and_says_so() {
    let (world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    let path = format!("/connections/{connection}");
    let account = world.account(PORTAL);
    account.uninstall();
    soon(&world, async || {
        world.get(&path).await.good()["status"] != "active"
    })
    .await;
    let held = world.get(&path).await.good();
    assert_eq!(held["status"], "needs_attention");
    assert_eq!(held["problem"]["code"], "app_uninstalled");
    assert!(
        held["problem"]["remedy"]
            .as_str()
            .unwrap()
            .starts_with("Reconnect")
    );
    assert_eq!(held["live"], json!([]));
    // No call can be made in its name any more.
    let host = world.host();
    let routing = host.pipeline.routing().await.unwrap();
    let route = routing
        .account("hubspot", &PORTAL.to_string().into())
        .unwrap();
    assert!(!route.may_call);
    let caller = host.grants.caller(route.id, Priority::Live).await;
    assert!(matches!(caller, Err(grants::Error::NoGrant)), "{caller:?}");
    assert_eq!(world.values(&user).await["dish"], "Soup");

    // Whoever reconnects goes on, and the same event does not end that.
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    told(&world, &connection, "contacts", &[OWN]).await;
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    shows(&world, &user, "dish", json!("Stew")).await;
    assert_eq!(world.get(&path).await.good()["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstallation_from_before_the_grant_ends_nothing() {
    let (mut world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    let path = format!("/connections/{connection}");
    let account = world.account(PORTAL);
    // The host hears of it only when it was reconnected.
    world.sim.set_api(|api| api.journal_refused = true);
    account.uninstall();
    let wait = Duration::from_secs(5);
    world.clock.turn(wait);
    world.sim.turn(wait);
    let begun = world
        .post(&format!("{path}/reconnect"), json!({}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    world.sim.set_api(|api| api.journal_refused = false);
    world.sim.clear_calls();
    world.restart().await;
    // Once what comes after a file is asked for, that is done with.
    soon(&world, async || {
        let calls = journal_calls(&world);
        let file = calls.iter().position(|path| path.contains("/files/"));
        file.is_some_and(|file| calls.len() > file + 1)
    })
    .await;
    shows(&world, &user, "dish", json!("Stew")).await;
    let held = world.get(&path).await.good();
    assert_eq!(held["status"], "active", "{held:#}");
}
