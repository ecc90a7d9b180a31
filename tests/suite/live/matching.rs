//! Who is a record's user.

use hubspot_sim::PropertySpec;
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
    let ana = user(&world, "ana@example.com").await;
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
