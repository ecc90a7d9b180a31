//! Versions on a running host: what is installed, and what becomes of deliveries
//! while one gives way to another.

mod installing;
mod taking_back;
mod trials;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{
    answer::Answer,
    bare::{BareHost, client},
    caller::Caller,
    components::{misbehaving, rebuilt},
    program::{self, Program, printed, refused},
    settled::until,
};
use jimo_connect::{
    clock::Clock,
    plugin::{EMBEDDED, digest},
    secrets::{hash_token, random_token},
    store::{
        Store,
        plugins::{Outcome, Switch, Why},
        projects::{Purpose, Role},
    },
    sync::versions::switch,
};
use reqwest::Method;
use serde_json::{Value, json};

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// A token of an admin's.
async fn admin(host: &BareHost) -> String {
    let token = random_token();
    let hash = hash_token(&token);
    let now = host.host.clock.now();
    let made = host.host.store.transact(move |tx| {
        let project = tx.create_project("Acme", "UTC", now)?.id;
        tx.create_token(hash, Some(project), Role::Admin, Purpose::Api, now, None)
    });
    made.await.unwrap();
    token.expose().to_owned()
}

/// The API, with a token.
struct Api(Caller);

impl Api {
    async fn of(host: &BareHost) -> Self {
        Self(Caller::operator(&host.host).await)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        told(self.0.get(path).await)
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        told(self.0.post(path, body).await)
    }

    async fn delete(&self, path: &str) -> u16 {
        Answer::of(self.0.request(Method::DELETE, path))
            .await
            .status
    }

    async fn install(&self, component: Vec<u8>) -> (u16, Value) {
        told(self.0.try_install(component).await)
    }

    /// Installs and activates a component; returns its digest.
    async fn activate(&self, component: Vec<u8>) -> String {
        self.0.run(component).await
    }
}

fn told(answer: Answer) -> (u16, Value) {
    (answer.status, answer.json)
}

/// A creation of a record, as HubSpot tells of it.
fn created(record: u64) -> String {
    format!(
        r#"{{"portalId":1,"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1}}"#
    )
}

