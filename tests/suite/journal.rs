//! HubSpot's webhooks journal, the second way by which changes come.

use std::{path::Path, process::Command, time::Duration};

use harness::{program, world::World};
use hubspot_sim::{FaultRule, Link, ObjectType, PropertySpec, Route, Trouble};
use jimo_connect::{
    hubspot::Priority,
    model::AccountKey,
    sync::{grants, journal::journal_refused},
};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A property that one customer alone has, which no app can have pushed.
const OWN: &str = "favourite_dish";

/// Contacts by e-mail, with a property that is pushed and one that is not.
fn contacts() -> Value {
    json!({"contacts": {"fields": [
        {"property": "jobtitle", "variable": "job_title"},
        {"property": OWN, "variable": "dish"},
    ]}})
}

/// A connected account with a property of its own; the connection's id.
async fn connect(world: &World, portal: u64) -> String {
    let account = world.account(portal);
    account.define("contacts", PropertySpec::text(OWN)).unwrap();
    world.connect(portal).await
}

/// Maps, and subscribes nothing to be pushed.
async fn map(world: &World, connection: &str, mappings: Value) {
    let path = format!("/connections/{connection}/mappings");
    world.put(&path, mappings).await.good();
}

/// A host that hears of [`contacts`] by the journal alone; its connection.
async fn unpushed() -> (World, String) {
    let world = World::start_with_journal().await;
    world.sim.unsubscribe_all();
    let connection = connect(&world, PORTAL).await;
    map(&world, &connection, contacts()).await;
    told(&world, &connection, "contacts", &[OWN]).await;
    (world, connection)
}

/// Waits until something is true, while the time passes that lies between two
/// looks at the journal.
async fn soon(world: &World, is_true: impl AsyncFn() -> bool) {
    world
        .until(async || {
            let wait = Duration::from_secs(1);
            world.clock.turn(wait);
            world.sim.turn(wait);
            is_true().await
        })
        .await;
}

/// The ways by which changes of a type come.
async fn ways(world: &World, connection: &str, object_type: &str) -> Vec<Value> {
    let held = world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    let live = held["live"].as_array().unwrap().iter();
    live.filter(|way| way["object_type"] == object_type)
        .cloned()
        .collect()
}

/// The way of that name, where there is one.
async fn way(world: &World, connection: &str, object_type: &str, name: &str) -> Option<Value> {
    let ways = ways(world, connection, object_type).await;
    ways.into_iter().find(|way| way["way"] == name)
}

/// Waits until the journal tells of properties.
async fn told(world: &World, connection: &str, object_type: &str, properties: &[&str]) {
    soon(world, async || {
        let Some(way) = way(world, connection, object_type, "journal").await else {
            return false;
        };
        let told = way["properties"].as_array().unwrap();
        properties.iter().all(|name| told.contains(&json!(name)))
    })
    .await;
}

/// Waits until a user has a value.
async fn shows(world: &World, user: &str, variable: &str, value: Value) {
    soon(world, async || world.values(user).await[variable] == value).await;
}

/// The account's subscriptions to the journal: type, object type, properties or
/// the types at the other end.
fn subscriptions(world: &World, portal: u64) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let texts =
        |value: &Value| -> Vec<String> { value.as_array().unwrap().iter().map(text).collect() };
    let all = world.sim.journal_subscriptions().into_iter();
    let own = all.filter(|one| one["portalId"] == portal);
    let mut shown: Vec<_> = own
        .map(|one| {
            let named = [
                texts(&one["properties"]),
                texts(&one["associatedObjectTypeIds"]),
            ];
            let kind = text(&one["subscriptionType"]);
            (kind, text(&one["objectTypeId"]), named.concat())
        })
        .collect();
    shown.sort();
    shown
}

/// One of [`subscriptions`].
fn one(kind: &str, object_type: &str, named: &[&str]) -> (String, String, Vec<String>) {
    let named = named.iter().map(|name| (*name).to_owned()).collect();
    (kind.to_owned(), object_type.to_owned(), named)
}

/// The connection's activity about one record, newest first: origin and outcome.
async fn activity(world: &World, connection: &str, record: u64) -> Vec<(String, String)> {
    let lines = world
        .get(&format!("/connections/{connection}/activity"))
        .await;
    let lines = lines.good();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let record = record.to_string();
    let own = lines.as_array().unwrap().iter();
    own.filter(|line| line["record_id"] == record.as_str())
        .map(|line| (text(&line["origin"]), text(&line["outcome"])))
        .collect()
}

