//! A connection as it changes, over the API.

use std::time::Duration;

use jimo_connect::store::projects::Role;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{Fed, PORTAL};

/// How long anything may take that should happen within a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Server-sent events as they come.
struct Events {
    answer: Response,
    text: String,
    /// Comments that came: nothing had to be said.
    comments: usize,
}

impl Events {
    async fn open(fed: &Fed, token: &str, after: Option<&str>) -> Self {
        let url = fed.world.host().url(&fed.world.path(&fed.path("/events")));
        let client = Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(url).bearer_auth(token);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self {
            answer,
            text: String::new(),
            comments: 0,
        }
    }

    /// The next event: its name, its id and its data; none at the end.
    async fn next(&mut self) -> Option<(String, Option<String>, Value)> {
        let next = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.text = rest;
                    self.comments += usize::from(event.starts_with(':'));
                    let of = |name: &str| {
                        let found = event.lines().find_map(|line| line.strip_prefix(name));
                        found.map(str::to_owned)
                    };
                    if let (Some(name), Some(data)) = (of("event: "), of("data: ")) {
                        let data = serde_json::from_str(&data).unwrap();
                        return Some((name, of("id: "), data));
                    }
                } else {
                    let chunk = self.answer.chunk().await.ok().flatten()?;
                    self.text.push_str(std::str::from_utf8(&chunk).unwrap());
                }
            }
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .expect("an event or the end")
    }

    /// The next event of a name that is as it should be.
    async fn until(
        &mut self,
        name: &str,
        is_right: impl Fn(&Value) -> bool,
    ) -> (Option<String>, Value) {
        loop {
            let (found, id, data) = self.next().await.expect("an event");
            if found == name && is_right(&data) {
                return (id, data);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_progress_activity_and_freshness_are_told_as_they_change() {
    let fed = Fed::start().await;
    let mut events = Events::open(&fed, &fed.world.token, None).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(events.next().await.unwrap().0);
    }
    assert_eq!(first, ["status", "freshness", "progress"]);

    let account = fed.world.account(PORTAL);
    account
        .patch("contacts", fed.contact, &[("jobtitle", "Chef")])
        .unwrap();
    let (id, line) = events
        .until("activity", |line| line["outcome"] == "updated")
        .await;
    assert_eq!(line["record_id"], fed.contact.to_string());
    assert!(id.is_some());
    fed.world.post(&fed.path("/pause"), json!({})).await.good();
    events
        .until("status", |status| status["status"] == "paused")
        .await;
    fed.world.post(&fed.path("/resume"), json!({})).await.good();
    events
        .until("status", |status| status["status"] == "active")
        .await;
    fed.world
        .post(&fed.path("/syncs"), json!({"kind": "full"}))
        .await
        .good();
    let is_over = |syncs: &Value| {
        let syncs = syncs.as_array().unwrap();
        syncs
            .iter()
            .any(|sync| sync["kind"] == "full" && sync["status"] == "completed")
    };
    events.until("progress", is_over).await;

    // Who comes back goes on after the last line that was heard.
    account
        .patch("contacts", fed.contact, &[("jobtitle", "Owner")])
        .unwrap();
    fed.world.settle().await;
    let mut again = Events::open(&fed, &fed.world.token, id.as_deref()).await;
    let (_, line) = again.until("activity", |_| true).await;
    assert_eq!(line["outcome"], "paused", "the first line since");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_much_is_told_all_of_it_without_a_pause() {
    let fed = Fed::start().await;
    fed.world
        .tamper(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 250)
             INSERT INTO activity (connection, at, origin, outcome)
             SELECT c.id, n, 'admin', 'paused' FROM numbers, connections c",
        )
        .await;
    let newest = fed.world.count("SELECT max(id) FROM activity").to_string();
    let mut events = Events::open(&fed, &fed.world.token, Some("0")).await;
    loop {
        let (name, id, _) = events.next().await.expect("an event");
        if name == "activity" && id.as_deref() == Some(&newest) {
            break;
        }
    }
    assert_eq!(events.comments, 0, "it waited for something to happen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_and_with_the_connection() {
    let fed = Fed::start().await;
    let viewer = fed
        .world
        .make_token(Some(&fed.world.project), Role::Viewer)
        .await;
    let mut ending = Events::open(&fed, &viewer, None).await;
    let mut going_on = Events::open(&fed, &fed.world.token, None).await;
    ending.next().await.unwrap();
    let newest = fed.world.count("SELECT max(id) FROM tokens");
    let store = fed.world.host().store.clone();
    store
        .transact(move |tx| tx.revoke_token(newest))
        .await
        .unwrap();
    fed.world.host().pipeline.notify_changed();
    while ending.next().await.is_some() {}

    going_on.next().await.unwrap();
    fed.world.delete(&fed.path("")).await;
    while going_on.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_one_token_nor_one_project_can_hold_all_the_streams_there_are() {
    let mut fed = Fed::start().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Events::open(&fed, &fed.world.token, None).await);
    }
    fed.world.get(&fed.path("/events")).await.problem(503);
    let token = async |project: &str| fed.world.make_token(Some(project), Role::Viewer).await;
    for _ in 0..3 {
        let other = token(&fed.world.project).await;
        for _ in 0..16 {
            open.push(Events::open(&fed, &other, None).await);
        }
    }
    let fifth = token(&fed.world.project).await;
    fed.world.token = fifth;
    fed.world.get(&fed.path("/events")).await.problem(503);

    fed.world.project = fed.world.make_project("Southwind").await;
    fed.world.token = fed
        .world
        .make_token(Some(&fed.world.project), Role::Admin)
        .await;
    let begun = json!({"connector": "hubspot"});
    let begun = fed.world.post("/connections", begun).await.good();
    fed.connection = begun["id"].as_str().unwrap().to_owned();
    Events::open(&fed, &fed.world.token, None).await;
}
