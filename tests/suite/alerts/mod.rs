//! What goes wrong with a connection is told once, and once more when it is over:
//! to a receiver over real HTTP, to a mail server over real SMTP.

mod conditions;
mod targets;

use std::time::Duration;

use harness::{
    receivers::{HttpReceiver, Request},
    world::World,
};
use jimo_connect::{config::JournalUse, secrets::Secret, sync::alerts::signature};
use reqwest::Method;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A connection whose alerts a webhook takes.
struct Told {
    world: World,
    connection: String,
    receiver: HttpReceiver,
    secret: Secret,
    channel: String,
}

impl Told {
    /// With a clock that tests turn, HubSpot's as well.
    async fn start() -> Self {
        let world = World::start_at_noon(hubspot_sim::Config::default(), JournalUse::Off).await;
        let connection = world.connect(PORTAL).await;
        let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
        world
            .map(&connection, json!({"contacts": {"fields": fields}}))
            .await;
        let receiver = HttpReceiver::start().await;
        let to = format!("{}/alerts?key=hidden", receiver.url);
        let path = format!("/connections/{connection}/alert-channels");
        let added = world
            .post(&path, json!({"kind": "webhook", "to": to}))
            .await
            .good();
        Self {
            secret: added["secret"].as_str().unwrap().into(),
            channel: added["id"].as_str().unwrap().to_owned(),
            world,
            connection,
            receiver,
        }
    }

    fn path(&self, path: &str) -> String {
        format!("/connections/{}{path}", self.connection)
    }

    /// Time passes, for both sides.
    fn pass(&self, seconds: u64) {
        let time = Duration::from_secs(seconds);
        self.world.clock.turn(time);
        self.world.sim.turn(time);
    }

    /// HubSpot takes our access away, and we notice.
    async fn revoke(&self) {
        self.world.account(PORTAL).uninstall();
        // The token that is held ends, and another is not to be had.
        self.pass(3_600);
        let full = json!({"kind": "full"});
        self.world.post(&self.path("/syncs"), full).await.good();
        let notices = async || self.problem().await["code"] == "access_revoked";
        self.world.until(notices).await;
    }

    async fn problem(&self) -> Value {
        let connection = self.world.get(&self.path("")).await.good();
        connection["problem"].clone()
    }

    async fn reconnect(&self) {
        let begun = self.world.post(&self.path("/reconnect"), json!({})).await;
        let page = self.world.consent(&begun.good(), PORTAL).await;
        let (status, text) = self.world.confirm(&page).await;
        assert_eq!(status, 200, "{text}");
    }

    /// What the webhook was told, in order: state and code.
    async fn told(&self, count: usize) -> Vec<(String, String)> {
        let requests = self.receiver.wait_for(count).await;
        let word = |json: &Value, name: &str| json[name].as_str().unwrap().to_owned();
        let told = requests.iter().map(Request::json);
        told.map(|json| (word(&json, "state"), word(&json, "code")))
            .collect()
    }

    /// Waits until it was looked twice more what is wrong, and then twice which
    /// messages are due: what is new by now was found, and is being sent.
    async fn looked(&self) {
        for of in ["problems", "messages"] {
            let looks = async || {
                let (_, metrics) = self.world.page(self.world.host().url("/metrics")).await;
                let name = format!("jimo_connect_alert_looks_total{{of=\"{of}\"}} ");
                let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
                line.map_or(0, |count| count.parse::<u64>().unwrap())
            };
            let before = looks().await;
            self.world.until(async || looks().await >= before + 2).await;
        }
    }
}

