//! Connections: how one stands, pausing, leaving.

use harness::{answer::masked, world::World};
use hubspot_sim::AccountSpec;
use jimo_connect::hubspot::{
    Pool, Priority,
    rates::{Policy, Rates},
};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A connection with one mapped property, and a user whose contact is in
/// HubSpot. Returns the connection, the user and the contact.
async fn connected(world: &World) -> (String, String, u64) {
    let id = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&id, json!({"contacts": {"fields": fields}}))
        .await;
    let user = world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await
        .remove(0);
    let contact = world.account(PORTAL).create(
        "contacts",
        &[("email", "ana@example.com"), ("jobtitle", "Cook")],
    );
    world.settle().await;
    (id, user, contact.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_says_how_it_stands() {
    let world = World::start().await;
    let (id, _, contact) = connected(&world).await;
    world
        .account(PORTAL)
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    let mut held = world.get(&format!("/connections/{id}")).await.good();
    let seconds = held["freshness"]["p95_seconds"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&seconds), "{seconds}");
    held["freshness"] = "[measured]".into();
    held["budget"]["used"] = "[number]".into();
    // How often a record was read depends on which of its events came first.
    held["counts"] = "[counts]".into();
    insta::assert_json_snapshot!(masked(held), @r#"
    {
      "account": {
        "domain": "customer-1001.example",
        "id": "1001"
      },
      "budget": {
        "allowed": 104,
        "per": "ten_seconds",
        "resets_at": "[moment]",
        "used": "[number]"
      },
      "connector": "hubspot",
      "counts": "[counts]",
      "created_at": "[moment]",
      "freshness": "[measured]",
      "id": "con_1",
      "last_catch_up_at": null,
      "last_delivery_at": "[moment]",
      "last_full_sync_at": null,
      "live": [
        {
          "object_type": "contacts",
          "properties": [
            "email",
            "hs_additional_emails",
            "jobtitle"
          ],
          "way": "webhooks",
          "why": "HubSpot pushes the changes of those properties that the app subscribes to."
        },
        {
          "object_type": "contacts",
          "properties": [
            "email",
            "hs_additional_emails",
            "jobtitle"
          ],
          "way": "catch_up",
          "why": "HubSpot’s journal is not read, for it is turned off on this host (HUBSPOT_JOURNAL). Recent changes are looked for every few minutes instead."
        }
      ],
      "proof": null,
      "scopes": [
        "crm.objects.companies.read",
        "crm.objects.contacts.read",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.schemas.companies.read",
        "crm.schemas.contacts.read",
        "crm.schemas.deals.read",
        "oauth"
      ],
      "status": "active"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_for_consent_says_so() {
    let world = World::start().await;
    let begun = world
        .post("/connections", json!({"connector": "hubspot"}))
        .await;
    assert_eq!(begun.status, 201);
    let id = begun.json["id"].as_str().unwrap().to_owned();
    let held = world.get(&format!("/connections/{id}")).await.good();
    assert_eq!(held["status"], "pending");
    assert_eq!(held["account"], Value::Null);
    for path in ["properties?object_type=contacts"] {
        world
            .get(&format!("/connections/{id}/{path}"))
            .await
            .problem(409);
    }
    world
        .put(&format!("/connections/{id}/mappings"), json!({}))
        .await
        .problem(409);
    for what in ["pause", "resume"] {
        world
            .post(&format!("/connections/{id}/{what}"), json!({}))
            .await
            .problem(409);
    }
    let refused = world
        .post("/connections", json!({"connector": "salesforce"}))
        .await;
    assert_eq!(refused.pointers(), ["/connector"]);
    let listed = world.get("/connections").await.good();
    assert_eq!(listed["connections"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_paused_nothing_comes_in() {
    let world = World::start().await;
    let (id, user, contact) = connected(&world).await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Cook"}));
    let pause = format!("/connections/{id}/pause");
    for _ in 0..2 {
        let held = world.post(&pause, json!({})).await.good();
        assert_eq!(held["status"], "paused");
        assert_eq!(held["live"], json!([]));
    }
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Cook"}));
    let resume = format!("/connections/{id}/resume");
    let held = world.post(&resume, json!({})).await.good();
    assert_eq!(held["status"], "active");
    account
        .patch("contacts", contact, &[("jobtitle", "Owner")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Owner"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_neither_hides_nor_mends_what_is_wrong() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let path = format!("/connections/{id}");
    let act = async |what: &str| {
        let answer = world.post(&format!("{path}/{what}"), json!({})).await;
        answer.good()
    };
    let stands = |held: &Value| (held["status"].clone(), held["problem"]["code"].clone());
    act("pause").await;
    // What goes wrong meanwhile is kept.
    let account = world.account(PORTAL);
    account.uninstall();
    account.expire_access();
    world
        .get(&format!("{path}/properties?object_type=contacts"))
        .await
        .problem(409);
    let held = world.get(&path).await.good();
    assert_eq!(stands(&held), (json!("paused"), json!("access_revoked")));
    for _ in 0..2 {
        let wrong = (json!("needs_attention"), json!("access_revoked"));
        assert_eq!(stands(&act("resume").await), wrong);
        let paused = (json!("paused"), json!("access_revoked"));
        assert_eq!(stands(&act("pause").await), paused);
    }
    // A new consent mends it, and leaves the pause to the admin.
    let begun = act("reconnect").await;
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
    let held = world.get(&path).await.good();
    assert_eq!(stands(&held), (json!("paused"), Value::Null));
    let active = (json!("active"), Value::Null);
    assert_eq!(stands(&act("resume").await), active);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_deleted_connection_become_jimos_own() {
    let world = World::start().await;
    let (id, user, contact) = connected(&world).await;
    let path = format!("/connections/{id}");
    assert_eq!(world.delete(&path).await.status, 204);
    world.get(&path).await.problem(404);
    world
        .account(PORTAL)
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    let held = world.user(&user).await;
    let value = &held["variables"]["job_title"];
    assert_eq!(value["value"], "Cook");
    assert_eq!(value["source"], json!({"kind": "jimo"}));
    // Jimo's own side writes it again.
    world
        .put_users(json!([{"email": "ana@example.com", "variables": {"job_title": "Boss"}}]))
        .await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Boss"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_deleted_connection_are_gone_if_that_is_asked_for() {
    let world = World::start().await;
    let (id, user, _) = connected(&world).await;
    let answer = world
        .delete(&format!("/connections/{id}?values=clear"))
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(world.values(&user).await, json!({}));
    let refused = world
        .delete(&format!("/connections/{id}?values=burn"))
        .await;
    refused.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_told_newest_first_page_by_page() {
    let world = World::start().await;
    let (id, user, contact) = connected(&world).await;
    let account = world.account(PORTAL);
    for title in ["Chef", "Owner"] {
        account
            .patch("contacts", contact, &[("jobtitle", title)])
            .unwrap();
        world.settle().await;
    }
    let path = format!("/connections/{id}/activity");
    let lines = world.get(&path).await.good();
    let newest = lines[0].clone();
    assert_eq!(newest["user"], *user);
    insta::assert_json_snapshot!(masked(newest), @r#"
    {
      "at": "[moment]",
      "object_type": "contacts",
      "origin": "webhook",
      "outcome": "updated",
      "plugin": "[digest]",
      "record_id": "[record]",
      "user": "usr_1",
      "user_count": 1,
      "variables": [
        "job_title"
      ]
    }
    "#);
    // What a record first says to a user is told as well, of the user.
    let told = lines
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["outcome"] == "updated");
    assert_eq!(told.count(), 3, "{lines:#}");
    let mut seen = Vec::new();
    let mut next = Some(format!("{path}?limit=2"));
    while let Some(page) = next.take() {
        let answer = world.get(&page).await;
        if let Some(link) = answer.headers.get("link") {
            let link = link.to_str().unwrap();
            let (_, query) = link.split_once('?').unwrap();
            let query = query.split('>').next().unwrap();
            next = Some(format!("{path}?{query}"));
        }
        seen.extend(answer.good().as_array().unwrap().clone());
    }
    assert_eq!(Value::from(seen), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_survives_a_restart() {
    let mut world = World::start().await;
    let (_, user, contact) = connected(&world).await;
    world.restart().await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Cook"}));
    world
        .account(PORTAL)
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Chef"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_contact_takes_its_values_with_it_and_the_activity_says_from_whom() {
    let world = World::start().await;
    let (id, user, contact) = connected(&world).await;
    world.account(PORTAL).delete("contacts", contact).unwrap();
    world.settle().await;
    assert_eq!(world.values(&user).await, json!({}));
    let lines = world
        .get(&format!("/connections/{id}/activity"))
        .await
        .good();
    let line = &lines[0];
    assert_eq!(
        (&line["outcome"], &line["user"], &line["variables"]),
        (&json!("updated"), &json!(user), &json!(["job_title"])),
        "{lines:#}"
    );
    assert_eq!(line["record_id"], contact.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_an_accounts_request_day_still_ends_at_its_own_midnight() {
    let mut world = World::start().await;
    // Five hours ahead of UTC, all year.
    let karachi = AccountSpec::new(PORTAL).time_zone("Asia/Karachi");
    let _ = world.sim.add_account(karachi);
    world.connect(PORTAL).await;
    world.restart().await;
    let budget = world.host().hubspot.budgets().of(&"1001".into());
    let call = budget.acquire(Pool::General, Priority::Live).await.unwrap();
    let day_ends_at = call.refused(&Rates::default(), Policy::Daily, None, 0.5);
    let (hour, day) = (3_600_000, 86_400_000);
    assert_eq!((day_ends_at.0 + 5 * hour) % day, 0, "{day_ends_at}");
}
