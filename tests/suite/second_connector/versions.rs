//! Its versions: one gives way to another, what runs none, and what is said of them.

use harness::{
    caller::Caller,
    components::{self, misbehaving_as, rebuilt, reworded},
    program::{self, Program, printed, refused},
    webhook,
    world::World,
};
use serde_json::{Value, json};

use super::{ACCOUNT, Pushed, operator, person, seats};
use crate::privacy::{nowhere, somewhere};

/// How long a delivery may take to be applied by a program.
const LOOKS: usize = 600;

#[tokio::test]
async fn another_version_takes_over_and_hubspots_stays_as_it_was() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    pushed.push(json!([seats(1, 1)])).await;
    let of_hubspot = world.active("hubspot").digest().to_owned();

    let operator = operator(world);
    let other = rebuilt(components::webhook(), "another");
    let other = operator.install(other).await;
    // One runs: it is to be compared with that first.
    assert_eq!(operator.activate(&other, json!({})).await.status, 409);
    let forced = operator.activate(&other, json!({"force": true}));
    forced.await.good();
    assert_eq!(world.active("webhook").digest(), other);
    assert_eq!(world.active("hubspot").digest(), of_hubspot);
    pushed.push(json!([seats(2, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    let path = format!("/connections/{connection}/activity");
    let activity = world.get(&path).await.good();
    assert_eq!(activity[0]["plugin"], json!(other), "{activity:#}");
}

#[tokio::test]
async fn what_another_version_calls_choices_shows_without_another_push() {
    let (pushed, _) = Pushed::mapped().await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let said = json!({"email": "ana@example.com", "plan": "enterprise"});
    pushed.push(json!([person("p-1", 1, said)])).await;
    assert_eq!(pushed.values("ana@example.com").await["plan"], "Enterprise");
    let component = reworded(components::webhook(), "Enterprise", "Corporates");
    operator(world).run(component).await;
    world
        .until(async || pushed.values("ana@example.com").await["plan"] == "Corporates")
        .await;
}

#[tokio::test]
async fn what_comes_while_no_version_runs_is_set_aside_until_one_does() {
    let world = World::start().await;
    let url = world.host().url("/webhooks/webhook").to_string();
    assert_eq!(webhook::push(&url, &json!([seats(1, 3)])).await, 204);
    world.settle().await;
    let operator = operator(&world);
    let digest = operator.install(components::webhook()).await;
    operator.activate(&digest, json!({})).await.good();
    let pushed = Pushed { world, digest };
    let aside = pushed.set_aside().await;
    assert_eq!(aside.len(), 1);
    assert!(aside[0].contains("no plugin"), "{aside:?}");
    let connection = pushed.connect(ACCOUNT).await;
    pushed.map(&connection).await;
    let world = &pushed.world;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    pushed.work_again().await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 3.0);
}

#[tokio::test]
async fn what_comes_of_an_erased_record_while_no_version_runs_is_erased_when_one_does() {
    let world = World::start().await;
    let component = misbehaving_as("webhook", "nothing");
    let digest = operator(&world).run(component.clone()).await;
    let mut pushed = Pushed { world, digest };
    pushed.connect("7").await;
    let erased =
        json!({"changes": [{"element": 0, "type": "contacts", "kind": "erased", "at": 1}]});
    let of = |record: &str, text: &str| json!({"portalId": "7", "objectId": record, "text": text});
    let mut told = of("9", "nobody");
    told["say"] = erased;
    pushed.push(json!([told])).await;
    assert_eq!(pushed.world.count("SELECT count(*) FROM erasures"), 1);

    pushed.world.stop().await;
    let directory = pushed.world.directory.path().to_path_buf();
    let file = directory.join(format!("plugins/{}.wasm", pushed.digest));
    std::fs::write(&file, "damaged").unwrap();
    pushed.world.go_on().await;
    let both = json!([of("9", "Hildegard"), of("10", "Bertram")]);
    pushed.push(both).await;
    somewhere(&directory, &["Hildegard", "Bertram"]);

    pushed.world.stop().await;
    std::fs::write(&file, component).unwrap();
    pushed.world.go_on().await;
    pushed.world.settle().await;
    nowhere(&directory, &["Hildegard"]);
    somewhere(&directory, &["Bertram"]);
    assert_eq!(pushed.set_aside().await.len(), 1);
}

#[tokio::test]
async fn where_its_version_is_damaged_none_runs_and_what_came_is_done_once_it_is_mended() {
    let (mut pushed, _) = Pushed::mapped().await;
    let users = json!([{"email": "ana@example.com"}]);
    pushed.world.put_users(users).await;
    pushed.push(json!([seats(1, 1)])).await;
    pushed.world.stop().await;
    let kept = format!("plugins/{}.wasm", pushed.digest);
    let kept = pushed.world.directory.path().join(kept);
    let mut damaged = components::webhook().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, damaged).unwrap();
    pushed.world.go_on().await;

    pushed.push(json!([seats(2, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 1.0);
    let aside = pushed.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].contains("no plugin"), "{aside:?}");
    let operator = operator(&pushed.world);
    let listed = operator.get("/plugins").await.good();
    let problem = &listed["problems"][0];
    assert_eq!(problem["connector"], "webhook", "{listed:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("damaged"), "{detail}");
    let is_active = |listed: &Value| {
        let mut versions = listed["versions"].as_array().unwrap().iter();
        let it = versions.find(|version| version["digest"] == pushed.digest);
        it.unwrap()["active"].clone()
    };
    assert_eq!(is_active(&listed), false, "{listed:#}");
    let problems = "jimo_connect_plugin_fallback 1\n";
    assert!(pushed.metrics().await.contains(problems));

    // The same file, and the same version is activated once more.
    assert_eq!(operator.install(components::webhook()).await, pushed.digest);
    operator.activate(&pushed.digest, json!({})).await.good();
    let listed = operator.get("/plugins").await.good();
    assert_eq!(listed["problems"], json!([]));
    assert_eq!(is_active(&listed), true, "{listed:#}");
    let problems = "jimo_connect_plugin_fallback 0\n";
    assert!(pushed.metrics().await.contains(problems));
    pushed.work_again().await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
}

#[tokio::test]
async fn what_serves_one_connection_serves_it_again_once_any_version_runs() {
    let (mut pushed, connection) = Pushed::mapped().await;
    let other = rebuilt(components::webhook(), "another");
    let other = operator(&pushed.world).install(other).await;
    let path = format!("/plugins/{other}/activate");
    let alone = json!({"connection": connection, "force": true});
    let asked = operator(&pushed.world).post(&path, alone).await;
    assert_eq!(asked.good()["active"], true);
    pushed.world.stop().await;
    let kept = format!("plugins/{}.wasm", pushed.digest);
    std::fs::write(pushed.world.directory.path().join(kept), "damaged").unwrap();
    pushed.world.go_on().await;

    let serves = async |pushed: &Pushed| {
        let (operator, path) = (operator(&pushed.world), format!("/plugins/{other}"));
        operator.get(&path).await.good()["serves_alone"].clone()
    };
    assert_eq!(serves(&pushed).await, json!([]));
    let types = format!("/connections/{connection}/object-types");
    let told = pushed.world.get(&types).await.problem(503);
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("operator"), "{detail}");

    let operator = operator(&pushed.world);
    operator.run(components::webhook()).await;
    let expected = json!([connection]);
    let world = &pushed.world;
    world
        .until(async || serves(&pushed).await == expected)
        .await;
    let users = json!([{"email": "ana@example.com"}]);
    pushed.world.put_users(users).await;
    pushed.push(json!([seats(1, 1)])).await;
    let path = format!("/connections/{connection}/activity?outcome=updated");
    let told = pushed.world.get(&path).await.good();
    assert_eq!(told[0]["plugin"], json!(other), "{told:#}");
}

#[tokio::test]
async fn a_connection_can_be_given_back_though_no_version_runs() {
    let (mut pushed, connection) = Pushed::mapped().await;
    let other = rebuilt(components::webhook(), "another");
    let other = operator(&pushed.world).install(other).await;
    let path = format!("/plugins/{other}/activate");
    let alone = json!({"connection": connection, "force": true});
    operator(&pushed.world).post(&path, alone).await.good();
    pushed.world.stop().await;
    let kept = format!("plugins/{}.wasm", pushed.digest);
    std::fs::write(pushed.world.directory.path().join(kept), "damaged").unwrap();
    pushed.world.go_on().await;
    let back = json!({"connection": connection});
    let operator = operator(&pushed.world);
    operator
        .post("/plugins/rollback", back.clone())
        .await
        .good();
    assert_eq!(operator.post("/plugins/rollback", back).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn to_go_back_takes_the_connector_where_there_are_two() {
    let pushed = Pushed::start().await;
    let operator = operator(&pushed.world);
    let other = operator
        .run(rebuilt(components::webhook(), "another"))
        .await;
    let which = "which connector: hubspot, webhook";
    let told = operator.post("/plugins/rollback", json!({})).await;
    let told = told.problem(409);
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains(which), "{detail}");
    let directory = pushed.world.directory.path();
    let told = refused(directory, &["plugin", "rollback"]);
    assert!(told.contains(which), "{told}");
    assert_eq!(pushed.world.active("webhook").digest(), other);

    let rollback = ["plugin", "rollback", "--connector", "webhook"];
    assert!(printed(directory, &rollback).contains(&pushed.digest));
    assert_eq!(pushed.world.active("webhook").digest(), pushed.digest);
    let none = refused(directory, &rollback);
    assert!(none.contains("no version to go back to"), "{none}");
}

/// A contact of [`ACCOUNT`] at a moment, as the misbehaving plugin reads what is pushed.
pub(super) fn contact(at: i64, city: &str) -> Value {
    json!({
        "portalId": ACCOUNT, "objectId": "p-1", "id": "p-1", "at": at,
        "properties": {"email": "ana@example.com", "city": city},
    })
}

pub(super) fn cities() -> Value {
    json!({"contacts": {"fields": [{"property": "city", "variable": "city"}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_tells_what_another_version_would_make_of_records_that_were_pushed() {
    let world = World::start().await;
    let operator = operator(&world);
    let digest = operator.run(misbehaving_as("webhook", "nothing")).await;
    let pushed = Pushed { world, digest };
    let connection = pushed.connect(ACCOUNT).await;
    let path = format!("/connections/{connection}/mappings");
    pushed.world.put(&path, cities()).await.good();
    let users = json!([{"email": "ana@example.com"}]);
    let ana = pushed.world.put_users(users).await.remove(0);
    for (at, city) in [(1, "Oslo"), (2, "Lyon")] {
        pushed.push(json!([contact(at, city)])).await;
        assert_eq!(pushed.values("ana@example.com").await["city"], city);
    }

    let other = misbehaving_as("webhook", "read otherwise");
    let other = operator.install(other).await;
    let path = format!("/plugins/{other}/shadow");
    operator.post(&path, json!({})).await.good();
    let shadow = async || operator.get(&path).await.good();
    let is_done = async || !shadow().await["caught_up_at"].is_null();
    pushed.world.until(is_done).await;
    let shadow = shadow().await;
    assert_eq!(shadow["against"], pushed.digest, "{shadow:#}");
    // What is kept of the record, and both that was pushed.
    assert_eq!(shadow["compared"]["kept_texts"], 1, "{shadow:#}");
    assert_eq!(shadow["difference_count"], 3, "{shadow:#}");
    // Of a source that only pushes all stands in the log.
    assert_eq!(shadow["unseen"], Value::Null, "{shadow:#}");
    let directory = pushed.world.directory.path();
    // By the name that says what it does, too.
    let told = printed(directory, &["plugin", "replay", &other]);
    assert!(told.contains(&format!("shadow\t{other}")), "{told}");
    assert!(!told.contains("not seen"), "{told}");
    let mut examples = shadow["examples"].as_array().unwrap().iter();
    let of_the_first = examples.find(|example| example["active"] == json!({"value": "Oslo"}));
    let of_the_first = of_the_first.expect("an example of what stands in the log alone");
    for (name, said) in [
        ("kind", json!("value")),
        ("connection", json!(connection)),
        ("object_type", json!("contacts")),
        ("name", json!("city")),
        ("record", json!("p-1")),
        ("users", json!([ana])),
        ("variable", json!("city")),
        ("candidate", json!({"value": "OSLO"})),
    ] {
        assert_eq!(of_the_first[name], said, "{name}: {shadow:#}");
    }
    // Nothing of it is applied.
    assert_eq!(pushed.values("ana@example.com").await["city"], "Lyon");
    operator.activate(&other, json!({})).await.good();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_first_version_stays_however_often_it_fails_for_there_is_none_before() {
    let directory = tempfile::TempDir::new().unwrap();
    let directory = directory.path();
    let secrets = webhook::secrets();
    let mut settings = program::alone().to_vec();
    settings.push(("JIMO_CONNECTOR_SECRETS", &secrets));
    let host = Program::start(directory, &settings);
    let component = directory.join("first.wasm");
    std::fs::write(&component, misbehaving_as("webhook", "nothing")).unwrap();
    let install = ["plugin", "install", component.to_str().unwrap()];
    let digest = printed(directory, &install);
    let digest = digest.rsplit(' ').next().unwrap();
    printed(directory, &["plugin", "activate", digest]);

    let project = printed(directory, &["project", "create", "Acme"]);
    let project = project.rsplit(' ').next().unwrap();
    let token = ["token", "create", "--project", project, "--role", "admin"];
    let token = printed(directory, &token);
    let admin = Caller::at(&host.url, &token);
    let connections = format!("/projects/{project}/connections");
    let key = webhook::connection_key(ACCOUNT);
    let body = json!({"connector": "webhook", "account": ACCOUNT, "key": key});
    let connection = admin.post(&connections, body).await.good();
    let id = connection["id"].as_str().unwrap();
    let path = format!("{connections}/{id}/mappings");
    let request = admin.request(reqwest::Method::PUT, &path).json(&cities());
    harness::answer::Answer::of(request).await.good();
    let users = format!("/projects/{project}/users");
    let body = json!({"users": [{"email": "ana@example.com"}]});
    let request = admin.request(reqwest::Method::PUT, &users).json(&body);
    harness::answer::Answer::of(request).await.good();

    let url = format!("{}/webhooks/webhook", host.url);
    for _ in 0..30 {
        let mut trapping = contact(1, "Oslo");
        trapping["misbehave"] = json!("trap");
        assert_eq!(webhook::push(&url, &json!([trapping])).await, 204);
    }
    let line = host
        .line(|line| {
            let message = line["fields"]["message"].as_str().unwrap_or_default();
            message.contains("fails too often, and there is none to go back to")
        })
        .await;
    assert_eq!(line["fields"]["digest"], digest, "{line}");
    // Whoever looks is told, after a restart too.
    let failing = "passes failed";
    let told = || {
        let listed = printed(directory, &["plugin", "list"]);
        listed.contains("fails too often, and there is none to go back to")
    };
    for _ in 0..LOOKS {
        if told() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(told());
    host.kill();
    let host = Program::start(directory, &settings);
    assert!(told());
    let operator = ["token", "create", "--operator"];
    let operator = Caller::at(&host.url, &printed(directory, &operator));
    let plugins = operator.get("/plugins").await.good();
    let failing_one = &plugins["failing"][0];
    assert_eq!(failing_one["connector"], "webhook", "{plugins:#}");
    assert!(failing_one["detail"].as_str().unwrap().contains(failing));
    assert_eq!(plugins["problems"], json!([]));
    let client = harness::bare::client();
    let health = client
        .get(format!("{}/health", host.url))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let health: Value = health.json().await.unwrap();
    assert_eq!(health["ready"], json!(true));
    let problem = health["problems"][0].as_str().unwrap();
    assert!(problem.contains(failing), "{health}");
    let metrics = client
        .get(format!("{}/metrics", host.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("jimo_connect_plugins_failing 1"),
        "{metrics}"
    );
    let admin = Caller::at(&host.url, &token);
    let url = format!("{}/webhooks/webhook", host.url);
    // It goes on with what it can read.
    let body = json!([contact(2, "Lyon")]);
    assert_eq!(webhook::push(&url, &body).await, 204);
    let mut city = Value::Null;
    for _ in 0..LOOKS {
        let found = admin.get(&users).await.good();
        let user = found["users"][0]["id"].as_str().unwrap();
        let user = admin.get(&format!("{users}/{user}")).await.good();
        city = user["variables"]["city"]["value"].clone();
        if !city.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(city, "Lyon");
    let listed = printed(directory, &["plugin", "list"]);
    let mut active = listed.lines().filter(|line| line.starts_with('*'));
    assert!(active.any(|line| line.contains(&digest[..12])), "{listed}");
    let inspected = printed(directory, &["plugin", "inspect", digest]);
    assert_eq!(inspected.matches("became active").count(), 1, "{inspected}");
    assert!(!inspected.contains("automatic"), "{inspected}");
    // Until it does well: then nothing is said of it any more.
    for at in 3..500 {
        let body = json!([contact(at, "Lyon")]);
        assert_eq!(webhook::push(&url, &body).await, 204);
        if !told() {
            break;
        }
    }
    assert!(!told());
    host.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_a_version_says_that_it_understands() {
    let mut pushed = Pushed::start().await;
    let path = format!("/plugins/{}", pushed.digest);
    let told = operator(&pushed.world).get(&path).await.good();
    let described = json!({
        "bodies": ["delivery"],
        "defines_properties": true,
        "object_types": [
            {
                "name": "people", "label": "People", "through": [], "selections": [],
                "default_match": {"property": "email", "identifier": "email"},
            },
            {
                "name": "workspaces", "label": "Workspaces", "through": [],
                "selections": ["latest_modified", "largest"],
                "default_match": {"property": "owner_id", "identifier": "external_id"},
            },
        ],
    });
    assert_eq!(told["description"], described, "{told:#}");
    let inspected = |world: &World, digest: &str| {
        printed(world.directory.path(), &["plugin", "inspect", digest])
    };
    let lines = inspected(&pushed.world, &pushed.digest);
    for line in [
        "reads\tdeliveries\n",
        "properties\ttold by the component\n",
        "object type\tpeople (People)\tmatched email = email\t",
    ] {
        assert!(lines.contains(line), "{lines}");
    }
    let hubspot = pushed.world.active("hubspot").digest().to_owned();
    let lines = inspected(&pushed.world, &hubspot);
    for line in [
        "reads\tdeliveries, journal files, pages of records, pages of associations\n",
        "object type\tdeals (Deals)\tmatched through ",
    ] {
        assert!(lines.contains(line), "{lines}");
    }

    // What was installed before that was kept is described once it runs again.
    pushed.world.stop().await;
    let forgotten = "UPDATE plugin_versions SET description = NULL";
    pushed.world.tamper(forgotten).await;
    let lines = inspected(&pushed.world, &pushed.digest);
    assert!(lines.contains("understands\t-\n"), "{lines}");
    pushed.world.go_on().await;
    let told = operator(&pushed.world).get(&path).await.good();
    assert_eq!(told["description"], described, "{told:#}");
}
