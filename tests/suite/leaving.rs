//! Leaving: what becomes of a connection that is deleted, and of those beside it.

use std::collections::BTreeMap;

use harness::world::World;
use hubspot_sim::{FaultRule, Link, Route, Trouble};
use jimo_connect::store::projects::Role;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Everything that is kept of a connection or its account, by what names it.
const KEPT: [(&str, &str); 25] = [
    ("records", "connection = 1"),
    ("match_keys", "connection = 1"),
    ("links", "true"),
    ("associations", "true"),
    ("association_registers", "true"),
    ("registers", "true"),
    ("feeds", "true"),
    ("object_mappings", "connection = 1"),
    ("fields", "true"),
    ("activity", "connection = 1"),
    ("counts", "connection = 1"),
    ("freshness", "connection = 1"),
    ("hours", "connection = 1"),
    ("alert_channels", "connection = 1"),
    ("alerts", "connection = 1"),
    ("alert_messages", "true"),
    ("runs", "connection = 1"),
    ("run_counts", "true"),
    ("proofs", "true"),
    ("lookups", "true"),
    ("label_reads", "account = 1"),
    ("reads", "account = 1"),
    ("set_aside", "account = '1001'"),
    ("option_tables", "account = 1"),
    ("user_values", "field IS NOT NULL OR record IS NOT NULL"),
];

fn mappings() -> Value {
    json!({
        "contacts": {"fields": [
            {"property": "jobtitle", "variable": "job_title"},
            {"property": "lifecyclestage", "variable": "stage", "show": "label"},
        ]},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
    })
}

/// Users, one of whom a contact with a company feeds: the user's id and the
/// contact's.
async fn ana(world: &World) -> (String, u64) {
    let user = json!([{"email": "ana@example.com"}]);
    let user = world.put_users(user).await.remove(0);
    let account = world.account(PORTAL);
    let values = [
        ("email", "ana@example.com"),
        ("jobtitle", "Baker"),
        ("lifecyclestage", "lead"),
    ];
    let contact = account.create("contacts", &values).unwrap();
    let company = account.create("companies", &[("name", "Acme")]).unwrap();
    account
        .associate(("contacts", contact), ("companies", company), Link::Plain)
        .unwrap();
    world.settle().await;
    account
        .patch("contacts", contact, &[("jobtitle", "Cook")])
        .unwrap();
    world.settle().await;
    (user, contact)
}

fn ana_has() -> Value {
    json!({"job_title": "Cook", "stage": "Lead", "company": "Acme"})
}

fn store(world: &World) -> Connection {
    let path = world.directory.path().join("store.sqlite");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// How many rows there are of each kind.
fn kept(world: &World) -> BTreeMap<&'static str, i64> {
    let store = store(world);
    let count = |(table, condition)| {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let count = store.query_one(&sql, [], |row| row.get(0)).unwrap();
        (table, count)
    };
    KEPT.map(count).into_iter().collect()
}

/// Goes over to another project, of the same name, with a token of its own.
/// Returns the one before.
async fn another_project(world: &mut World) -> (String, String) {
    let id = world.make_project("Southwind").await;
    let token = world.make_token(Some(&id), Role::Admin).await;
    let before = std::mem::replace(&mut world.project, id);
    (before, std::mem::replace(&mut world.token, token))
}

fn go_back(world: &mut World, (project, token): (String, String)) -> (String, String) {
    let project = std::mem::replace(&mut world.project, project);
    (project, std::mem::replace(&mut world.token, token))
}