/// The paths of the calls that read the journal, oldest first.
fn journal_calls(world: &World) -> Vec<String> {
    let calls = world.sim.calls().into_iter();
    let read = calls.filter(|call| call.route == Route::Journal && call.method == "GET");
    read.map(|call| call.path)
        .filter(|path| !path.contains("/subscriptions/"))
        .collect()
}

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

/// A user with a contact that the host knows; both ids.
async fn ana(world: &World, portal: u64, email: &str) -> (String, u64) {
    let user = world.put_users(json!([{"email": email}])).await.remove(0);
    let contact = world
        .account(portal)
        .create("contacts", &[("email", email), (OWN, "Soup")])
        .unwrap();
    shows(world, &user, "dish", json!("Soup")).await;
    // No read of it is left that could bring what changes next.
    world.settle().await;
    (user, contact)
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
async fn a_host_that_starts_again_goes_on_behind_the_last_file() {
    let (mut world, _) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    world.stop().await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    world.sim.clear_calls();
    world.go_on().await;
    shows(&world, &user, "dish", json!("Stew")).await;
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
        ..FaultRule::once(Route::Journal, Trouble::Status(503))
    });
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    account
        .patch("contacts", contact, &[("jobtitle", "Cook")])
        .unwrap();
    shows(&world, &user, "job_title", json!("Cook")).await;
    assert_eq!(world.values(&user).await["dish"], "Stew");
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
        account
            .patch("contacts", contact, &[(OWN, "Stew")])
            .unwrap();
    }
    world.sim.clear_calls();
    world.go_on().await;
    for (_, variable, user, ..) in &people {
        shows(&world, user, variable, json!("Stew")).await;
    }
    let calls = journal_calls(&world);
    let files = calls.iter().filter(|path| path.contains("/files/"));
    assert_eq!(files.count(), 1, "{calls:?}");
    // Each connection was told of its own account alone.
    for (_, variable, user, ..) in &people {
        assert_eq!(world.values(user).await, json!({variable: "Stew"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_follow_the_mappings() {
    let (world, connection) = unpushed().await;
    let keys = ["email", OWN, "hs_additional_emails", "jobtitle"];
    let erased = one("GDPR_PRIVACY_DELETION", "0-1", &[]);
    let expected = [erased.clone(), one("OBJECT", "0-1", &keys)];
    assert_eq!(subscriptions(&world, PORTAL), expected);
    let of_life = |one: &Value| one["subscriptionType"] == "APP_LIFECYCLE_EVENT";
    let of_life = world
        .sim
        .journal_subscriptions()
        .into_iter()
        .filter(of_life);
    let of_life: Vec<_> = of_life.map(|one| one["objectTypeId"].clone()).collect();
    assert_eq!(of_life, ["4-1916193"]);

    // A field is added, and companies that follow contacts.
    let mut more = contacts();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    more["companies"] = json!({"fields": [{"property": "name", "variable": "company"}]});
    map(&world, &connection, more).await;
    let keys = ["city", "email", OWN, "hs_additional_emails", "jobtitle"];
    let expected = [
        one("ASSOCIATION", "0-1", &["0-2"]),
        erased.clone(),
        one("OBJECT", "0-1", &keys),
        one("OBJECT", "0-2", &["name"]),
    ];
    soon(&world, async || subscriptions(&world, PORTAL) == expected).await;
    told(&world, &connection, "contacts", &["city"]).await;

    // And removed again; nothing is asked for that is there already.
    world.sim.clear_calls();
    map(&world, &connection, contacts()).await;
    let keys = ["email", OWN, "hs_additional_emails", "jobtitle"];
    let expected = [erased, one("OBJECT", "0-1", &keys)];
    soon(&world, async || subscriptions(&world, PORTAL) == expected).await;
    let calls = world.sim.calls();
    let made = calls
        .iter()
        .filter(|call| call.route == Route::Journal && call.method == "POST");
    assert_eq!(made.count(), 1);

    // Another account's stay when one is gone, and with the last all go.
    let other = connect(&world, PORTAL + 1).await;
    map(
        &world,
        &other,
        json!({"contacts": {"fields": [{"property": "city", "variable": "town"}]}}),
    )
    .await;
    told(&world, &other, "contacts", &["city"]).await;
    assert_eq!(
        world
            .delete(&format!("/connections/{connection}"))
            .await
            .status,
        204
    );
    soon(&world, async || subscriptions(&world, PORTAL).is_empty()).await;
    assert_eq!(subscriptions(&world, PORTAL + 1).len(), 2);
    assert_eq!(
        world.delete(&format!("/connections/{other}")).await.status,
        204
    );
    soon(&world, async || {
        world.sim.journal_subscriptions().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_somebody_took_away_come_back() {
    let (mut world, _) = unpushed().await;
    let before = subscriptions(&world, PORTAL);
    world.stop().await;
    world.sim.drop_journal_subscriptions();
    assert!(subscriptions(&world, PORTAL).is_empty());
    world.go_on().await;
    soon(&world, async || subscriptions(&world, PORTAL) == before).await;
    // Within an hour on a host that runs, too.
    world.sim.drop_journal_subscriptions();
    world.clock.turn(Duration::from_secs(3_601));
    world.sim.turn(Duration::from_secs(3_601));
    soon(&world, async || subscriptions(&world, PORTAL) == before).await;
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
    let route = routing.account(&PORTAL.to_string().into()).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_is_refused_the_connection_says_so_until_it_is_not() {
    let world = World::start_with_journal().await;
    world.sim.set_api(|api| api.journal_refused = true);
    let connection = connect(&world, PORTAL).await;
    map(&world, &connection, contacts()).await;
    let key = AccountKey::from(PORTAL.to_string());
    let refused = || journal_refused(world.host(), &key);
    soon(&world, async || refused()).await;
    let way = way(&world, &connection, "contacts", "catch_up")
        .await
        .unwrap();
    assert!(
        way["why"].as_str().unwrap().contains("does not allow it"),
        "{way:#}"
    );
    let named: Vec<_> = ways(&world, &connection, "contacts").await;
    assert!(named.iter().all(|way| way["way"] != "journal"));
    // Nobody has to do anything here once it is allowed.
    world.sim.set_api(|api| api.journal_refused = false);
    told(&world, &connection, "contacts", &[OWN]).await;
    soon(&world, async || !refused()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_account_refuses_holds_up_no_other() {
    let world = World::start_with_journal().await;
    world.sim.unsubscribe_all();
    let refusing = connect(&world, PORTAL).await;
    world
        .account(PORTAL)
        .drop_scope("crm.objects.contacts.read");
    map(&world, &refusing, contacts()).await;
    let other = connect(&world, PORTAL + 1).await;
    map(
        &world,
        &other,
        json!({"contacts": {"fields": [{"property": OWN, "variable": "other_dish"}]}}),
    )
    .await;
    told(&world, &other, "contacts", &[OWN]).await;
    let key = |portal: u64| AccountKey::from(portal.to_string());
    soon(&world, async || journal_refused(world.host(), &key(PORTAL))).await;
    assert!(!journal_refused(world.host(), &key(PORTAL + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_did_not_read_for_too_long_says_what_is_missing_and_goes_on() {
    let (mut world, connection) = unpushed().await;
    let (user, contact) = ana(&world, PORTAL, "ana@example.com").await;
    world.stop().await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[(OWN, "Stew")])
        .unwrap();
    // It is published when somebody reads, and then kept for three days.
    publish(&world).await;
    let four_days = Duration::from_secs(4 * 24 * 3_600);
    world.clock.turn(four_days);
    world.sim.turn(four_days);
    account
        .patch("contacts", contact, &[("jobtitle", "Cook")])
        .unwrap();
    world.go_on().await;
    shows(&world, &user, "job_title", json!("Cook")).await;
    let (_, reason) = world.host().journal.gap().unwrap();
    assert!(
        reason.contains("missing until the next catch-up"),
        "{reason}"
    );
    // Which a host that was away makes at once; then nothing is missing any more.
    shows(&world, &user, "dish", json!("Stew")).await;
    soon(&world, async || {
        let way = way(&world, &connection, "contacts", "journal").await;
        way.is_some_and(|way| !way["why"].as_str().unwrap().contains("missing"))
    })
    .await;
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
async fn a_host_whose_journal_is_turned_off_asks_nothing_of_it() {
    let world = World::start().await;
    let connection = connect(&world, PORTAL).await;
    world.map(&connection, contacts()).await;
    world.settle().await;
    let calls = world.sim.calls();
    assert!(calls.iter().all(|call| call.route != Route::Journal));
    let way = way(&world, &connection, "contacts", "catch_up")
        .await
        .unwrap();
    assert!(
        way["why"].as_str().unwrap().contains("HUBSPOT_JOURNAL"),
        "{way:#}"
    );
}

/// Runs a command about the app beside a host, with the host's settings and some
/// more: whether it went well, and what it printed.
fn hubspot(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
    let app = world.sim.app();
    let output = Command::new(program::path())
        .arg("hubspot")
        .args(arguments)
        .env("JIMO_DATA_DIR", world.directory.path())
        .env("JIMO_PUBLIC_URL", "https://connect.example.com/jimo")
        .env("HUBSPOT_CLIENT_ID", &app.client_id)
        .env("HUBSPOT_CLIENT_SECRET", &app.client_secret)
        .env("HUBSPOT_APP_ID", app.id.to_string())
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), printed)
}

fn file(directory: &Path, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join(path)).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_files_have_pushed_what_the_mappings_use() {
    let (world, connection) = unpushed().await;
    let out = tempfile::TempDir::new().unwrap();
    let path = out.path().join("project");
    let arguments = ["app", "--out", path.to_str().unwrap()];
    assert!(
        !hubspot(
            &world,
            &arguments,
            &[("JIMO_PUBLIC_URL", "http://example.com")]
        )
        .0
    );
    assert!(!path.exists());
    let (is_written, printed) = hubspot(&world, &arguments, &[]);
    assert!(is_written, "{printed}");
    let app = &file(&path, "src/app/app-hsmeta.json")["config"];
    let redirect = "https://connect.example.com/jimo/oauth/hubspot/callback";
    assert_eq!(app["auth"]["redirectUrls"], json!([redirect]));
    assert_eq!(
        app["auth"]["requiredScopes"][1],
        "crm.objects.contacts.read"
    );
    assert_eq!(file(&path, "hsproject.json")["platformVersion"], "2026.09");
    let webhooks = || file(&path, "src/app/webhooks/webhooks-hsmeta.json")["config"].clone();
    let target = "https://connect.example.com/jimo/webhooks/hubspot";
    assert_eq!(webhooks()["settings"]["targetUrl"], target);
    let pushed = || {
        let subscriptions = webhooks()["subscriptions"]["legacyCrmObjects"].clone();
        let subscriptions = subscriptions.as_array().unwrap().clone();
        assert!(subscriptions.contains(&json!({"subscriptionType": "deal.merge", "active": true})));
        let changes = subscriptions.into_iter();
        let changes = changes.filter(|one| one["subscriptionType"] == "contact.propertyChange");
        let shown = changes.map(|one| {
            let name = one["propertyName"].as_str().unwrap().to_owned();
            (name, one["active"].as_bool().unwrap())
        });
        shown.collect::<Vec<_>>()
    };
    let active = |name: &str| (name.to_owned(), true);
    let expected = ["email", OWN, "hs_additional_emails", "jobtitle"].map(active);
    assert_eq!(pushed(), expected);

    // What is used no more is pushed no more, and stays in the file.
    let fields = json!([{"property": "city", "variable": "city"}]);
    map(&world, &connection, json!({"contacts": {"fields": fields}})).await;
    assert!(hubspot(&world, &arguments, &[]).0);
    let ended = |name: &str| (name.to_owned(), false);
    let expected = [
        active("city"),
        active("email"),
        ended(OWN),
        active("hs_additional_emails"),
        ended("jobtitle"),
    ];
    assert_eq!(pushed(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_missing_and_asks_hubspot_nothing() {
    let (world, _) = unpushed().await;
    let check = |settings: &[(&str, &str)]| hubspot(&world, &["check"], settings);
    let (is_good, said) = check(&[]);
    assert!(
        !is_good && said.contains("files were not written"),
        "{said}"
    );
    let out = tempfile::TempDir::new().unwrap();
    let written = hubspot(&world, &["app", "--out", out.path().to_str().unwrap()], &[]);
    assert!(written.0, "{}", written.1);
    let (is_good, said) = check(&[]);
    assert!(is_good, "{said}");
    for (setting, value, told) in [
        ("JIMO_PUBLIC_URL", "http://connect.example.com", "https://"),
        ("JIMO_PUBLIC_URL", "https://127.0.0.1", "public addresses"),
        ("HUBSPOT_JOURNAL", "off", "HUBSPOT_JOURNAL"),
    ] {
        let (is_good, said) = check(&[(setting, value)]);
        assert!(!is_good && said.contains(told), "{said}");
    }
    // What the host found is told without asking again.
    let key = AccountKey::from(PORTAL.to_string());
    world.sim.set_api(|api| api.journal_refused = true);
    soon(&world, async || journal_refused(world.host(), &key)).await;
    world.sim.clear_calls();
    let (is_good, said) = check(&[]);
    assert!(!is_good && said.contains("is refused since"), "{said}");
    let asked = world.sim.calls().into_iter();
    let by_others = asked.filter(|call| call.route != Route::Journal);
    assert_eq!(by_others.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_mapped_properties_that_are_not_pushed() {
    let (world, connection) = unpushed().await;
    let out = tempfile::TempDir::new().unwrap();
    assert!(hubspot(&world, &["app", "--out", out.path().to_str().unwrap()], &[]).0);
    let mut more = contacts();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    map(&world, &connection, more).await;
    let (is_good, said) = hubspot(&world, &["check"], &[]);
    assert!(!is_good && said.contains("contacts.city"), "{said}");
    assert!(!said.contains(OWN), "{said}");
}
