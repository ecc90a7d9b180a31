//! Two connectors' accounts with one key are two accounts.

use serde_json::{Value, json};

use super::{Pushed, person};

/// A HubSpot portal; somebody names an account of the other source so, too.
const PORTAL: u64 = 48_975_575;

/// [`person`], of the account with that name.
fn namesake(id: &str, minute: u32, properties: Value) -> Value {
    let mut person = person(id, minute, properties);
    person["workspace"] = json!(PORTAL.to_string());
    person
}

#[tokio::test]
async fn accounts_of_two_connectors_with_one_key_never_mix() {
    let pushed = Pushed::start().await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let of_hubspot = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&of_hubspot, json!({"contacts": {"fields": fields}}))
        .await;
    let of_webhook = pushed.connect(&PORTAL.to_string()).await;
    pushed.map(&of_webhook).await;

    let account = world.account(PORTAL);
    let contact = account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    let said = json!({"email": "ana@example.com", "seats": 3});
    pushed
        .push(json!([namesake(&contact.to_string(), 1, said)]))
        .await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["job_title"], &values["seats"]),
        (&json!("Cook"), &json!(3))
    );
    let aside = pushed.set_aside().await;
    assert!(aside.is_empty(), "{aside:?}");

    // What is erased in one says nothing of the other.
    account.erase("contacts", contact).unwrap();
    world.settle().await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["job_title"], &values["seats"]),
        (&Value::Null, &json!(3))
    );
    let said = json!({"seats": 4});
    pushed
        .push(json!([namesake(&contact.to_string(), 2, said)]))
        .await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 4.0);
    let logged = world
        .host()
        .log
        .read(jimo_connect::log::Position(0), 100, usize::MAX)
        .await
        .unwrap();
    let kept = logged.iter().filter(|entry| entry.connector == "webhook");
    assert!(kept.clone().count() == 2, "{logged:?}");
    assert!(kept.clone().all(|entry| entry.body.len() > 2), "{logged:?}");

    // What is set aside goes with its own account.
    let mut bad = namesake("p-9", 1, json!({}));
    bad["updated_at"] = json!("yesterday");
    pushed.push(json!([bad])).await;
    assert_eq!(pushed.set_aside().await.len(), 1);
    let ended = world.delete(&format!("/connections/{of_hubspot}")).await;
    assert_eq!(ended.status, 204);
    assert_eq!(pushed.set_aside().await.len(), 1);
    pushed
        .push(json!([namesake(
            &contact.to_string(),
            3,
            json!({"seats": 5})
        )]))
        .await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 5.0);
    let ended = world.delete(&format!("/connections/{of_webhook}")).await;
    assert_eq!(ended.status, 204);
    assert_eq!(pushed.set_aside().await.len(), 0);
}

#[tokio::test]
async fn an_account_with_the_same_key_elsewhere_keeps_nobody_from_hubspot() {
    let pushed = Pushed::start().await;
    let world = &pushed.world;
    pushed.connect(&PORTAL.to_string()).await;
    let of_hubspot = world.connect(PORTAL).await;
    let path = format!("/connections/{of_hubspot}/reconnect");
    let begun = world.post(&path, json!({})).await.good();
    let page = world.consent(&begun, PORTAL).await;
    assert_eq!(world.confirm(&page).await.0, 200);
}

#[tokio::test]
async fn a_source_that_pushes_much_while_others_are_at_work_is_answered_at_once() {
    let pushed = Pushed::start().await;
    pushed.push(json!([person("p-1", 1, json!({}))])).await;
    pushed.push(json!([namesake("p-1", 1, json!({}))])).await;
    assert!(pushed.world.host().pipeline.is_shared());
    // Of HubSpot the answer would wait.
    let much = "x".repeat(4 << 20);
    pushed
        .push(json!([person("p-1", 2, json!({"plan": much}))]))
        .await;
    let metrics = pushed.metrics().await;
    assert!(metrics.contains("answers_paced_total 0\n"), "{metrics}");
}
