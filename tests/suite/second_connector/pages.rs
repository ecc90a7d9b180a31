//! Its pages, as an admin goes through them.

use harness::{caller::Caller, components, webhook};
use jimo_connect::{model::Value, store::projects::Role};
use reqwest::{StatusCode, header};
use serde_json::json;

use super::person;
use crate::pages::world::{Browser, World, hidden};

const LIST: &str = "/settings/integrations";
const CONNECT: &str = "/settings/integrations/connect/webhook";

/// Has the host run the connector, as an operator does over the API.
async fn run_connector(world: &World) {
    let operator = Caller::operator(&world.host).await;
    let digest = operator.install(components::webhook()).await;
    operator.activate(&digest, json!({})).await.good();
}

async fn post(browser: &Browser<'_>, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
    let csrf = browser.csrf().await;
    let form: Vec<_> = std::iter::once(("csrf", csrf.as_str()))
        .chain(form.iter().copied())
        .collect();
    browser.post(path, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_connects_it_by_its_key_maps_it_and_sees_where_values_come_from() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    assert!(!admin.page(LIST).await.contains("JSON webhook"));
    assert_eq!(admin.get(CONNECT).await.status(), StatusCode::NOT_FOUND);
    run_connector(&world).await;
    let list = admin.page(LIST).await;
    assert!(list.contains("JSON webhook"), "{list}");
    assert!(list.contains(&format!("href=\"{CONNECT}\"")), "{list}");

    let page = admin.page(CONNECT).await;
    assert!(page.contains("Connection key"), "{page}");
    let wrong = [("account", "acme"), ("key", "0000")];
    let refused = post(&admin, CONNECT, &wrong).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("not the key of that account"), "{refused}");
    assert!(refused.contains("value=\"acme\""), "{refused}");
    let key = webhook::connection_key("acme");
    let right = [("account", "acme"), ("key", key.as_str())];
    let viewer = world.sign_in(Role::Viewer).await;
    let not_theirs = post(&viewer, CONNECT, &right).await;
    assert_eq!(not_theirs.status(), StatusCode::FORBIDDEN);
    let connected = post(&admin, CONNECT, &right).await;
    assert_eq!(connected.status(), StatusCode::SEE_OTHER);
    let home = connected.headers()[header::LOCATION].to_str().unwrap();
    assert_eq!(home, "/settings/integrations/con_2");

    for (rest, said) in [
        ("", "JSON webhook integration"),
        ("/matching", "Property in JSON webhook"),
        ("/fields", "Synced fields"),
        ("/health", "How long a change in JSON webhook takes"),
        ("/activity", "Activity"),
        ("/alerts", "Alerts"),
        ("/delete", "JSON webhook"),
    ] {
        let page = admin.page(&format!("{home}{rest}")).await;
        assert!(page.contains(said), "{rest}: {page}");
        let main = page.split_once("<main").map_or("", |(_, main)| main);
        assert!(!main.contains("HubSpot"), "{rest}: {page}");
        assert!(!main.contains(&format!("href=\"{home}/syncs\"")), "{rest}");
        assert!(!main.contains("Reconnect"), "{rest}: {page}");
    }

    // How many users it would match nobody can count; it can be used all the same.
    let check = format!("{home}/matching/check?object_type=people");
    let checked = admin.page(&check).await;
    for said in ["E-mail in JSON webhook is Email in Jimo", "Use this"] {
        assert!(checked.contains(said), "{said}: {checked}");
    }
    let version = hidden(&checked, "version");
    let matching = [
        ("object_type", "people"),
        ("way", "own"),
        ("property", "email"),
        ("user", "email"),
        ("version", version),
    ];
    let saved = post(&admin, &format!("{home}/matching"), &matching).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    let form = [
        ("object_type", "people"),
        ("property", "seats"),
        ("variable", "seats"),
    ];
    let added = post(&admin, &format!("{home}/fields/add"), &form).await;
    assert_eq!(added.status(), StatusCode::SEE_OTHER);
    let review = admin.page(&format!("{home}/fields/review")).await;
    let form = [
        ("version", hidden(&review, "version")),
        ("draft", hidden(&review, "draft")),
        ("values", "keep"),
    ];
    let saved = post(&admin, &format!("{home}/fields/review"), &form).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);

    let said = json!({"email": "ana@northwind.example", "seats": 12});
    let url = world.url("/webhooks/webhook");
    let pushed = webhook::push(url.as_str(), &json!([person("p-1", 1, said)])).await;
    assert_eq!(pushed, 204);
    world.wait_for("seats").await;
    let ana = world.ana;
    let values = world.host.store.read(move |tx| tx.profile(ana));
    let values = values.await.unwrap();
    let seats = values
        .iter()
        .find(|value| value.variable == "seats")
        .unwrap();
    assert_eq!(seats.value, Value::Number(12.0));
    let profile = admin.page(&format!("/users/{ana}")).await;
    assert!(profile.contains("JSON webhook · Person p-1"), "{profile}");
    let activity = admin.page(&format!("{home}/activity")).await;
    assert!(activity.contains("p-1"), "{activity}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_connected_once_however_often_it_is_pressed() {
    let world = World::new().await;
    let admin = world.sign_in(Role::Admin).await;
    run_connector(&world).await;
    let page = admin.page(CONNECT).await;
    let (_, action) = page.split_once(&format!("action=\"{CONNECT}?")).unwrap();
    let marked = format!("{CONNECT}?{}", action.split('"').next().unwrap());
    let key = webhook::connection_key("acme");
    let csrf = admin.csrf().await;
    let form = [("csrf", csrf.as_str()), ("account", "acme"), ("key", &key)];
    let press = async || {
        let answer = admin.post(&marked, &form).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(
            answer.headers()[header::LOCATION],
            "/settings/integrations/con_2"
        );
    };
    tokio::join!(press(), press());
}
