//! What was set aside is looked at, and worked on again.

use std::{
    path::Path,
    process::{Command, Output},
};

use harness::{
    bare::{BareHost, deliver},
    components::misbehaving_as,
    program,
    settled::until,
    world::World,
};
use jimo_connect::{
    clock::Clock,
    host::Host,
    intake,
    log::{EntryKind, Position},
    model::Status,
    plugin::{EMBEDDED, digest},
    store::{
        Store, Tx,
        erasures::BodyAside,
        set_aside::{Filter, SetAside},
    },
    sync::replays,
};
use reqwest::Method;
use serde_json::{Value, json};

/// The account of two users.
pub(super) const PORTAL: u64 = 48_975_575;

/// Two users whose contacts feed them, before a plugin that misbehaves on what says so.
pub(super) struct Two {
    pub world: World,
    pub connection: String,
    /// The users', in their order.
    pub ids: Vec<String>,
    pub contacts: [u64; 2],
}

impl Two {
    pub async fn start() -> Self {
        let world = World::start().await;
        let connection = world.connect(PORTAL).await;
        let emails = ["ana@example.com", "ben@example.com"];
        let people = json!(emails.map(|email| json!({ "email": email })));
        let ids = world.put_users(people).await;
        let titled = json!({"property": "jobtitle", "variable": "job_title"});
        world
            .map(&connection, json!({"contacts": {"fields": [titled]}}))
            .await;
        let contacts = emails.map(|email| {
            let contact = [("email", email), ("jobtitle", "Cook")];
            world.account(PORTAL).create("contacts", &contact).unwrap()
        });
        world.settle().await;
        activate(world.host(), &misbehaving_as("hubspot", "nothing"));
        Self {
            world,
            connection,
            ids,
            contacts,
        }
    }
}

/// Runs a plugin from now on.
pub(super) fn activate(host: &Host, component: &[u8]) {
    let version = host.engine.load(component).unwrap();
    host.plugins.activate(version.into());
}

fn set_aside(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program::path())
        .args(["log", "set-aside"])
        .args(arguments)
        .env("JIMO_DATA_DIR", directory)
        .output()
        .unwrap()
}