fn pair(state: &str, code: &str) -> (String, String) {
    (state.to_owned(), code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_access_is_told_once_signed_and_its_end_too() {
    let mut told = Told::start().await;
    told.revoke().await;
    let request = told.receiver.wait_for(1).await.remove(0);
    assert_eq!(request.path, "/alerts?key=hidden");
    let json = request.json();
    assert_eq!(json["state"], "began");
    assert_eq!(json["code"], "access_revoked");
    assert_eq!(json["account"]["domain"], "customer-1001.example");
    assert_eq!(json["connection"]["id"], told.connection);
    assert!(
        json["title"]
            .as_str()
            .unwrap()
            .contains("access was revoked")
    );
    assert!(json["remedy"].as_str().unwrap().contains("Reconnect"));
    let link = format!("/settings/integrations/{}", told.connection);
    assert!(json["link"].as_str().unwrap().ends_with(&link), "{json:#}");
    assert_eq!(json["id"], request.headers["jimo-message"]);
    let seconds: i64 = request.headers["jimo-timestamp"].parse().unwrap();
    let expected = signature(&told.secret, seconds, &request.body);
    assert_eq!(request.headers["jimo-signature"], expected);
    assert_eq!(request.headers["content-type"], "application/json");

    // Neither again and again, nor again after a restart.
    told.world.restart().await;
    told.looked().await;
    assert_eq!(told.receiver.requests().len(), 1);

    told.reconnect().await;
    let expected = [
        pair("began", "access_revoked"),
        pair("ended", "access_revoked"),
    ];
    assert_eq!(told.told(2).await, expected);
    let path = told.path("/activity?origin=alert");
    let lines = told.world.get(&path).await.good();
    let outcomes: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["outcome"])
        .collect();
    assert_eq!(outcomes, ["alert_ended", "alert_began"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_with_growing_pauses_in_order_and_after_a_restart() {
    let mut told = Told::start().await;
    told.receiver.answer(500);
    told.revoke().await;
    told.receiver.wait_for(1).await;
    let path = told.path("/alert-channels");
    let refused = async || {
        let held = told.world.get(&path).await.good();
        held["channels"][0]["last"]["sent"] == false
    };
    told.world.until(refused).await;
    let held = told.world.get(&path).await.good();
    let channel = &held["channels"][0];
    assert_eq!(channel["waiting"], 1);
    let answer = channel["last"]["answer"].as_str().unwrap();
    assert!(
        answer.contains("500") && answer.contains("no, thank you"),
        "{answer}"
    );
    // Of the address only the host is told.
    assert_eq!(channel["to"], format!("{}/…", told.receiver.url));

    told.world.stop().await;
    told.pass(29);
    told.world.go_on().await;
    told.looked().await;
    assert_eq!(told.receiver.requests().len(), 1, "it is too early");
    told.pass(2);
    told.receiver.wait_for(2).await;
    told.world
        .until(async || told.world.count("SELECT attempts FROM alert_messages") == 2)
        .await;

    // It is over before it could be told: both are, in their order.
    told.reconnect().await;
    told.world
        .until(async || told.world.count("SELECT count(*) FROM alert_messages") == 2)
        .await;
    told.looked().await;
    assert_eq!(
        told.receiver.requests().len(),
        2,
        "the second waits for the first"
    );
    told.receiver.answer(200);
    told.pass(60);
    let requests = told.receiver.wait_for(4).await;
    let ids: Vec<_> = requests
        .iter()
        .map(|one| one.headers["jimo-message"].clone())
        .collect();
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    assert_eq!(told.told(4).await[3], pair("ended", "access_revoked"));
    told.world
        .until(async || told.world.count("SELECT count(*) FROM alert_messages") == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_write_has_nothing_sent_again_and_again() {
    let told = Told::start().await;
    told.world
        .tamper(
            "CREATE TRIGGER no_claim BEFORE UPDATE ON alert_messages
             BEGIN SELECT RAISE(ABORT, 'no room'); END;
             CREATE TRIGGER no_end BEFORE DELETE ON alert_messages
             BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .await;
    told.revoke().await;
    told.world
        .until(async || told.world.count("SELECT count(*) FROM alert_messages") == 1)
        .await;
    told.looked().await;
    assert!(
        told.receiver.requests().is_empty(),
        "nothing says that it is"
    );

    // It is known to be sent, and not that it was taken.
    told.world.tamper("DROP TRIGGER no_claim").await;
    told.receiver.wait_for(1).await;
    told.looked().await;
    assert_eq!(told.receiver.requests().len(), 1);
    told.world.tamper("DROP TRIGGER no_end").await;
    told.pass(31);
    let requests = told.receiver.wait_for(2).await;
    let number = |request: &Request| request.headers["jimo-message"].clone();
    assert_eq!(number(&requests[0]), number(&requests[1]));
    told.world
        .until(async || told.world.count("SELECT count(*) FROM alert_messages") == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_removed_is_told_nothing_more() {
    let told = Told::start().await;
    told.receiver.answer(500);
    told.revoke().await;
    told.receiver.wait_for(1).await;
    let path = told.path(&format!("/alert-channels/{}", told.channel));
    assert_eq!(told.world.delete(&path).await.status, 204);
    told.world.delete(&path).await.problem(404);
    told.pass(3_600);
    told.looked().await;
    assert_eq!(told.receiver.requests().len(), 1);
    assert_eq!(told.world.count("SELECT count(*) FROM alert_messages"), 0);
    // Who comes next is told what is wrong now.
    let other = HttpReceiver::start().await;
    let new = json!({"kind": "slack", "to": other.url});
    told.world
        .post(&told.path("/alert-channels"), new)
        .await
        .good();
    let request = other.wait_for(1).await.remove(0);
    let text = request.json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("access was revoked") && text.contains("|Open in Jimo>"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_to_nobody_is_told_to_who_comes() {
    let told = Told::start().await;
    let path = told.path(&format!("/alert-channels/{}", told.channel));
    assert_eq!(told.world.delete(&path).await.status, 204);
    told.revoke().await;
    // The last channel went while it was being told.
    told.world
        .tamper(
            "INSERT INTO alerts (connection, code, problem, since)
             SELECT id, 'access_revoked', problem, 0 FROM connections",
        )
        .await;
    let new = json!({"kind": "webhook", "to": told.receiver.url});
    told.world
        .post(&told.path("/alert-channels"), new)
        .await
        .good();
    assert_eq!(told.told(1).await, [pair("began", "access_revoked")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_another_connection_is_not_there() {
    let told = Told::start().await;
    let other = told.world.make_project("Other").await;
    let operator = &told.world.operator;
    let begun = told
        .world
        .send(
            Method::POST,
            &format!("/api/v1/projects/{other}/connections"),
            operator,
            Some(json!({"connector": "hubspot"})),
        )
        .await
        .good();
    let theirs = begun["id"].as_str().unwrap();
    let path = format!(
        "/api/v1/projects/{other}/connections/{theirs}/alert-channels/{}",
        told.channel
    );
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/test")),
    ] {
        let answer = told.world.send(method, &path, operator, None).await;
        answer.problem(404);
    }
    assert!(told.receiver.requests().is_empty());
}
