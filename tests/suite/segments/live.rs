//! Membership follows what changes in HubSpot.

use harness::world::World;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

async fn segments(world: &World, user: &str) -> Value {
    world.user(user).await["segments"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_enters_and_leaves_segments_as_hubspot_changes() {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let ids = world
        .put_users(json!([{"email": "ana@example.com"}, {"email": "bo@example.com"}]))
        .await;
    let fields = json!([
        {"property": "jobtitle", "variable": "job_title"},
        {"property": "lifecyclestage", "variable": "stage"},
    ]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let make = async |name: &str, conditions: Value| {
        let body = json!({"name": name, "conditions": conditions});
        let made = world.post("/segments", body).await;
        made.json["id"].as_str().unwrap().to_owned()
    };
    let cooks = make(
        "Cooks",
        json!({"variable": "job_title", "operator": "contains", "value": "cook"}),
    )
    .await;
    let customers = make(
        "Cooks who are customers",
        json!({"all": [{"segment": cooks}, {"variable": "stage", "operator": "is", "value": "customer"}]}),
    )
    .await;
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Head Cook")];
    let contact = account.create("contacts", &values).unwrap();
    world.settle().await;
    assert_eq!(segments(&world, &ids[0]).await, json!([cooks]));
    assert_eq!(segments(&world, &ids[1]).await, json!([]));

    let patch = |values: &[(&str, &str)]| account.patch("contacts", contact, values).unwrap();
    patch(&[("lifecyclestage", "customer")]);
    world.settle().await;
    assert_eq!(segments(&world, &ids[0]).await, json!([cooks, customers]));
    let listed = world
        .get(&format!("/users?segment={customers}"))
        .await
        .good();
    assert_eq!(listed["users"][0]["id"], ids[0]);

    patch(&[("jobtitle", "Waiter")]);
    world.settle().await;
    assert_eq!(segments(&world, &ids[0]).await, json!([]));
    patch(&[("jobtitle", "Cook")]);
    world.settle().await;
    assert_eq!(segments(&world, &ids[0]).await, json!([cooks, customers]));

    // With the field, its values go, and with them who was found by them.
    let path = format!("/connections/{connection}/mappings?removed=clear");
    let fields = json!([{"property": "lifecyclestage", "variable": "stage"}]);
    world
        .put(&path, json!({"contacts": {"fields": fields}}))
        .await
        .good();
    assert_eq!(segments(&world, &ids[0]).await, json!([]));
    let listed = world.get(&format!("/users?segment={cooks}")).await.good();
    assert_eq!(listed["users"], json!([]));
    let found = "SELECT count(*) FROM sought_values";
    world.until(async || world.count(found) == 1).await;
    world.delete(&format!("/users/{}", ids[0])).await;
    assert_eq!(world.count(found), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_their_record_is_found_by_its_values_no_more() {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let ids = world.put_users(json!([{"email": "ana@example.com"}])).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let rule = json!({"variable": "job_title", "operator": "contains", "value": "cook"});
    let body = json!({"name": "Cooks", "conditions": rule});
    let made = world.post("/segments", body).await;
    let path = format!("/users?segment={}", made.json["id"].as_str().unwrap());
    let found = async || {
        let listed = world.get(&path).await.good()["users"].clone();
        let sought = world.count("SELECT count(*) FROM sought_values");
        (listed.as_array().unwrap().len(), sought)
    };
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = account.create("contacts", &values).unwrap();
    world.settle().await;
    assert_eq!(found().await, (1, 1));
    // She is another's contact, then her own again, and then nobody's.
    let email = |email: &str| account.patch("contacts", contact, &[("email", email)]);
    email("somebody@example.com").unwrap();
    world.settle().await;
    assert_eq!(found().await, (0, 0));
    email("ana@example.com").unwrap();
    world.settle().await;
    assert_eq!(found().await, (1, 1));
    account.delete("contacts", contact).unwrap();
    world.settle().await;
    assert_eq!(found().await, (0, 0));
    assert_eq!(segments(&world, &ids[0]).await, json!([]));
}
