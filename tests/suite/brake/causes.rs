//! What takes values from many users.

use hubspot_sim::Link;
use jimo_connect::{hubspot::Priority, sync::labels};
use serde_json::json;

use super::{PORTAL, Staff, pair, staff};

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_emptied_in_bulk() {
    let staff = staff(150).await;
    staff.patch(
        &staff.contacts[..140],
        &[("jobtitle", ""), ("city", "Rome")],
    );
    staff.settle().await;
    let left = staff.shown("Cook");
    assert!((50..=150).contains(&left), "{left}");
    assert_eq!(staff.question().await["code"], "braked");
    // Another property of the same contacts changes, and all of them show it.
    assert_eq!(staff.shown("Rome"), 140);
    // One is filled again, whoever it is.
    staff.patch(&staff.contacts[..140], &[("city", "Oslo")]);
    staff.patch(&staff.contacts[139..140], &[("jobtitle", "Chef")]);
    staff.settle().await;
    assert_eq!(staff.shown("Oslo"), 140);
    assert_eq!(
        staff.world.values(&staff.users[139]).await["job_title"],
        "Chef"
    );

    staff.go_on().await;
    assert_eq!((staff.shown("Cook"), staff.shown("Chef")), (10, 1));
    assert_eq!(staff.shown("Oslo"), 140);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matching_property_that_is_changed_in_bulk() {
    let staff = staff(150).await;
    let account = staff.world.account(PORTAL);
    staff.pass(1);
    for (number, contact) in staff.contacts[..140].iter().enumerate() {
        let email = format!("nobody-{number}@example.com");
        account
            .patch("contacts", *contact, &[("email", &email)])
            .unwrap();
    }
    staff.settle().await;
    let left = staff.shown("Cook");
    assert!((50..=150).contains(&left), "{left}");
    assert_eq!(staff.question().await["code"], "braked");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
    staff.go_on().await;
    assert_eq!(staff.shown("Cook"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_somebody_elses_meanwhile_shows_on_nobody_it_was_of() {
    let staff = staff(150).await;
    let account = staff.world.account(PORTAL);
    staff.pass(1);
    for (contact, email) in staff.contacts[..70].iter().zip(&staff.emails[..70]) {
        let nobody = format!("was-{email}");
        account
            .patch("contacts", *contact, &[("email", &nobody)])
            .unwrap();
    }
    for (contact, email) in staff.contacts[70..140].iter().zip(&staff.emails[..70]) {
        account
            .patch("contacts", *contact, &[("email", email)])
            .unwrap();
    }
    staff.settle().await;
    assert_eq!(staff.question().await["code"], "braked");
    staff.patch(&staff.contacts[70..140], &[("city", "Oslo")]);
    staff.settle().await;
    for user in &staff.users[70..140] {
        let city = staff.world.values(user).await["city"].clone();
        assert!(city.is_null() || city == "Lyon", "{city}");
    }
    staff.go_on().await;
    for (user, city) in [(0, json!("Oslo")), (69, json!("Oslo")), (70, json!(null))] {
        let values = staff.world.values(&staff.users[user]).await;
        assert_eq!(values["city"], city, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_on_nobody_it_was_of_until_they_are_selected_for_anew_either() {
    let staff = staff(150).await;
    let account = staff.world.account(PORTAL);
    staff.pass(1);
    for (contact, email) in staff.contacts[..70].iter().zip(&staff.emails[..70]) {
        let nobody = format!("was-{email}");
        let values = [("email", &*nobody)];
        account.patch("contacts", *contact, &values).unwrap();
    }
    for (contact, email) in staff.contacts[70..140].iter().zip(&staff.emails[..70]) {
        let values = [("email", &**email)];
        account.patch("contacts", *contact, &values).unwrap();
    }
    staff.settle().await;
    assert_eq!(staff.question().await["code"], "braked");
    // Told to go on, it cannot select anew for a while.
    let stuck = "CREATE TRIGGER stuck BEFORE DELETE ON held_selections
         BEGIN SELECT RAISE(ABORT, 'stuck'); END";
    staff.world.tamper(stuck).await;
    let told = staff.world.post(&staff.path("/continue"), json!({})).await;
    assert_eq!(told.status, 202);
    assert!(staff.world.count("SELECT count(*) FROM held_selections") > 0);
    staff.patch(&staff.contacts[70..140], &[("city", "Oslo")]);
    let is_heard = async || {
        let heard = "SELECT count(*) FROM registers WHERE text = 'Oslo'";
        staff.world.count(heard) == 70
    };
    staff.world.until(is_heard).await;
    for user in &staff.users[70..140] {
        let city = staff.world.values(user).await["city"].clone();
        assert!(city.is_null() || city == "Lyon", "{city}");
    }
    staff.world.tamper("DROP TRIGGER stuck").await;
    let is_done = async || {
        staff.pass(1);
        staff.world.count("SELECT count(*) FROM held_selections") == 0
    };
    staff.world.until(is_done).await;
    staff.settle().await;
    for (user, city) in [(0, json!("Oslo")), (69, json!("Oslo")), (70, json!(null))] {
        let values = staff.world.values(&staff.users[user]).await;
        assert_eq!(values["city"], city, "{user}");
    }
}

/// Staff with two deals each: the second was created last, and the first, in the
/// stage `contractsent`, was modified last, and feeds them.
async fn dealers(prefer_open: bool) -> Staff {
    const COUNT: usize = 110;
    let staff = staff(COUNT).await;
    let account = staff.world.account(PORTAL);
    let mut deals = Vec::new();
    for (name, stage) in [("First", "contractsent"), ("Second", "qualifiedtobuy")] {
        staff.pass(1);
        for contact in &staff.contacts {
            let values = [("dealname", name), ("dealstage", stage)];
            let deal = account.create("deals", &values).unwrap();
            let (from, to) = (("contacts", *contact), ("deals", deal));
            account.associate(from, to, Link::Plain).unwrap();
            deals.push(deal);
        }
    }
    staff.pass(1);
    for deal in &deals[..COUNT] {
        account.patch("deals", *deal, &[("amount", "9")]).unwrap();
    }
    staff.map_deals("latest_modified", prefer_open).await;
    let shown = (staff.shown("First"), staff.shown("Second"));
    assert_eq!((shown, staff.question().await), ((110, 0), json!(null)));
    staff
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_rule_that_moves_everybody() {
    let staff = dealers(false).await;
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (110, 0));
    assert_eq!(staff.question().await["code"], "braked");
    // What feeds them goes on to, and what does not is not shown.
    staff.newcomer("new@example.com").await;
    staff.settle().await;
    assert_eq!(staff.shown("Chef"), 1);

    // To map as before ends it.
    staff.map_deals("latest_modified", false).await;
    staff.ended().await;
    assert_eq!(staff.shown("First"), 110);
    let once = [pair("brake", "held"), pair("brake", "released")];
    assert_eq!(staff.told().await, once);

    // What is lost in the moment that a hold ends is not counted.
    staff.pass(1);
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (110, 0));
    staff.go_on().await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, 110));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_is_declared_closed() {
    let staff = dealers(true).await;
    let account = staff.world.account(PORTAL);
    account.set_stage_closed("contractsent", true).unwrap();
    let host = staff.world.host();
    let routing = host.pipeline.routing().await.unwrap();
    let route = routing
        .account("hubspot", &PORTAL.to_string().into())
        .unwrap()
        .clone();
    let refreshed = labels::refresh(host, &route, Priority::CatchUp).await;
    refreshed.unwrap();
    staff.settle().await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (110, 0));
    assert_eq!(staff.question().await["code"], "braked");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
    staff.go_on().await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, 110));
}