/// [`created`], on which the misbehaving plugin traps.
fn trapping(record: u64) -> String {
    created(record).replace('}', r#","misbehave":"trap"}"#)
}

/// Sends events one after the other, until something is over; returns how many.
async fn send_until(
    host: &BareHost,
    event: fn(u64) -> String,
    is_over: impl AsyncFn() -> bool,
) -> u64 {
    let mut sent = 0;
    while !is_over().await {
        sent += 1;
        assert!(sent < 500, "it is never over");
        assert_eq!(host.deliver(format!("[{}]", event(sent))).await, 204);
        host.applied().await;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_delivery_is_lost_or_refused_while_versions_give_way_to_one_another() {
    let host = Arc::new(BareHost::start(EMBEDDED).await);
    let account = host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let ended = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..3)
        .map(|sender| {
            let (host, ended) = (host.clone(), ended.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                // On, until all is switched and something came after it.
                while !ended.load(Ordering::Relaxed) || sent < 20 {
                    sent += 1;
                    let body = format!("[{}]", created(sender * 1_000_000 + sent));
                    assert_eq!(host.deliver(body).await, 204);
                }
                sent
            })
        })
        .collect();
    let other = api.activate(rebuilt(EMBEDDED, "another")).await;
    for _ in 0..5 {
        let (status, told) = api.post("/plugins/rollback", json!({})).await;
        assert_eq!(
            (status, &told["digest"]),
            (200, &json!(digest(EMBEDDED))),
            "{told}"
        );
        let path = format!("/plugins/{}/activate", &other[..8]);
        let (status, told) = api.post(&path, json!({"force": true})).await;
        assert_eq!((status, &told["digest"]), (200, &json!(other)), "{told}");
    }
    ended.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    host.applied().await;
    assert_eq!(host.set_aside().await, []);
    assert_eq!(
        host.waiting_reads(account).await,
        i64::try_from(sent).unwrap()
    );
    // And what was done says by which of them.
    let store = rusqlite::Connection::open(host.directory.path().join("store.sqlite")).unwrap();
    for version in [digest(EMBEDDED), other] {
        let sql = "SELECT count(*) FROM activity WHERE plugin = ?1";
        let lines: i64 = store.query_one(sql, [&version], |row| row.get(0)).unwrap();
        assert!(lines > 0, "nothing was done by {version}");
    }
    let sql = "SELECT count(*) FROM activity WHERE plugin IS NULL AND record IS NOT NULL";
    let lines: i64 = store.query_one(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(lines, 0);
    let (_, listed) = api.get("/plugins").await;
    assert_eq!(listed["activations"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn the_built_in_version_of_another_release_is_never_said_to_run() {
    let host = BareHost::start(EMBEDDED).await;
    let api = Api::of(&host).await;
    let other = api.activate(rebuilt(EMBEDDED, "another")).await;
    // As if another release had been the first here.
    let former = digest(&rebuilt(EMBEDDED, "former"));
    let store = rusqlite::Connection::open(host.directory.path().join("store.sqlite")).unwrap();
    for sql in [
        "INSERT INTO plugin_versions
             (digest, connector, label, version, size_bytes, file, installed_by, installed_at)
         SELECT ?1, connector, label, version, size_bytes, NULL, installed_by, 0
         FROM plugin_versions WHERE file IS NULL",
        "UPDATE plugin_activations SET before = ?1",
    ] {
        assert_eq!(store.execute(sql, [&former]).unwrap(), 1);
    }
    let path = format!("/plugins/{former}/activate");
    let (status, told) = api.post(&path, json!({"force": true})).await;
    assert_eq!(status, 409, "{told}");
    assert!(
        told["detail"].as_str().unwrap().contains("another release"),
        "{told}"
    );
    assert_eq!(host.active().digest(), other);

    let (status, told) = api.post("/plugins/rollback", json!({})).await;
    assert_eq!(
        (status, &told["digest"], &told["active"]),
        (200, &json!(digest(EMBEDDED)), &json!(true)),
        "{told}"
    );
    let (_, listed) = api.get("/plugins").await;
    let last = &listed["activations"][0];
    assert_eq!(
        (&last["why"], &last["digest"]),
        (&json!("rollback"), &json!(digest(EMBEDDED)))
    );
    let asked = "SELECT digest FROM plugin_requests ORDER BY id DESC LIMIT 1";
    let asked: String = store.query_one(asked, [], |row| row.get(0)).unwrap();
    assert_eq!(asked, digest(EMBEDDED));
    host.stop().await;
}

#[tokio::test]
async fn the_file_of_the_built_in_version_is_removed_and_the_version_stays() {
    let host = BareHost::start(EMBEDDED).await;
    let api = Api::of(&host).await;
    let other = api.activate(rebuilt(EMBEDDED, "another")).await;
    let built_in = digest(EMBEDDED);
    let path = format!("/plugins/{built_in}");
    assert_eq!(api.install(EMBEDDED.to_vec()).await.0, 201);
    assert_eq!(api.get(&path).await.1["file"], "it.wasm");
    assert_eq!(api.delete(&path).await, 204);
    let file = host
        .directory
        .path()
        .join(format!("plugins/{built_in}.wasm"));
    assert!(!file.exists());
    assert_eq!(api.get(&path).await.1["file"], Value::Null);
    assert_eq!(api.delete(&path).await, 409);
    let (status, told) = api.post("/plugins/rollback", json!({})).await;
    assert_eq!((status, &told["digest"]), (200, &json!(built_in)), "{told}");
    assert_ne!(host.active().digest(), other);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_is_asked_for_while_no_host_runs_is_made_at_the_next_start() {
    let host = BareHost::start(EMBEDDED).await;
    let (status, installed) = Api::of(&host)
        .await
        .install(rebuilt(EMBEDDED, "another"))
        .await;
    assert_eq!(status, 201, "{installed}");
    let other = installed["digest"].as_str().unwrap().to_owned();
    let directory = host.stop().await;
    let asked = Store::open(directory.path()).unwrap();
    let ask = switch::Ask::Activate {
        begins: other.clone(),
        force: true,
        connection: None,
    };
    let by = "a test".to_owned();
    let now = Clock::system().now();
    let requested = switch::request(&asked, ask, by, None, now).await.unwrap();
    drop(asked);
    let host = BareHost::start_in(directory, EMBEDDED).await;
    let outcome = switch::outcome(&host.host.store, requested.request, PATIENCE);
    assert_eq!(outcome.await.unwrap(), Outcome::Made);
    // It is kept before it is followed.
    until(async || host.active().digest() == other).await;
    host.stop().await;
}

#[tokio::test]
async fn a_version_replaces_none_that_it_was_not_compared_with() {
    let host = BareHost::start(EMBEDDED).await;
    let api = Api::of(&host).await;
    let (status, installed) = api.install(rebuilt(EMBEDDED, "another")).await;
    assert_eq!(status, 201, "{installed}");
    let other = installed["digest"].as_str().unwrap().to_owned();
    let active = digest(EMBEDDED);
    // What was active when it was asked for may not be when it is made.
    for (compared_with, becomes) in [("the one before", &active), (&*active, &other)] {
        let switch = Switch {
            connector: "hubspot".into(),
            connection: None,
            digest: other.clone(),
            by: "a test".into(),
            why: Why::Operator,
            reason: None,
        };
        let (compared_with, now) = (compared_with.to_owned(), host.host.clock.now());
        let asked = host
            .host
            .store
            .transact(move |tx| tx.request_switch(&switch, Some(&compared_with), now));
        let request = asked.await.unwrap();
        host.host.pipeline.notify_changed();
        let outcome = switch::outcome(&host.host.store, request, PATIENCE);
        match outcome.await.unwrap() {
            Outcome::Made => assert_eq!(becomes, &other),
            Outcome::Refused(why) => assert!(why.contains("became active meanwhile"), "{why}"),
            Outcome::Waits => panic!("it waits"),
        }
        until(async || host.active().digest() == becomes).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn operators_alone_may_install_and_switch_and_are_told_why_they_may_not() {
    let host = BareHost::start(EMBEDDED).await;
    let admin = Api(Caller::at(host.host.url("").as_str(), &admin(&host).await));
    assert_eq!(admin.get("/plugins").await.0, 403);
    assert_eq!(admin.install(EMBEDDED.to_vec()).await.0, 403);
    assert_eq!(admin.get("/set-aside").await.0, 403);

    let api = Api::of(&host).await;
    let (status, told) = api.install(b"no component".to_vec()).await;
    assert_eq!(status, 422, "{told}");
    let (status, told) = api.install(misbehaving().to_vec()).await;
    assert_eq!(status, 422);
    assert!(
        told["detail"].as_str().unwrap().contains("misbehaving"),
        "{told}"
    );

    let (status, installed) = api.install(rebuilt(EMBEDDED, "another")).await;
    assert_eq!(status, 201, "{installed}");
    assert_eq!(installed["active"], false);
    assert_eq!(installed["file"], "it.wasm");
    let installed = installed["digest"].as_str().unwrap().to_owned();
    let activate = format!("/plugins/{installed}/activate");
    let (status, told) = api.post(&activate, json!({})).await;
    assert_eq!(status, 409);
    assert!(
        told["detail"].as_str().unwrap().contains("compared"),
        "{told}"
    );
    let (status, told) = api.post("/plugins/rollback", json!({})).await;
    assert_eq!(status, 409, "{told}");
    assert_eq!(api.get("/plugins/0000").await.0, 404);
    assert_eq!(
        api.get(&format!("/plugins/{}", &installed[..3])).await.0,
        409
    );

    let remove = async |digest: &str| api.delete(&format!("/plugins/{digest}")).await;
    assert_eq!(api.post(&activate, json!({"force": true})).await.0, 200);
    assert_eq!(api.post(&activate, json!({"force": true})).await.0, 409);
    assert_eq!(remove(&installed).await, 409);
    assert_eq!(remove(&digest(EMBEDDED)).await, 409);
    assert_eq!(api.post("/plugins/rollback", json!({})).await.0, 200);
    assert_eq!(remove(&installed).await, 204);
    assert_eq!(api.get(&format!("/plugins/{installed}")).await.0, 404);
    assert_eq!(api.post(&activate, json!({"force": true})).await.0, 404);
    host.stop().await;
}

#[tokio::test]
async fn an_operator_installs_and_switches_beside_a_running_host_and_a_restart_keeps_it() {
    let directory = tempfile::TempDir::new().unwrap();
    let directory = directory.path();
    let component = directory.join("another.wasm");
    std::fs::write(&component, rebuilt(EMBEDDED, "another")).unwrap();
    let other = digest(&rebuilt(EMBEDDED, "another"));
    let host = Program::start(directory, &program::alone());

    let file = component.to_str().unwrap();
    assert!(printed(directory, &["plugin", "install", file]).ends_with(&other));
    let short = &other[..8];
    let told = refused(directory, &["plugin", "activate", short]);
    assert!(told.contains("--force"), "{told}");
    let activate = ["plugin", "activate", short, "--force", "--reason", "a test"];
    assert!(printed(directory, &activate).contains(&other));
    let listed = printed(directory, &["plugin", "list"]);
    let active: Vec<_> = listed
        .lines()
        .filter(|line| line.starts_with('*'))
        .collect();
    assert_eq!(active.len(), 1, "{listed}");
    assert!(active[0].contains(&other[..12]), "{listed}");
    assert!(
        listed.contains("built in") && listed.contains("another.wasm"),
        "{listed}"
    );
    let inspected = printed(directory, &["plugin", "inspect", short]);
    assert!(
        inspected.contains(&other) && inspected.contains("a test"),
        "{inspected}"
    );
    assert!(refused(directory, &["plugin", "remove", short]).contains("activate another"));
    host.kill();

    let host = Program::start(directory, &program::alone());
    let line = host
        .line(|line| line["fields"]["digest"] == json!(other))
        .await;
    assert_eq!(line["fields"]["message"], "plugin loaded");
    assert!(printed(directory, &["plugin", "rollback"]).contains(&digest(EMBEDDED)));
    assert!(refused(directory, &["plugin", "rollback"]).contains("no version to go back to"));
    printed(directory, &["plugin", "remove", short]);
    assert!(!printed(directory, &["plugin", "list"]).contains("another.wasm"));
    let kept = std::fs::read_dir(directory.join("plugins")).unwrap();
    assert_eq!(kept.count(), 0);
    host.kill();
}

#[tokio::test]
async fn the_built_in_version_stands_in_for_one_that_cannot_be_run_and_says_so() {
    let directory = tempfile::TempDir::new().unwrap();
    let directory = directory.path();
    let another = rebuilt(EMBEDDED, "another");
    let component = directory.join("another.wasm");
    std::fs::write(&component, &another).unwrap();
    let file = component.to_str().unwrap();
    let other = digest(&another);
    let host = Program::start(directory, &program::alone());
    printed(directory, &["plugin", "install", file]);
    printed(directory, &["plugin", "activate", &other, "--force"]);
    host.kill();

    let kept = directory.join("plugins").join(format!("{other}.wasm"));
    let mut damaged = another.clone();
    // In the section that nobody reads, so that it would compile.
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, damaged).unwrap();
    let host = Program::start(directory, &program::alone());
    let line = host.line(|line| line["level"] == "ERROR").await;
    assert_eq!(line["fields"]["digest"], other);
    assert!(
        line["fields"]["error"]
            .as_str()
            .unwrap()
            .contains("damaged"),
        "{line}"
    );
    let loaded = host
        .line(|line| line["fields"]["message"] == "plugin loaded")
        .await;
    assert_eq!(loaded["fields"]["digest"], digest(EMBEDDED));
    let listed = printed(directory, &["plugin", "list"]);
    assert!(
        listed.contains("stands in") && listed.contains("damaged"),
        "{listed}"
    );
    let metrics = client()
        .get(format!("{}/metrics", host.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("jimo_connect_plugin_fallback 1"),
        "{metrics}"
    );
    // It cannot be activated either, until it is mended.
    let told = refused(directory, &["plugin", "activate", &other, "--force"]);
    assert!(told.contains("damaged"), "{told}");
    printed(directory, &["plugin", "install", file]);
    printed(directory, &["plugin", "activate", &other, "--force"]);
    assert!(!printed(directory, &["plugin", "list"]).contains("stands in"));
    host.kill();
    let host = Program::start(directory, &program::alone());
    let loaded = host
        .line(|line| line["fields"]["message"] == "plugin loaded")
        .await;
    assert_eq!(loaded["fields"]["digest"], other);
    host.kill();
}
