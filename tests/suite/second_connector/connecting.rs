//! How an account of it is connected and ended, and who may deliver.

use harness::webhook;
use jimo_connect::clock::Clock;
use serde_json::{Value, json};

use super::{ACCOUNT, Pushed, person, seats};

#[tokio::test]
async fn an_account_is_connected_by_its_own_key_alone() {
    let pushed = Pushed::start().await;
    for key in [
        String::new(),
        "not a key".to_owned(),
        webhook::connection_key("globex"),
    ] {
        let refused = pushed.try_connect(ACCOUNT, &key).await;
        assert_eq!(refused.status, 422, "{:#}", refused.json);
        assert_eq!(refused.json["errors"][0]["pointer"], "/key");
    }
    let connections = pushed.world.get("/connections").await.good();
    assert_eq!(connections["connections"], json!([]));
    for (body, pointer) in [
        (json!({"connector": "webhook"}), "/account"),
        (json!({"connector": "webhook", "account": "acme"}), "/key"),
        (
            json!({"connector": "webhook", "account": " ", "key": "k"}),
            "/account",
        ),
        (
            json!({"connector": "other", "account": "acme", "key": "k"}),
            "/connector",
        ),
        (
            json!({"connector": "hubspot", "account": "acme"}),
            "/account",
        ),
    ] {
        let refused = pushed.world.post("/connections", body).await;
        assert_eq!(refused.status, 422, "{:#}", refused.json);
        assert_eq!(refused.json["errors"][0]["pointer"], pointer);
    }

    let connection = pushed.connect(ACCOUNT).await;
    let shown = pushed
        .world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    assert_eq!(shown["connector"], "webhook");
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["account"]["id"], ACCOUNT);
    let key = webhook::connection_key(ACCOUNT);
    assert_eq!(pushed.try_connect(ACCOUNT, &key).await.status, 409);
}

#[tokio::test]
async fn a_delivery_without_a_good_signature_of_now_is_refused() {
    let (pushed, _) = Pushed::mapped().await;
    let body = json!([person("p-1", 1, json!({}))])
        .to_string()
        .into_bytes();
    let now = Clock::system().now().0 / 1_000;
    let send = async |url: &str, seconds: i64, signature: &str| {
        webhook::send(url, "msg_1", seconds, signature, body.clone()).await
    };
    let good = webhook::signature("msg_1", now, &body);
    let url = pushed.url();
    assert_eq!(send(&url, now, &good).await, 204);
    assert_eq!(
        send(&url, now, &webhook::signature("msg_2", now, &body)).await,
        401
    );
    assert_eq!(
        send(&url, now, &webhook::signature("msg_1", now, b"[]")).await,
        401
    );
    for late in [-400, 400] {
        let signed = webhook::signature("msg_1", now + late, &body);
        assert_eq!(send(&url, now + late, &signed).await, 401);
    }
    let unsigned = harness::bare::client().post(&url).body(body.clone());
    assert_eq!(unsigned.send().await.unwrap().status().as_u16(), 401);
    // Of a connector that no secret is set for, and in HubSpot's name.
    for name in ["other", "hubspot"] {
        let url = pushed.world.host().url(&format!("/webhooks/{name}"));
        assert_eq!(send(url.as_str(), now, &good).await, 401);
    }
    let no_json = b"hello".to_vec();
    let signed = webhook::signature("msg_1", now, &no_json);
    let sent = webhook::send(&url, "msg_1", now, &signed, no_json).await;
    assert_eq!(sent, 400);
}

#[tokio::test]
async fn its_properties_and_types_are_those_that_the_component_defines() {
    let pushed = Pushed::start().await;
    let connection = pushed.connect(ACCOUNT).await;
    let path = format!("/connections/{connection}");
    let types = pushed
        .world
        .get(&format!("{path}/object-types"))
        .await
        .good();
    assert_eq!(types[0]["name"], "people");
    assert_eq!(types[1]["label"], "Workspaces");
    let properties = format!("{path}/properties?object_type=people");
    let properties = pushed.world.get(&properties).await.good();
    let plan = properties
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "plan")
        .unwrap();
    assert_eq!(plan["label"], "Plan");
    assert_eq!(plan["group"], "Subscription");
    assert_eq!(
        plan["options"][1],
        json!({"value": "team", "label": "Team"})
    );
    assert_eq!(plan["labels"]["available"], true);
    assert_eq!(plan["suggested_variable_type"], "text");
    let unknown = json!({"people": {"fields": [{"property": "nonsense", "variable": "v"}]}});
    let refused = pushed.world.put(&format!("{path}/mappings"), unknown).await;
    assert_eq!(refused.status, 422, "{:#}", refused.json);
}

#[tokio::test]
async fn nothing_can_be_synced_previewed_or_consented_to() {
    let (pushed, connection) = Pushed::mapped().await;
    let path = format!("/connections/{connection}");
    for (call, body) in [
        ("syncs", json!({"kind": "full"})),
        ("syncs", json!({"kind": "catch_up"})),
        ("syncs/estimate", json!({"kind": "full"})),
        ("mappings/preview", json!({"people": {}})),
        ("reconnect", json!({})),
    ] {
        let refused = pushed.world.post(&format!("{path}/{call}"), body).await;
        assert_eq!(refused.status, 409, "{call} {:#}", refused.json);
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(detail.contains("push"), "{call}: {detail}");
    }
    let shown = pushed.world.get(&path).await.good();
    assert_eq!(shown["budget"], Value::Null);
    let ways: Vec<&str> = shown["live"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["way"].as_str().unwrap())
        .collect();
    assert_eq!(ways, ["webhooks"], "{shown:#}");
}

#[tokio::test]
async fn an_ended_connection_keeps_its_values_as_jimos_own_and_takes_nothing_more() {
    let (pushed, connection) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    pushed.push(json!([seats(1, 3)])).await;
    let ended = pushed
        .world
        .delete(&format!("/connections/{connection}"))
        .await;
    assert_eq!(ended.status, 204);
    pushed.push(json!([seats(2, 4)])).await;
    let user = pushed.world.user_by_email("ana@example.com").await;
    assert_eq!(user["variables"]["seats"]["value"], 3.0);
    assert_eq!(user["variables"]["seats"]["source"]["kind"], "jimo");
    // It can be connected again.
    pushed.connect(ACCOUNT).await;
}
