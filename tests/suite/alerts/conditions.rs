//! What counts as wrong beside a revoked access.

use hubspot_sim::{FaultRule, Link, Route, Trouble};
use serde_json::json;

use super::{PORTAL, Told, pair};

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_wait_for_a_quarter_of_an_hour_are_late_until_they_are_applied() {
    let told = Told::start().await;
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead);
    told.world.sim.inject(failing);
    let account = told.world.account(PORTAL);
    told.world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    account
        .create("contacts", &[("email", "ana@example.com")])
        .unwrap();
    told.world.applied().await;
    told.pass(14 * 60);
    told.looked().await;
    assert!(told.receiver.requests().is_empty());
    told.pass(2 * 60);
    assert_eq!(told.told(1).await, [pair("began", "late")]);
    let health = told.world.get(&told.path("/health")).await.good();
    assert_eq!(health["problems"][0]["code"], "late", "{health:#}");

    // A pause only hides it.
    let nothing = || json!({});
    told.world
        .post(&told.path("/pause"), nothing())
        .await
        .good();
    told.looked().await;
    told.world
        .post(&told.path("/resume"), nothing())
        .await
        .good();
    told.looked().await;
    assert_eq!(told.receiver.requests().len(), 1);

    told.world.sim.clear_faults();
    // Waits grow while it fails.
    told.pass(600);
    told.world.settle().await;
    assert_eq!(told.told(2).await[1], pair("ended", "late"));
}

#[tokio::test(flavor = "multi_thread")]
async fn associations_that_wait_for_a_quarter_of_an_hour_are_late() {
    let told = Told::start().await;
    let fields = |property: &str, variable: &str| json!({"fields": [{"property": property, "variable": variable}]});
    let mappings = json!({
        "contacts": fields("jobtitle", "job_title"), "companies": fields("name", "company"),
    });
    told.world.map(&told.connection, mappings).await;
    told.world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    let account = told.world.account(PORTAL);
    let contact = account.create("contacts", &[("email", "ana@example.com")]);
    let company = account.create("companies", &[("name", "Acme")]);
    told.pass(10);
    told.world.settle().await;
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::Associations);
    told.world.sim.inject(failing);
    let ends = (
        ("contacts", contact.unwrap()),
        ("companies", company.unwrap()),
    );
    account.associate(ends.0, ends.1, Link::Primary).unwrap();
    told.world.applied().await;
    told.pass(16 * 60);
    assert_eq!(told.told(1).await, [pair("began", "late")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_values_that_cannot_be_read_are_told_as_one_alert() {
    let told = Told::start().await;
    let emails: Vec<_> = (0..25).map(|n| format!("user-{n}@example.com")).collect();
    let users: Vec<_> = emails.iter().map(|email| json!({"email": email})).collect();
    told.world.put_users(json!(users)).await;
    let account = told.world.account(PORTAL);
    let long = "x".repeat(701);
    for email in &emails[..5] {
        account
            .create("contacts", &[("email", email), ("jobtitle", &long)])
            .unwrap();
    }
    told.pass(10);
    told.world.settle().await;
    told.looked().await;
    assert!(
        told.receiver.requests().is_empty(),
        "fewer are typing mistakes"
    );
    for email in &emails[5..] {
        account
            .create("contacts", &[("email", email), ("jobtitle", &long)])
            .unwrap();
    }
    told.pass(10);
    told.world.settle().await;
    assert_eq!(told.told(1).await, [pair("began", "unreadable_values")]);
    let hours = told.world.get(&told.path("/health?hours=1")).await.good();
    assert!(
        hours["hours"][0]["unreadable"].as_i64().unwrap() >= 25,
        "{hours:#}"
    );
    // Two hours later nothing of it is recent.
    told.pass(2 * 3_600);
    assert_eq!(told.told(2).await[1], pair("ended", "unreadable_values"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brake_holds_is_told_and_that_it_goes_on() {
    let told = Told::start().await;
    let emails: Vec<_> = (0..101).map(|n| format!("user-{n}@example.com")).collect();
    let users: Vec<_> = emails.iter().map(|email| json!({"email": email})).collect();
    told.world.put_users(json!(users)).await;
    let account = told.world.account(PORTAL);
    let contacts: Vec<u64> = emails
        .iter()
        .map(|email| {
            let values = [("email", email.as_str()), ("jobtitle", "Cook")];
            account.create("contacts", &values).unwrap()
        })
        .collect();
    told.pass(10);
    told.world.settle().await;
    told.pass(1);
    for contact in contacts {
        account.delete("contacts", contact).unwrap();
    }
    told.pass(10);
    told.world.settle().await;
    assert_eq!(told.told(1).await, [pair("began", "braked")]);
    let request = told.receiver.requests().remove(0).json();
    assert!(
        request["link"].as_str().unwrap().ends_with("/health"),
        "{request:#}"
    );
    let answer = told.world.post(&told.path("/continue"), json!({})).await;
    assert_eq!(answer.status, 202);
    assert_eq!(told.told(2).await[1], pair("ended", "braked"));
    // Who let it go on is kept.
    let lines = told
        .world
        .get(&told.path("/activity?outcome=released"))
        .await
        .good();
    assert_eq!(lines[0]["by"]["kind"], "token", "{lines:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_of_one_connection_keeps_no_alert_of_another_from_being_told() {
    let told = Told::start().await;
    let other = told.world.connect(PORTAL + 1).await;
    let fields = json!([{"property": "jobtitle", "variable": "other_title"}]);
    let mappings = json!({"contacts": {"fields": fields}});
    told.world.map(&other, mappings).await;
    let channel = json!({"kind": "webhook", "to": told.receiver.url});
    let path = format!("/connections/{other}/alert-channels");
    told.world.post(&path, channel).await.good();
    let store = told.world.directory.path().join("store.sqlite");
    let store = rusqlite::Connection::open(store).unwrap();
    let nonsense = "INSERT INTO alerts (connection, code, problem, since)
        SELECT min(connection), 'access_revoked', 'nonsense', 0 FROM alert_channels";
    assert_eq!(store.execute(nonsense, []).unwrap(), 1);

    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead);
    told.world.sim.inject(failing);
    let users = json!([{"email": "ana@example.com"}]);
    told.world.put_users(users).await;
    let account = told.world.account(PORTAL + 1);
    let ana = [("email", "ana@example.com")];
    account.create("contacts", &ana).unwrap();
    told.world.applied().await;
    told.pass(16 * 60);
    assert_eq!(told.told(1).await, [pair("began", "late")]);
    let request = told.receiver.requests().remove(0).json();
    assert_eq!(request["connection"]["id"], other, "{request:#}");
}
