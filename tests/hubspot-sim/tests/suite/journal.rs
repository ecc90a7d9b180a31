//! The webhooks journal: subscriptions of accounts, and files that lead to one another.

use std::time::Duration;

use hubspot_sim::Link;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, PORTAL, World, answer};

const SCOPES: &str = "developer.webhooks_journal.read developer.webhooks_journal.subscriptions.read developer.webhooks_journal.subscriptions.write";
const JOURNAL: &str = "/webhooks-journal/journal/2026-09";

struct App<'a> {
    world: &'a World,
    token: String,
}

impl<'a> App<'a> {
    async fn new(world: &'a World) -> Self {
        let app = world.sim.app();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &app.client_id),
            ("client_secret", &app.client_secret),
            ("scope", SCOPES),
        ];
        let address = format!("{}/oauth/2026-09/token", world.sim.url());
        let issued = answer(world.http.post(address).form(&form)).await;
        Self {
            world,
            token: issued.body["access_token"].as_str().unwrap().to_owned(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let address = format!("{}{path}", self.world.sim.url());
        let request = self.world.http.request(method, address);
        let request = request.bearer_auth(&self.token);
        match body {
            Some(body) => answer(request.json(&body)).await,
            None => answer(request).await,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn subscribe(&self, kind: &str, type_id: &str, actions: &[&str], properties: &[&str]) {
        let body = json!({
            "subscriptionType": kind, "portalId": PORTAL, "objectTypeId": type_id,
            "actions": actions, "properties": properties,
        });
        let path = "/webhooks-journal/subscriptions/2026-09";
        let made = self.call(Method::POST, path, Some(body)).await;
        assert_eq!(made.status, 200, "{}", made.body);
    }

    /// The events of the file that an entry points to.
    async fn file(&self, entry: &Answer) -> Vec<Value> {
        let url = entry.body["url"].as_str().unwrap();
        let file = answer(self.world.http.get(url)).await;
        assert_eq!(file.body["offset"], entry.body["currentOffset"]);
        file.body["journalEvents"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn each_file_leads_to_the_next_until_there_is_none() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let earliest = format!("{JOURNAL}/earliest");
    assert_eq!(app.get(&earliest).await.status, 204);
    app.subscribe("OBJECT", "0-1", &["CREATE", "UPDATE"], &["email", "city"])
        .await;
    let ana = world
        .account
        .create("contacts", &[("email", "ana@example.com"), ("phone", "1")])
        .unwrap();
    let first = app.get(&earliest).await;
    let events = app.file(&first).await;
    assert_eq!(
        events,
        [json!({
            "type": "crmObject", "portalId": PORTAL, "occurredAt": "2026-09-21T14:13:20Z",
            "action": "CREATE", "objectTypeId": "0-1", "objectId": ana,
            "propertyChanges": {"email": "ana@example.com"},
        })]
    );
    let offset = first.body["currentOffset"].as_str().unwrap();
    let next = format!("{JOURNAL}/offset/{offset}/next");
    assert_eq!(app.get(&next).await.status, 204);
    world
        .account
        .patch("contacts", ana, &[("city", "Lyon"), ("phone", "2")])
        .unwrap();
    let second = app.file(&app.get(&next).await).await;
    assert_eq!(second[0]["action"], "UPDATE");
    assert_eq!(second[0]["propertyChanges"], json!({"city": "Lyon"}));
    // Another account's journal has none of it.
    let local = "/webhooks-journal/journal-local/2026-09/earliest?installPortalId=1";
    assert_eq!(app.get(local).await.status, 204);
    world.sim.turn(Duration::from_secs(3 * 86_400 + 1));
    let app = App::new(&world).await;
    assert_eq!(app.get(&next).await.status, 404);
}

#[tokio::test]
async fn merges_associations_and_uninstalls_are_told_of() {
    let world = World::new().await;
    let app = App::new(&world).await;
    app.subscribe("OBJECT", "0-2", &["DELETE", "MERGE"], &[])
        .await;
    let both = ["ASSOCIATION_ADDED", "ASSOCIATION_REMOVED"];
    app.subscribe("ASSOCIATION", "0-1", &both, &[]).await;
    let life = json!({"subscriptionType": "APP_LIFECYCLE_EVENT", "eventTypeId": "4-1916193"});
    let path = "/webhooks-journal/subscriptions/2026-09";
    app.call(Method::POST, path, Some(life)).await;
    let account = &world.account;
    let one = account.create("companies", &[]).unwrap();
    let two = account.create("companies", &[]).unwrap();
    let ana = account.create("contacts", &[]).unwrap();
    account
        .associate(("contacts", ana), ("companies", one), Link::Plain)
        .unwrap();
    let into = account.merge("companies", one, two).unwrap();
    account.uninstall();
    let events = app.file(&app.get(&format!("{JOURNAL}/latest")).await).await;
    let actions: Vec<&str> = events
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "ASSOCIATION_ADDED",
            "ASSOCIATION_ADDED",
            "DELETE",
            "DELETE",
            "MERGE",
            "APP_UNINSTALL"
        ]
    );
    assert_eq!(events[0]["toObjectId"], one);
    assert_eq!(events[4]["objectId"], into);
    assert_eq!(events[4]["mergedObjectIds"], json!([one, two]));
}

#[tokio::test]
async fn a_file_needs_its_sealed_address_and_takes_no_token() {
    let world = World::new().await;
    let app = App::new(&world).await;
    app.subscribe("OBJECT", "0-1", &["CREATE"], &[]).await;
    world.account.create("contacts", &[]).unwrap();
    let entry = app.get(&format!("{JOURNAL}/earliest")).await;
    let url = entry.body["url"].as_str().unwrap();
    let with_token = world.http.get(url).bearer_auth(&app.token);
    assert_eq!(answer(with_token).await.status, 400);
    world.sim.turn(Duration::from_secs(900));
    assert_eq!(answer(world.http.get(url)).await.status, 403);
    // An account's token is not the app's.
    let mine = world.get(&format!("{JOURNAL}/earliest")).await;
    assert_eq!(mine.status, 401);
    world.sim.set_api(|knobs| knobs.journal_refused = true);
    let refused = app.get(&format!("{JOURNAL}/earliest")).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn files_are_read_in_batches_from_either_end_or_an_offset() {
    let world = World::new().await;
    let app = App::new(&world).await;
    app.subscribe("OBJECT", "0-1", &["CREATE"], &[]).await;
    let latest = format!("{JOURNAL}/latest");
    let mut offsets = Vec::new();
    for _ in 0..3 {
        world.account.create("contacts", &[]).unwrap();
        // What waits is published when the journal is read.
        let entry = app.get(&latest).await;
        offsets.push(entry.body["currentOffset"].as_str().unwrap().to_owned());
    }
    for (path, expected) in [
        ("earliest/2".to_owned(), &offsets[..2]),
        ("latest/2".to_owned(), &offsets[1..]),
        (format!("{}/next/100", offsets[0]), &offsets[1..]),
    ] {
        let batch = app.get(&format!("{JOURNAL}/batch/{path}")).await;
        let found: Vec<&Value> = batch.body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| &entry["currentOffset"])
            .collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{path}");
    }
    let none = app.get(&format!("{JOURNAL}/batch/earliest/0")).await;
    assert_eq!(none.status, 400);
}

#[tokio::test]
async fn subscriptions_end_one_by_one_or_with_their_account() {
    let world = World::new().await;
    let app = App::new(&world).await;
    for type_id in ["0-1", "0-2", "0-3"] {
        app.subscribe("OBJECT", type_id, &["CREATE"], &[]).await;
    }
    let all = "/webhooks-journal/subscriptions/2026-09";
    let held = async || {
        app.get(all).await.body["results"]
            .as_array()
            .unwrap()
            .clone()
    };
    let first = held().await[0].clone();
    let one = format!("{all}/{}", first["id"]);
    assert_eq!(app.get(&one).await.body, first);
    assert_eq!(app.call(Method::DELETE, &one, None).await.status, 204);
    assert_eq!(app.get(&one).await.status, 404);
    assert_eq!(held().await.len(), 2);
    let account = format!("{all}/portals/{PORTAL}");
    assert_eq!(app.call(Method::DELETE, &account, None).await.status, 204);
    assert!(held().await.is_empty());
}
