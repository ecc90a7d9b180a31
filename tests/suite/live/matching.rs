//! Who is a record's user.

use hubspot_sim::{FaultRule, PropertySpec, Trouble};
use serde_json::json;

use super::{PORTAL, connected, contact, reads, user};

#[tokio::test(flavor = "multi_thread")]
async fn additional_emails_match_and_a_contacts_own_email_comes_first() {
    let (world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let account = world.account(PORTAL);
    let known = [
        ("email", "ana@work.example"),
        ("jobtitle", "By another address"),
    ];
    let other = account.create("contacts", &known).unwrap();
    let additional = "ana@old.example;ANA@example.com";
    account
        .recalculate("contacts", other, "hs_additional_emails", additional)
        .unwrap();
    world.settle().await;
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "By another address"})
    );
    // An address is one contact's alone; that it is free again no event tells.
    account
        .recalculate("contacts", other, "hs_additional_emails", "ana@old.example")
        .unwrap();
    contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "By her own")],
    )
    .await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "By her own"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_users_who_share_an_email_are_fed() {
    let (world, _) = connected().await;
    let ids = world
        .put_users(json!([
            {"external_id": "u-1", "email": "team@example.com"},
            {"external_id": "u-2", "email": "Team@Example.com"},
            {"external_id": "u-3", "email": "other@example.com"},
        ]))
        .await;
    let id = contact(
        &world,
        &[("email", "team@example.com"), ("jobtitle", "Crew")],
    )
    .await;
    world
        .account(PORTAL)
        .patch("contacts", id, &[("city", "Lyon")])
        .unwrap();
    world.settle().await;
    let fed = json!({"job_title": "Crew", "city": "Lyon"});
    assert_eq!(world.values(&ids[0]).await, fed);
    assert_eq!(world.values(&ids[1]).await, fed);
    assert_eq!(world.values(&ids[2]).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_follow_a_contact_whose_email_changes() {
    let (world, _) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let ben = user(&world, "ben@example.com").await;
    let id = contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    )
    .await;
    let account = world.account(PORTAL);
    account
        .patch("contacts", id, &[("email", "ben@example.com")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
    assert_eq!(world.values(&ben).await, json!({"job_title": "Cook"}));
    account
        .patch("contacts", id, &[("email", "nobody@example.com")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ben).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_after_the_contact_is_filled_at_once() {
    let (world, _) = connected().await;
    contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    )
    .await;
    world.sim.clear_calls();
    let ana = json!([{"email": "ana@example.com"}]);
    let ana = world.put_users(ana).await.remove(0);
    // Nobody has to be asked for who it is.
    assert_eq!(world.count("SELECT count(*) FROM lookups"), 0);
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    // Found by the match index: the record itself and its associations.
    assert_eq!(reads(&world).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_email_changes_is_fed_by_who_has_it() {
    let (world, _) = connected().await;
    contact(
        &world,
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    )
    .await;
    contact(
        &world,
        &[("email", "ben@example.com"), ("jobtitle", "Baker")],
    )
    .await;
    let one = json!({"external_id": "u-1", "email": "ana@example.com"});
    let id = world.put_users(json!([one])).await.remove(0);
    world.settle().await;
    assert_eq!(world.values(&id).await, json!({"job_title": "Cook"}));
    let other = json!({"external_id": "u-1", "email": "ben@example.com"});
    world.put_users(json!([other])).await;
    world.settle().await;
    assert_eq!(world.values(&id).await, json!({"job_title": "Baker"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_can_match_by_a_property_of_their_own() {
    let (world, connection) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("companies", PropertySpec::text("customer_id"))
        .unwrap();
    world
        .post("/variables", json!({"name": "account", "type": "text"}))
        .await
        .good();
    world
        .map(
            &connection,
            json!({"companies": {
                "matching": {"property": "customer_id", "user": "variable:account"},
                "fields": [{"property": "name", "variable": "company"}],
            }}),
        )
        .await;
    let ids = world
        .put_users(json!([
            {"email": "ana@example.com", "variables": {"account": "acme"}},
            {"email": "ben@example.com", "variables": {"account": "acme"}},
            {"email": "eve@example.com", "variables": {"account": "other"}},
        ]))
        .await;
    let company = account
        .create("companies", &[("customer_id", "acme"), ("name", "Acme")])
        .unwrap();
    world.settle().await;
    account
        .patch("companies", company, &[("name", "Acme Ltd")])
        .unwrap();
    world.settle().await;
    for id in &ids[..2] {
        assert_eq!(world.values(id).await["company"], "Acme Ltd");
    }
    assert_eq!(world.values(&ids[2]).await, json!({"account": "other"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matching_property_that_is_not_told_leaves_links_as_they_are() {
    let (world, connection) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::text("jimo_id"))
        .unwrap();
    let mapping = json!({"contacts": {
        "matching": {"property": "jimo_id", "user": "external_id"},
        "fields": [
            {"property": "jobtitle", "variable": "job_title"},
            {"property": "city", "variable": "city"},
        ],
    }});
    world.map(&connection, mapping).await;
    world
        .sim
        .subscribe("contact.propertyChange", Some("jimo_id"))
        .unwrap();
    let ana = world
        .put_users(json!([{"external_id": "u-1"}]))
        .await
        .remove(0);
    let id = contact(&world, &[("jimo_id", "u-1"), ("jobtitle", "Cook")]).await;
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    let changed = [("jimo_id", "u-2"), ("city", "Lyon")];
    account.patch("contacts", id, &changed).unwrap();
    account.archive_property("contacts", "jimo_id").unwrap();
    world.settle().await;
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "Cook", "city": "Lyon"})
    );
    let reasons = super::reasons(&world, &connection).await;
    assert!(
        reasons.contains(&"match_not_told".to_owned()),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_matched_by_what_a_variable_held_once() {
    let (world, connection) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::text("badge"))
        .unwrap();
    world
        .post("/variables", json!({"name": "badge_no", "type": "text"}))
        .await
        .good();
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    let by_badge = json!({"contacts": {
        "matching": {"property": "badge", "user": "variable:badge_no"}, "fields": fields,
    }});
    let user = |badge| json!([{"external_id": "u-1", "variables": {"badge_no": badge}}]);
    let ana = world.put_users(user(json!("7"))).await.remove(0);
    world.map(&connection, by_badge.clone()).await;
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    world.put_users(user(json!(null))).await;
    world.map(&connection, by_badge).await;
    contact(&world, &[("badge", "7"), ("jobtitle", "Cook")]).await;
    assert_eq!(world.values(&ana).await, json!({}));
    world.put_users(user(json!("7"))).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await["job_title"], "Cook");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_match_never_shows_on_whom_it_no_longer_matches() {
    let (world, connection) = connected().await;
    let fields = json!([{"property": "email", "variable": "contact_email"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let ana = user(&world, "ana@example.com").await;
    let ben = user(&world, "ben@example.com").await;
    let id = contact(&world, &[("email", "ana@example.com")]).await;
    world
        .sim
        .inject(FaultRule::by_chance(Trouble::Status(503), 1.0));
    let changed = [("email", "ben@example.com")];
    world
        .account(PORTAL)
        .patch("contacts", id, &changed)
        .unwrap();
    world.applied().await;
    assert_eq!(
        world.values(&ana).await,
        json!({"contact_email": "ana@example.com"})
    );
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
    assert_eq!(
        world.values(&ben).await,
        json!({"contact_email": "ben@example.com"})
    );
}
