//! HubSpot owns what it feeds, and nothing is filled in by itself.

use serde_json::json;

use super::{PORTAL, connected, contact, cook, mappings, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_added_field_fills_as_its_records_change_and_not_before() {
    let (world, connection) = connected().await;
    let ana = user(&world, "ana@example.com").await;
    let known = [
        ("email", "ana@example.com"),
        ("jobtitle", "Cook"),
        ("phone", "1"),
        ("state", "Rhône"),
    ];
    let id = contact(&world, &known).await;
    let mut wider = mappings();
    let fields = wider["contacts"]["fields"].as_array_mut().unwrap();
    fields.push(json!({"property": "phone", "variable": "phone"}));
    fields.push(json!({"property": "state", "variable": "state"}));
    world.map(&connection, wider).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    let account = world.account(PORTAL);
    account.patch("contacts", id, &[("phone", "2")]).unwrap();
    world.settle().await;
    // The event carries its value alone; nothing was read.
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "Cook", "phone": "2"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_a_field_was_mapped_never_shows() {
    let (world, connection, ana, id) = cook().await;
    world
        .sim
        .subscribe("contact.propertyChange", Some("phone"))
        .unwrap();
    world.sim.set_webhooks(|webhooks| webhooks.hold = true);
    world
        .account(PORTAL)
        .patch("contacts", id, &[("phone", "1")])
        .unwrap();
    world.clock.turn(std::time::Duration::from_secs(1));
    let mut wider = mappings();
    let fields = wider["contacts"]["fields"].as_array_mut().unwrap();
    fields.push(json!({"property": "phone", "variable": "phone"}));
    world.map(&connection, wider).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_match_make_no_user_and_leave_no_value() {
    let (world, connection) = connected().await;
    user(&world, "ana@example.com").await;
    contact(&world, &[("email", "ben@example.com"), ("jobtitle", "Spy")]).await;
    let listed = world.get("/users").await.good();
    assert_eq!(listed["users"].as_array().unwrap().len(), 1);
    let held = world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    assert!(
        held["counts"]["skipped"]["no_match"].as_i64().unwrap() >= 1,
        "{held:#}"
    );
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        // The log has what HubSpot sent, for its bounded time.
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("store")
        {
            kept.extend(std::fs::read(path).unwrap());
        }
    }
    assert!(!kept.is_empty());
    for text in ["ben@example.com", "Spy"] {
        let found = kept.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!found, "{text} of somebody who is no user");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_mapped_is_never_touched() {
    let (world, _) = connected().await;
    world
        .post("/variables", json!({"name": "plan", "type": "text"}))
        .await
        .good();
    let own = json!([{"email": "ana@example.com", "name": "Ana", "variables": {"plan": "gold"}}]);
    let ana = world.put_users(own).await.remove(0);
    let known = [
        ("email", "ana@example.com"),
        ("firstname", "Anastasia"),
        ("jobtitle", "Cook"),
    ];
    let id = contact(&world, &known).await;
    world.account(PORTAL).delete("contacts", id).unwrap();
    world.settle().await;
    let held = world.user(&ana).await;
    assert_eq!(held["name"], "Ana");
    assert_eq!(world.values(&ana).await, json!({"plan": "gold"}));
}