fn revocations(world: &World) -> usize {
    let calls = world.sim.calls();
    let made = calls.iter().filter(|call| call.path.ends_with("/revoke"));
    made.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_but_jimos_own_is_purged() {
    for (values, left) in [("keep", ana_has()), ("clear", json!({}))] {
        let world = World::start().await;
        let id = world.connect(PORTAL).await;
        world.map(&id, mappings()).await;
        let (user, contact) = ana(&world).await;
        // An event that is refused, runs, a record that waits to be read and a
        // user to be looked up.
        let app = world.sim.app();
        let event = json!([{
            "portalId": PORTAL, "appId": app.id, "objectId": contact,
            "subscriptionType": "contact.creation",
        }]);
        let url = world.host().url(jimo_connect::intake::PATH);
        let sent =
            harness::bare::deliver(url.as_str(), &app.client_secret, event.to_string().into());
        assert_eq!(sent.await.unwrap(), 204);
        let path = format!("/connections/{id}");
        for kind in ["full", "catch_up"] {
            let run = world
                .post(&format!("{path}/syncs"), json!({ "kind": kind }))
                .await;
            assert_eq!(run.status, 202);
            world.settle().await;
        }
        world
            .sim
            .inject(FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead));
        world
            .account(PORTAL)
            .create("contacts", &[("email", "ben@example.com")])
            .unwrap();
        world
            .put_users(json!([{"email": "cleo@example.com"}]))
            .await;
        world.applied().await;
        assert_eq!(world.values(&user).await, ana_has());
        // Nobody listens at port 9, so what is told of it waits.
        let channel = json!({"kind": "webhook", "to": "http://127.0.0.1:9/"});
        world
            .post(&format!("{path}/alert-channels"), channel)
            .await
            .good();
        world
            .tamper(
                "INSERT INTO alerts SELECT id, 'late', '{}', 0 FROM connections;
                 INSERT INTO alert_messages (channel, message, not_before)
                    SELECT id, '{}', 9e15 FROM alert_channels;",
            )
            .await;
        let before = kept(&world);
        assert!(before.values().all(|count| *count > 0), "{before:?}");

        let deleted = world.delete(&format!("{path}?values={values}")).await;
        assert_eq!(deleted.status, 204);
        assert_eq!(world.values(&user).await, left);
        let released = "SELECT count(*) FROM releases";
        let is_purged =
            async || kept(&world).values().all(|count| *count == 0) && world.count(released) == 0;
        world.until(is_purged).await;
        // What is kept is Jimo's own, and is written by it.
        let held = world.user(&user).await;
        for (name, value) in held["variables"].as_object().unwrap() {
            assert_eq!(value["source"], json!({"kind": "jimo"}), "{name}");
        }
        let own = json!([{"email": "ana@example.com", "variables": {"job_title": "Boss"}}]);
        world.put_users(own).await;
        assert_eq!(world.values(&user).await["job_title"], "Boss");
        world.until(async || revocations(&world) == 1).await;
        assert!(!world.account(PORTAL).is_installed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_answer_on_nothing_is_taken_in_or_read() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    world.map(&id, mappings()).await;
    let (user, contact) = ana(&world).await;
    // A read is under way, and is answered after the deletion.
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::BatchRead);
    world.sim.inject(held);
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("email", "ben@example.com")])
        .unwrap();
    let asked = |route: Route| {
        let calls = world.sim.calls();
        calls.iter().filter(|call| call.route == route).count()
    };
    world.until(async || asked(Route::BatchRead) == 1).await;
    let deleted = world.delete(&format!("/connections/{id}")).await;
    assert_eq!(deleted.status, 204);
    world.sim.clear_calls();
    world.sim.clear_faults();
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    account
        .create("contacts", &[("email", "cy@example.com")])
        .unwrap();
    world.settle().await;
    world.until(async || revocations(&world) == 1).await;
    assert_eq!(world.values(&user).await, ana_has());
    let reads = [Route::BatchRead, Route::Associations, Route::Search];
    assert_eq!(reads.map(asked), [0; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_with_one_project_leaves_the_other_as_it_is() {
    let mut world = World::start().await;
    let first = world.connect(PORTAL).await;
    world.map(&first, mappings()).await;
    let before = another_project(&mut world).await;
    let second = world.connect(PORTAL).await;
    world.map(&second, mappings()).await;
    let (user, contact) = ana(&world).await;
    // A run is under way, with reads of its own.
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::BatchRead);
    world.sim.inject(held);
    let path = format!("/connections/{second}/syncs");
    let run = world.post(&path, json!({"kind": "full"})).await;
    let run = run.good()["id"].as_str().unwrap().to_owned();
    let south = go_back(&mut world, before);
    let deleted = world
        .delete(&format!("/connections/{first}?values=clear"))
        .await;
    assert_eq!(deleted.status, 204);
    let north = go_back(&mut world, south);
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&user).await, ana_has());
    let ended = world.get(&format!("{path}/{run}")).await.good();
    assert_eq!(ended["status"], "completed", "{ended:#}");
    // Live, and by a catch-up of what no webhook told.
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("jobtitle", "Chef")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&user).await["job_title"], "Chef");
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    account
        .patch("contacts", contact, &[("jobtitle", "Owner")])
        .unwrap();
    let caught = world.post(&path, json!({"kind": "catch_up"})).await;
    assert_eq!(caught.status, 202);
    world.settle().await;
    assert_eq!(world.values(&user).await["job_title"], "Owner");
    assert_eq!(revocations(&world), 0);
    assert!(account.is_installed());
    // The first has none of its users' values, and nothing is kept for it.
    let south = go_back(&mut world, north);
    world
        .get(&format!("/connections/{first}"))
        .await
        .problem(404);
    let store = store(&world);
    let of_first = "SELECT count(*) FROM records WHERE connection = 1";
    world
        .until(async || {
            let left: i64 = store.query_one(of_first, [], |row| row.get(0)).unwrap();
            left == 0
        })
        .await;
    go_back(&mut world, south);
    let deleted = world.delete(&format!("/connections/{second}")).await;
    assert_eq!(deleted.status, 204);
    world.until(async || !account.is_installed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_grants_that_hubspot_does_not_answer_for_hold_up_no_other() {
    const HANGING: u64 = 100;
    let world = World::start().await;
    let mut connections = Vec::new();
    for portal in PORTAL..=PORTAL + HANGING {
        connections.push(world.connect(portal).await);
    }
    let last = connections.pop().unwrap();
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::Token);
    world.sim.inject(held);
    for id in connections {
        let deleted = world.delete(&format!("/connections/{id}")).await;
        assert_eq!(deleted.status, 204);
    }
    let deleted = world.delete(&format!("/connections/{last}")).await;
    assert_eq!(deleted.status, 204);
    // It is carried out, though its answer is held as well.
    let account = world.account(PORTAL + HANGING);
    world.until(async || !account.is_installed()).await;
    let untried = "SELECT count(*) FROM revocations WHERE attempts = 0";
    let untried: i64 = store(&world)
        .query_one(untried, [], |row| row.get(0))
        .unwrap();
    assert_eq!(untried, 101, "none of the others was over by then");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_hubspot_does_not_take_waits_though_it_is_told_to_come_at_once() {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let at_once = FaultRule::by_chance(Trouble::RetryAfter(503, 0), 1.0).on(Route::Token);
    world.sim.inject(at_once);
    let soonest = world.clock.now().0 + 10_000;
    let deleted = world.delete(&format!("/connections/{id}")).await;
    assert_eq!(deleted.status, 204);
    let tried = "SELECT count(*) FROM revocations WHERE attempts > 0";
    world.until(async || world.count(tried) == 1).await;
    assert!(world.count("SELECT not_before FROM revocations") >= soonest);
}