/// What `log set-aside` printed.
pub(super) fn printed(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = set_aside(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output.stdout
}

fn created(record: u32, misbehave: &str) -> String {
    format!(
        r#"{{"portalId":1,"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1,"misbehave":"{misbehave}"}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_fix_it_is_listed_shown_and_worked_on_one_by_one_or_all() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    for (record, misbehave) in [(1, "trap"), (2, "hoard"), (3, "trap")] {
        let body = format!("[{}]", created(record, misbehave));
        assert_eq!(host.deliver(body).await, 204);
        host.applied().await;
    }
    let directory = host.directory.path();
    let listed = String::from_utf8(printed(directory, &["list"])).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let listed = String::from_utf8(printed(directory, &["list", "--reason", "memory"])).unwrap();
    let hoarding: Vec<_> = listed.lines().collect();
    assert_eq!(hoarding.len(), 1, "{listed}");
    let number = hoarding[0].split('\t').next().unwrap();
    let shown = printed(directory, &["show", number]);
    assert_eq!(shown, format!("[{}]", created(2, "hoard")).into_bytes());

    activate(&host.host, EMBEDDED);
    printed(directory, &["replay", number]);
    assert_eq!(host.waiting_reads(account).await, 1);
    assert_eq!(host.set_aside().await.len(), 2);
    assert!(!set_aside(directory, &["replay", number]).status.success());
    let told = printed(directory, &["replay", "--all", "--reason", "memory"]);
    assert_eq!(told, b"0 worked on, 0 stayed\n");
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"2 worked on, 0 stayed\n");
    assert_eq!(host.waiting_reads(account).await, 3);
    assert_eq!(host.set_aside().await, []);
    // They happened long ago, and waited for a person: their reads are not late.
    let now = host.host.clock.now();
    let oldest = (host.host.store).read(move |tx| tx.oldest_awaited(account, now));
    assert_eq!(oldest.await.unwrap(), None);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_took_too_long_is_tried_once_more_and_what_trapped_alone_is_not() {
    for (misbehave, tries) in [("spin", 2), ("trap", 1)] {
        let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
        host.connect("1", "city").await;
        let body = format!("[{}]", created(1, misbehave));
        assert_eq!(host.deliver(body).await, 204);
        host.applied().await;
        assert_eq!(host.set_aside().await.len(), 1, "{misbehave}");
        let tally = host.active().tally();
        assert_eq!((tally.passes, tally.failed), (tries, tries), "{misbehave}");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_again_stays_once_with_its_number_and_since_when_it_was() {
    let plugin = misbehaving_as("hubspot", "nothing");
    let host = BareHost::start(&plugin).await;
    let account = host.connect("1", "city").await;
    let (bad, well) = (created(1, "trap"), created(2, "print"));
    // The two fail together, and one of them by itself.
    assert_eq!(host.deliver(format!("[{bad},{well}]")).await, 204);
    host.applied().await;
    let directory = host.directory.path();
    let before = String::from_utf8(printed(directory, &["list"])).unwrap();
    for _ in 0..2 {
        let told = printed(directory, &["replay", "--all"]);
        assert_eq!(told, b"0 worked on, 1 stayed\n");
    }
    let after = String::from_utf8(printed(directory, &["list"])).unwrap();
    assert_eq!(before, after);
    assert_eq!(host.set_aside().await.len(), 1);
    assert_eq!(host.waiting_reads(account).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_body_that_is_understood_in_part_that_part_stays() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let event = |record, misbehave| created(record, misbehave);
    let body = format!("[{},{}]", event(1, "trap"), event(2, "print"));
    assert_eq!(host.deliver(body).await, 204);
    host.applied().await;
    // To this one, an event without a subscription type is one it cannot read.
    let nameless = |id: i64| {
        let path = host.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        let strange = r#"{"portalId":1,"objectId":9,"occurredAt":1}"#;
        let body = format!("[{},{strange},{strange}]", event(2, "print"));
        let sql = "UPDATE set_aside SET body = ?2 WHERE id = ?1";
        store
            .execute(sql, rusqlite::params![id, body.as_bytes()])
            .unwrap();
    };
    nameless(1);
    activate(&host.host, EMBEDDED);
    printed(host.directory.path(), &["replay", "--all"]);
    let aside = host.set_aside().await;
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(
        aside.iter().all(|one| one.plugin == Some(digest(EMBEDDED))),
        "{aside:?}"
    );
    assert!(
        aside[0].reason.contains("could not understand"),
        "{aside:?}"
    );
    assert_eq!(host.waiting_reads(account).await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elements_of_a_journal_file_find_their_way_back_into_one() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let event = r#"{"portalId":1,"objectId":5,"misbehave":"trap"}"#;
    let lane = jimo_connect::log::Lane(1);
    let entry = jimo_connect::log::Entry {
        kind: jimo_connect::log::EntryKind::JournalFile,
        connector: "hubspot".into(),
        lane,
        received_at: host.host.clock.now(),
        body: format!(r#"{{"events":[{event}]}}"#).into(),
    };
    host.host.log.append(entry).await.unwrap();
    host.applied().await;
    let aside = host.set_aside().await;
    assert_eq!(aside[0].body, format!("[{event}]").as_bytes());
    // Mended, as a plugin would be.
    let path = host.directory.path().join("store.sqlite");
    let store = rusqlite::Connection::open(path).unwrap();
    let mended = event.replace("trap", "none");
    let sql = "UPDATE set_aside SET body = ?1";
    store
        .execute(sql, [format!("[{mended}]").as_bytes()])
        .unwrap();
    printed(host.directory.path(), &["replay", "--all"]);
    assert_eq!(host.set_aside().await, []);
    assert_eq!(host.waiting_reads(account).await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_what_is_known_changes_nothing_and_before_its_field_makes_nothing() {
    let world = World::start().await;
    let portal = 48_975_575;
    let connection = world.connect(portal).await;
    let ids = world.put_users(json!([{"email": "ana@example.com"}])).await;
    let titled = json!({"property": "jobtitle", "variable": "job_title"});
    world
        .map(&connection, json!({"contacts": {"fields": [titled]}}))
        .await;
    let before_the_field = world.clock.now().0;
    let contact = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = world.account(portal).create("contacts", &contact).unwrap();
    world.settle().await;
    let city = json!({"property": "city", "variable": "city"});
    world
        .map(&connection, json!({"contacts": {"fields": [titled, city]}}))
        .await;

    activate(world.host(), &misbehaving_as("hubspot", "nothing"));
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    let event = |property: &str, value: &str, at: i64| {
        json!([{
            "portalId": portal, "objectId": contact, "occurredAt": at, "misbehave": "trap",
            "subscriptionType": "contact.propertyChange",
            "propertyName": property, "propertyValue": value,
        }])
    };
    let later = world.clock.now().0;
    for event in [
        event("jobtitle", "Pupil", before_the_field - 1_000),
        event("city", "Lyon", before_the_field),
        event("jobtitle", "Chef", later),
    ] {
        let body = event.to_string().into_bytes();
        assert_eq!(deliver(&webhooks, &secret, body).await.unwrap(), 204);
    }
    world.applied().await;
    assert_eq!(world.values(&ids[0]).await, json!({"job_title": "Cook"}));
    let operators = async |method, path: &str| {
        let answer = world.send(method, path, &world.operator, None).await;
        answer.good()
    };
    let listed = operators(Method::GET, "/api/v1/set-aside").await;
    let listed = listed["set_aside"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 3);
    let account = portal.to_string();
    assert!(listed.iter().all(|one| one["account"] == *account));
    assert!(listed.iter().all(|one| one["connector"] == "hubspot"));

    activate(world.host(), EMBEDDED);
    // The older one first, and again once the newer one is known.
    let [older, city, newer] = [0, 1, 2].map(|index: usize| listed[index]["id"].clone());
    let replay = async |id: &Value| {
        let path = format!("/api/v1/set-aside/{id}/replay");
        let told = operators(Method::POST, &path).await;
        assert_eq!(told, json!({"done": 1, "stayed": 0, "waiting": 0}));
        world.values(&ids[0]).await
    };
    let shown = operators(Method::GET, &format!("/api/v1/set-aside/{older}")).await;
    assert!(shown["body"].as_str().unwrap().len() > 100, "{shown}");
    assert_eq!(replay(&older).await, json!({"job_title": "Cook"}));
    assert_eq!(replay(&city).await, json!({"job_title": "Cook"}));
    let shown = "SELECT coalesce(sum(count), 0) FROM freshness";
    let before = world.count(shown);
    assert_eq!(replay(&newer).await, json!({"job_title": "Chef"}));
    assert_eq!(world.count(shown), before, "it waited for a person");
    let left = operators(Method::GET, "/api/v1/set-aside").await;
    assert_eq!(left["set_aside"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_privacy_deletion_that_was_set_aside_erases_when_it_is_worked_on() {
    let world = World::start().await;
    let portal = 48_975_575;
    let connection = world.connect(portal).await;
    let ids = world.put_users(json!([{"email": "ana@example.com"}])).await;
    let titled = json!({"property": "jobtitle", "variable": "job_title"});
    world
        .map(&connection, json!({"contacts": {"fields": [titled]}}))
        .await;
    let contact = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let contact = world.account(portal).create("contacts", &contact).unwrap();
    world.settle().await;
    activate(world.host(), &misbehaving_as("hubspot", "nothing"));
    let event = json!({
        "portalId": portal, "objectId": contact, "occurredAt": world.clock.now().0,
        "misbehave": "trap",
    });
    let (mut deletion, mut change) = (event.clone(), event);
    deletion["subscriptionType"] = json!("contact.privacyDeletion");
    change["subscriptionType"] = json!("contact.propertyChange");
    change["propertyName"] = json!("jobtitle");
    change["propertyValue"] = json!("Chef");
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    for event in [deletion, change] {
        let body = json!([event]).to_string().into_bytes();
        assert_eq!(deliver(&webhooks, &secret, body).await.unwrap(), 204);
        world.applied().await;
    }
    activate(world.host(), EMBEDDED);
    printed(world.directory.path(), &["replay", "--all"]);
    world.settle().await;
    assert_eq!(world.values(&ids[0]).await, json!({}));
    assert_eq!(world.count("SELECT count(*) FROM set_aside"), 0);
}

#[tokio::test]
async fn what_a_plugin_fails_on_while_all_is_paused_is_kept_for_a_deletion_may_be_in_it() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let paused = host.host.store.transact(move |tx| {
        let connection = tx.account_connections(account)?.remove(0).id;
        tx.set_connection_status(connection, Status::Paused, None)
    });
    paused.await.unwrap();
    let deletion = created(1, "trap").replace("contact.creation", "contact.privacyDeletion");
    host.deliver(format!("[{deletion}]")).await;
    host.applied().await;
    assert_eq!(host.set_aside().await.len(), 1);

    activate(&host.host, EMBEDDED);
    let (store, now) = (&host.host.store, host.host.clock.now());
    replays::request(store, &Filter::default(), "a test", now)
        .await
        .unwrap();
    host.host.pipeline.notify_changed();
    until(async || host.set_aside().await.is_empty()).await;
    let erased = store.read(|tx| tx.newest_erasure()).await.unwrap();
    assert_eq!(erased, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_all_connections_are_paused_it_stays_but_for_privacy_deletions() {
    let Two {
        world,
        connection,
        ids,
        contacts: [ana, ben],
    } = Two::start().await;
    let now = world.clock.now().0;
    let change = json!({
        "portalId": PORTAL, "objectId": ana, "occurredAt": now, "misbehave": "trap",
        "subscriptionType": "contact.propertyChange",
        "propertyName": "jobtitle", "propertyValue": "Chef",
    });
    let deletion = json!({
        "portalId": PORTAL, "objectId": ben, "occurredAt": now, "misbehave": "trap",
        "subscriptionType": "contact.privacyDeletion",
    });
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    for event in [change, deletion] {
        let body = json!([event]).to_string().into_bytes();
        assert_eq!(deliver(&webhooks, &secret, body).await.unwrap(), 204);
        world.applied().await;
    }
    let path = format!("/connections/{connection}");
    world.post(&format!("{path}/pause"), json!({})).await.good();
    let directory = world.directory.path();
    let before = String::from_utf8(printed(directory, &["list"])).unwrap();
    assert_eq!(before.lines().count(), 2, "{before}");

    // With one that fails still, with one that does not, and with one more time.
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"0 worked on, 2 stayed\n");
    activate(world.host(), EMBEDDED);
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"1 worked on, 1 stayed\n");
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"0 worked on, 1 stayed\n");
    assert_eq!(world.values(&ids[0]).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ids[1]).await, json!({}));
    let left = String::from_utf8(printed(directory, &["list"])).unwrap();
    assert_eq!(left.lines().next(), before.lines().next(), "{left}");
    assert_eq!(left.lines().count(), 1, "{left}");

    world
        .post(&format!("{path}/resume"), json!({}))
        .await
        .good();
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"1 worked on, 0 stayed\n");
    world
        .until(async || world.values(&ids[0]).await == json!({"job_title": "Chef"}))
        .await;
}

/// A store in which so many things are set aside.
async fn with_set_aside(directory: &Path, count: usize) -> Store {
    let store = Store::open(directory).unwrap();
    let now = Clock::system().now();
    let fill = move |tx: &Tx<'_>| {
        (0..count).try_for_each(|number| {
            let what = SetAside {
                position: Position(1),
                kind: EntryKind::Delivery,
                connector: "hubspot".into(),
                account: Some("1".into()),
                reason: if number % 2 == 0 { "even" } else { "odd" }.into(),
                plugin: None,
                body: format!("[{number}]").into_bytes(),
            };
            tx.set_aside(&what, now)
        })
    };
    store.transact(fill).await.unwrap();
    store
}

#[tokio::test]
async fn however_many_match_wait_and_none_for_two_replays() {
    let directory = tempfile::TempDir::new().unwrap();
    let store = with_set_aside(directory.path(), 5_001).await;
    let now = Clock::system().now();
    let even = Filter {
        reason: Some("even".into()),
        ..Filter::default()
    };
    for (filter, asked) in [(&even, 2_501), (&Filter::default(), 2_500), (&even, 0)] {
        let replay = replays::request(&store, filter, "a test", now)
            .await
            .unwrap();
        let state = store.read(move |tx| tx.replay_state(replay)).await.unwrap();
        assert_eq!((state.asked, state.waiting), (asked, asked));
    }
    // Whatever goes waits no more.
    let dropped = store.transact(|tx| {
        tx.drop_set_aside(("hubspot", &"1".into()))?;
        tx.next_replay()
    });
    assert_eq!(dropped.await.unwrap(), None);
}

#[tokio::test]
async fn what_a_replay_left_is_not_overwritten_by_who_read_what_was_before() {
    let directory = tempfile::TempDir::new().unwrap();
    let store = with_set_aside(directory.path(), 1).await;
    let now = Clock::system().now();
    replays::request(&store, &Filter::default(), "a test", now)
        .await
        .unwrap();
    let interleaved = store.transact(move |tx| {
        let replay = tx.next_replay()?.unwrap();
        let read = BodyAside {
            id: replay.id,
            kind: replay.what.kind,
            connector: replay.what.connector.clone(),
            body: replay.what.body.clone(),
        };
        let left = SetAside {
            body: b"[1]".to_vec(),
            ..replay.what.clone()
        };
        assert!(tx.end_replay(&replay, std::slice::from_ref(&left), now)?);
        assert!(!tx.rewrite_body_aside(&read, Some(b"[2]"))?);
        assert!(!tx.rewrite_body_aside(&read, None)?);
        let again = BodyAside {
            body: left.body.clone(),
            ..read
        };
        assert_eq!(tx.all_set_aside()?, [left]);
        assert!(tx.rewrite_body_aside(&again, Some(b"[3]"))?);
        tx.all_set_aside()
    });
    assert_eq!(interleaved.await.unwrap()[0].body, b"[3]");
}
