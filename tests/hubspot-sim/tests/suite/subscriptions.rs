//! The webhook management API, with the developer's key.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World, answer};

async fn call(world: &World, method: Method, path: &str, body: Option<Value>) -> Answer {
    let app = world.sim.app();
    let base = format!("{}/webhooks/v3/{}", world.sim.url(), app.id);
    let request = world.http.request(method, format!("{base}{path}"));
    let request = request.query(&[("hapikey", &app.developer_key)]);
    match body {
        Some(body) => answer(request.json(&body)).await,
        None => answer(request).await,
    }
}

#[tokio::test]
async fn only_the_apps_developer_may_manage_its_webhooks() {
    let world = World::new().await;
    let app = world.sim.app();
    let settings = |app: u64, key: &str| {
        let address = format!("{}/webhooks/v3/{app}/settings", world.sim.url());
        answer(world.http.get(address).query(&[("hapikey", key)]))
    };
    let stranger = settings(app.id, "another").await;
    assert_eq!(stranger.status, 401);
    assert_eq!(stranger.body["category"], "INVALID_AUTHENTICATION");
    assert_eq!(settings(app.id + 1, &app.developer_key).await.status, 404);
    // Nothing is set yet.
    assert_eq!(settings(app.id, &app.developer_key).await.status, 404);
    let body = json!({
        "targetUrl": "https://example.com/hook",
        "throttling": {"maxConcurrentRequests": 20, "period": "SECONDLY"},
    });
    let set = call(&world, Method::PUT, "/settings", Some(body)).await;
    assert_eq!(set.body["targetUrl"], "https://example.com/hook");
    assert_eq!(set.body["throttling"]["maxConcurrentRequests"], 20);
    let cleared = call(&world, Method::DELETE, "/settings", None).await;
    assert_eq!(cleared.status, 204);
    assert_eq!(settings(app.id, &app.developer_key).await.status, 404);
}

#[tokio::test]
async fn a_subscription_is_made_changed_and_ended() {
    let world = World::new().await;
    let wanted = json!({"eventType": "contact.propertyChange", "propertyName": "email"});
    let made = call(&world, Method::POST, "/subscriptions", Some(wanted)).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.body["active"], false);
    let one = format!("/subscriptions/{}", made.body["id"].as_str().unwrap());
    let active = json!({"active": true});
    let changed = call(&world, Method::PATCH, &one, Some(active)).await;
    assert_eq!(changed.body["active"], true);
    assert_eq!(
        call(&world, Method::GET, &one, None).await.body,
        changed.body
    );
    let id: u64 = made.body["id"].as_str().unwrap().parse().unwrap();
    let batch = json!({"inputs": [{"id": id, "active": false}]});
    let path = "/subscriptions/batch/update";
    let answer = call(&world, Method::POST, path, Some(batch)).await;
    assert_eq!(answer.body["results"][0]["active"], false);
    let listed = call(&world, Method::GET, "/subscriptions", None).await;
    assert_eq!(listed.body["results"], json!([made.body]));
    assert_eq!(call(&world, Method::DELETE, &one, None).await.status, 204);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(call(&world, method, &one, None).await.status, 404);
    }
}
