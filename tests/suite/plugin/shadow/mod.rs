//! A version that is compared with the active one, beside it: what it would change is
//! told with whose it is, nothing of it is applied, nothing waits for it, and nothing
//! is kept of whoever is erased.

mod comparing;
mod examples;

use std::time::{Duration, Instant};

use harness::{answer::Answer, caller::Caller, world::World};
use jimo_connect::host::Host;
use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take: a candidate that spins is given up on after a while,
/// and rests four times as long.
const PATIENCE: Duration = Duration::from_secs(120);

const PORTAL: u64 = 48_975_575;

/// What an operator does with shadows.
struct Operator(Caller);

impl Operator {
    async fn of(host: &Host) -> Self {
        Self(Caller::operator(host).await)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.0.request(method, &format!("/plugins{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::of(request).await;
        (answer.status, answer.json)
    }

    /// Installs a component; returns its digest.
    async fn install(&self, component: Vec<u8>) -> String {
        self.0.install(component).await
    }

    async fn activate(&self, digest: &str, force: bool) -> (u16, Value) {
        let answer = self.0.activate(digest, json!({ "force": force })).await;
        (answer.status, answer.json)
    }

    async fn start(&self, digest: &str) -> Value {
        let path = format!("/{digest}/shadow");
        let (status, shadow) = self.send(Method::POST, &path, Some(json!({}))).await;
        assert_eq!(status, 202, "{shadow}");
        shadow
    }

    async fn shadow(&self, digest: &str) -> Value {
        let path = format!("/{digest}/shadow");
        let (status, shadow) = self.send(Method::GET, &path, None).await;
        assert_eq!(status, 200, "{shadow}");
        shadow
    }

    async fn has_shadow(&self, digest: &str) -> bool {
        let path = format!("/{digest}/shadow");
        self.send(Method::GET, &path, None).await.0 == 200
    }

    /// Waits until something is true of a shadow.
    async fn until(&self, digest: &str, is_true: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let shadow = self.shadow(digest).await;
            if is_true(&shadow) {
                return shadow;
            }
            assert!(began.elapsed() < PATIENCE, "{shadow:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has a version shadow, and waits until it has compared so many entries.
    async fn shadowed(&self, digest: &str, entries: u64) -> Value {
        self.start(digest).await;
        self.until(digest, |shadow| {
            !shadow["caught_up_at"].is_null() && shadow["compared"]["entries"] == entries
        })
        .await
    }
}

/// How often versions differed in a way.
fn count(shadow: &Value, kind: &str) -> u64 {
    let differences = shadow["differences"].as_array().unwrap().iter();
    let of_kind = differences.filter(|one| one["kind"] == kind);
    of_kind.map(|one| one["count"].as_u64().unwrap()).sum()
}

fn examples<'a>(shadow: &'a Value, kind: &str) -> Vec<&'a Value> {
    let examples = shadow["examples"].as_array().unwrap().iter();
    examples.filter(|one| one["kind"] == kind).collect()
}

/// An event that no version of the misbehaving plugin has trouble with.
fn well(record: u64) -> String {
    format!(r#"[{{"portalId":1,"objectId":{record}}}]"#)
}

/// A creation of a record, as HubSpot tells of it.
fn created(record: u64) -> String {
    format!(
        r#"[{{"portalId":1,"objectId":{record},"subscriptionType":"contact.creation",
             "occurredAt":1}}]"#
    )
}

/// One on which a version does what it always does.
fn as_always(record: u64) -> String {
    format!(r#"[{{"portalId":1,"objectId":{record},"misbehave":"as always"}}]"#)
}

/// A user whom a contact feeds: its connection's id, the user's, the contact's.
async fn ana(world: &World) -> (String, String, u64) {
    let connection = world.connect(PORTAL).await;
    let ids = world.put_users(json!([{"email": "ana@example.com"}])).await;
    let titled = json!({"property": "jobtitle", "variable": "job_title"});
    world
        .map(&connection, json!({"contacts": {"fields": [titled]}}))
        .await;
    let contact = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = world.account(PORTAL).create("contacts", &contact).unwrap();
    world.settle().await;
    let user = ids[0].clone();
    assert_eq!(world.values(&user).await, json!({"job_title": "Cook"}));
    (connection, user, contact)
}
