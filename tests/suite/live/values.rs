//! What a value becomes, and what is kept when it cannot be read.

use hubspot_sim::PropertySpec;
use serde_json::json;

use super::{PORTAL, connected, contact, cook, reasons, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_property_empties_the_variable() {
    let (world, _, ana, id) = cook().await;
    let account = world.account(PORTAL);
    account.patch("contacts", id, &[("jobtitle", "")]).unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_jimo_cannot_hold_keeps_the_value_before_and_is_reported() {
    let (world, connection, ana, id) = cook().await;
    let account = world.account(PORTAL);
    let long = "é".repeat(701);
    account
        .patch("contacts", id, &[("jobtitle", &long)])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(reasons(&world, &connection).await[0], "too_long");
    let longest = "é".repeat(700);
    account
        .patch("contacts", id, &[("jobtitle", &longest)])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": longest}));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_property_shows_by_event_as_by_read() {
    let (world, connection) = connected().await;
    let account = world.account(PORTAL);
    let colours = &[("red", "Red"), ("blue", "Blue")];
    for spec in [
        PropertySpec::number("seats"),
        PropertySpec::boolean("vip"),
        PropertySpec::date("birthday"),
        PropertySpec::datetime("renewal"),
        PropertySpec::select("colour", colours),
        PropertySpec::checkboxes("colours", colours),
        PropertySpec::currency("worth"),
        PropertySpec::phone("mobile"),
    ] {
        account.define("contacts", spec).unwrap();
    }
    let names = [
        "seats", "vip", "birthday", "renewal", "colour", "colours", "worth", "mobile",
    ];
    let fields: Vec<_> = names
        .iter()
        .map(|name| json!({"property": name, "variable": format!("their_{name}")}))
        .collect();
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let ana = user(&world, "ana@example.com").await;
    let one = [
        ("email", "ana@example.com"),
        ("seats", "12"),
        ("vip", "true"),
        ("birthday", "1990-02-28"),
        ("renewal", "2026-12-24T18:00:00.000Z"),
        ("colour", "red"),
        ("colours", "red;blue"),
        ("worth", "1250.5"),
        ("mobile", "+33 1 23 45 67 89"),
    ];
    let id = contact(&world, &one).await;
    assert_eq!(
        world.values(&ana).await,
        json!({
            "their_seats": 12, "their_vip": true, "their_birthday": "1990-02-28",
            "their_renewal": "2026-12-24T18:00:00.000Z", "their_colour": "red",
            "their_colours": ["red", "blue"], "their_worth": 1250.5,
            "their_mobile": "+33 1 23 45 67 89",
        })
    );
    let other = [
        ("seats", "13.5"),
        ("vip", "false"),
        ("birthday", "1991-03-01"),
        ("renewal", "2027-01-01T00:00:00.000Z"),
        ("colour", "blue"),
        ("colours", "blue"),
        ("worth", "0"),
        ("mobile", "+1 555 0100"),
    ];
    world.sim.clear_calls();
    account.patch("contacts", id, &other).unwrap();
    world.settle().await;
    assert_eq!(super::reads(&world), []);
    assert_eq!(
        world.values(&ana).await,
        json!({
            "their_seats": 13.5, "their_vip": false, "their_birthday": "1991-03-01",
            "their_renewal": "2027-01-01T00:00:00.000Z", "their_colour": "blue",
            "their_colours": ["blue"], "their_worth": 0, "their_mobile": "+1 555 0100",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_property_keeps_its_value() {
    let (world, connection) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::text("nickname"))
        .unwrap();
    let fields = json!([
        {"property": "nickname", "variable": "nickname"},
        {"property": "city", "variable": "city"},
    ]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let ana = user(&world, "ana@example.com").await;
    let known = [
        ("email", "ana@example.com"),
        ("nickname", "Annie"),
        ("city", "Lyon"),
    ];
    let id = contact(&world, &known).await;
    account.archive_property("contacts", "nickname").unwrap();
    // A changed address is read anew.
    let changed = [("email", "Ana@Example.com"), ("city", "Paris")];
    account.patch("contacts", id, &changed).unwrap();
    world.settle().await;
    assert_eq!(
        world.values(&ana).await,
        json!({"nickname": "Annie", "city": "Paris"})
    );
}
