//! What is compared, from where, and that nothing waits for it.

use std::{process::Command, time::Duration};

use harness::{
    bare::{BareHost, client, deliver},
    components::{misbehaving_as, rebuilt},
    program::{self, Program},
    world::World,
};
use jimo_connect::{
    intake,
    log::{Entry, EntryKind, Lane},
    plugin::{EMBEDDED, digest},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Operator, PORTAL, ana, as_always, count, created, examples, well};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_version_reads_otherwise_is_told_with_whose_it_is_and_both_values() {
    let world = World::start().await;
    let (connection, user, contact) = ana(&world).await;
    let operator = Operator::of(world.host()).await;
    let active = operator.install(misbehaving_as("hubspot", "nothing")).await;
    assert_eq!(operator.activate(&active, true).await.0, 200);
    let title = |record: u64, title: &str| {
        json!([{
            "portalId": PORTAL, "objectId": record, "at": world.clock.now().0,
            "property": "jobtitle", "text": title,
        }])
    };
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    let before = *world.host().log.tail().borrow();
    // Of a stranger, too: of whom nothing is kept.
    for event in [title(contact, "Chef"), title(987_654, "Spy")] {
        let body = event.to_string().into_bytes();
        assert_eq!(deliver(&webhooks, &secret, body).await.unwrap(), 204);
    }
    world.settle().await;
    assert_eq!(world.values(&user).await, json!({"job_title": "Chef"}));
    let tally = world.active("hubspot").tally();

    let other = misbehaving_as("hubspot", "read otherwise");
    let other = operator.install(other).await;
    let entries = u64::try_from(before.0).unwrap() + 2;
    let shadow = operator.shadowed(&other, entries).await;
    assert_eq!(shadow["against"], active);
    // The register's text, and what both events said.
    assert_eq!(count(&shadow, "value"), 3, "{shadow:#}");
    assert_eq!(shadow["difference_count"], 3, "{shadow:#}");
    assert_eq!(shadow["compared"]["kept_texts"], 1);
    let told = examples(&shadow, "value");
    assert_eq!(told.len(), 2, "{shadow:#}");
    for example in told {
        let record = contact.to_string();
        for (name, said) in [
            ("connection", json!(connection)),
            ("object_type", json!("contacts")),
            ("name", json!("jobtitle")),
            ("record", json!(record)),
            ("users", json!([user])),
            ("user_count", json!(1)),
            ("variable", json!("job_title")),
            ("active", json!({"value": "Chef"})),
            ("candidate", json!({"value": "CHEF"})),
        ] {
            assert_eq!(example[name], said, "{name}: {example:#}");
        }
    }
    // Nothing of it is applied, or counts for or against a version.
    assert_eq!(world.values(&user).await, json!({"job_title": "Chef"}));
    assert_eq!(world.active("hubspot").tally(), tally);
    world
        .until(async || {
            let metrics = client().get(world.host().url("/metrics")).send().await;
            let metrics = metrics.unwrap().text().await.unwrap();
            metrics.contains("jimo_connect_plugin_shadow_work_seconds_total")
                && metrics.contains("jimo_connect_plugin_shadow_waiting 0")
                && metrics.contains("jimo_connect_plugin_shadow_differences 3")
        })
        .await;

    // Whoever has looked may switch; then it shadows no more.
    let (status, switched) = operator.activate(&other, false).await;
    assert_eq!((status, &switched["difference_count"]), (200, &json!(3)));
    assert!(!operator.has_shadow(&other).await);
    assert_eq!(world.count("SELECT count(*) FROM shadow_examples"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_where_the_active_one_does_not_is_activated_by_force_alone() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    host.connect("1", "city").await;
    let both = r#"[{"portalId":1,"objectId":9,"misbehave":"trap"}]"#.to_owned();
    for body in [well(1), as_always(2), both, well(3)] {
        assert_eq!(host.deliver(body).await, 204);
    }
    host.applied().await;
    assert_eq!(host.set_aside().await.len(), 1);
    let operator = Operator::of(&host.host).await;
    let bad = operator.install(misbehaving_as("hubspot", "trap")).await;
    let (status, told) = operator.activate(&bad, false).await;
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("has compared it"));

    let shadow = operator.shadowed(&bad, 4).await;
    assert_eq!(count(&shadow, "fault_added"), 1, "{shadow:#}");
    assert_eq!(count(&shadow, "fault_missing"), 0, "{shadow:#}");
    let told = examples(&shadow, "fault_added");
    assert_eq!(told[0]["position"], 2, "{shadow:#}");
    let reason = told[0]["candidate"]["reason"].as_str().unwrap();
    assert!(reason.contains("trapped"), "{reason}");
    // What it would have said is missing.
    assert_eq!(count(&shadow, "change_missing"), 1, "{shadow:#}");
    assert_eq!(host.set_aside().await.len(), 1);

    let (status, told) = operator.activate(&bad, false).await;
    assert_eq!(status, 409, "{told}");
    let told = told["detail"].as_str().unwrap();
    assert!(
        told.contains("failed 1 times") && told.contains("--force"),
        "{told}"
    );
    assert_eq!(operator.activate(&bad, true).await.0, 200);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_version_differs_in_nothing_and_is_activated_without_force() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let change = |record: u64| {
        format!(
            r#"[{{"portalId":1,"objectId":{record},"occurredAt":1,"propertyName":"city",
                 "propertyValue":"Lyon","subscriptionType":"contact.propertyChange"}}]"#
        )
    };
    for body in [change(1), change(2), "[1,]".to_owned(), change(3)] {
        assert_eq!(host.deliver(body).await, 204);
    }
    let operator = Operator::of(&host.host).await;
    let one = operator.install(rebuilt(EMBEDDED, "one")).await;
    let two = operator.install(rebuilt(EMBEDDED, "two")).await;
    let shadow = operator.shadowed(&one, 4).await;
    assert_eq!(shadow["difference_count"], 0, "{shadow:#}");
    assert_eq!(shadow["compared"]["events"], 3, "{shadow:#}");
    assert_eq!(shadow["compared"]["mappings"], 1, "{shadow:#}");
    assert!(shadow["compared"]["passes"].as_u64().unwrap() > 0);
    assert!(
        shadow["unseen"]
            .as_str()
            .unwrap()
            .contains("pages of records")
    );
    let listed = operator.send(Method::GET, "", None).await.1;
    assert_eq!(listed["shadows"][0]["digest"], one, "{listed:#}");

    // It follows what comes.
    assert_eq!(host.deliver(change(4)).await, 204);
    operator
        .until(&one, |shadow| shadow["compared"]["entries"] == 5)
        .await;
    // Where another version becomes active, all is compared with that.
    assert_eq!(operator.activate(&two, true).await.0, 200);
    let shadow = operator
        .until(&one, |shadow| {
            shadow["against"] == two && !shadow["caught_up_at"].is_null()
        })
        .await;
    assert_eq!(shadow["compared"]["entries"], 5, "{shadow:#}");
    // Where another shadows, this one does no more.
    let built_in = digest(EMBEDDED);
    operator.start(&built_in).await;
    assert!(!operator.has_shadow(&one).await);
    operator.shadowed(&one, 5).await;
    let (status, switched) = operator.activate(&one, false).await;
    assert_eq!((status, &switched["difference_count"]), (200, &json!(0)));
    assert!(!operator.has_shadow(&one).await);
    // The active one is not compared with itself.
    let path = format!("/{one}/shadow");
    assert_eq!(operator.send(Method::POST, &path, None).await.0, 409);
    // What is removed shadows no more; nor does what is told to end.
    operator.start(&two).await;
    let path = format!("/{two}");
    assert_eq!(operator.send(Method::DELETE, &path, None).await.0, 204);
    operator.start(&built_in).await;
    let path = format!("/{built_in}/shadow");
    assert_eq!(operator.send(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(operator.send(Method::DELETE, &path, None).await.0, 404);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_damaged_since_holds_nothing_against_a_version() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    for record in 1..=3 {
        assert_eq!(host.deliver(created(record)).await, 204);
    }
    host.applied().await;
    let log = rusqlite::Connection::open(host.directory.path().join("log.sqlite")).unwrap();
    let damage = "UPDATE entries SET body = x'ff', uncompressed_bytes = 300 WHERE position = 2";
    assert_eq!(log.execute(damage, []).unwrap(), 1);
    let operator = Operator::of(&host.host).await;
    let digest = operator.install(rebuilt(EMBEDDED, "another")).await;
    let shadow = operator.shadowed(&digest, 3).await;
    // The others are compared.
    assert_eq!(shadow["compared"]["events"], 2, "{shadow:#}");
    assert_eq!(shadow["difference_count"], 0, "{shadow:#}");
    assert!(host.set_aside().await.is_empty());
    assert_eq!(operator.activate(&digest, false).await.0, 200);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_answered_and_applied_while_a_version_spins() {
    let built_in = misbehaving_as("hubspot", "nothing");
    let host = BareHost::start(&built_in).await;
    let account = host.connect("1", "city").await;
    // Each of these takes it seconds, and as long again four times to rest.
    for record in 1..=40 {
        let body = match record {
            20.. => as_always(record),
            _ => well(record),
        };
        assert_eq!(host.deliver(body).await, 204);
    }
    let operator = Operator::of(&host.host).await;
    let spins = operator.install(misbehaving_as("hubspot", "spin")).await;
    operator.start(&spins).await;
    let spinning = |shadow: &Value| shadow["compared"]["entries"].as_u64().unwrap() >= 16;
    operator.until(&spins, spinning).await;
    for record in 41..=60 {
        assert_eq!(host.deliver(well(record)).await, 204);
    }
    host.applied().await;
    assert_eq!(host.waiting_reads(account).await, 60);
    // All that was meanwhile, and waited for none of it.
    let shadow = operator.shadow(&spins).await;
    assert!(shadow["caught_up_at"].is_null(), "{shadow:#}");
    let (status, told) = operator.activate(&spins, false).await;
    assert_eq!(status, 409, "{told}");
    assert!(
        told["detail"].as_str().unwrap().contains("not reached"),
        "{told}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_on_several_bodies_and_on_none_alone_is_a_failure() {
    let built_in = misbehaving_as("hubspot", "nothing");
    let host = BareHost::start(&built_in).await;
    host.connect("1", "city").await;
    for record in 1..=5 {
        assert_eq!(host.deliver(as_always(record)).await, 204);
    }
    let operator = Operator::of(&host.host).await;
    let spins = misbehaving_as("hubspot", "spin on several");
    let spins = operator.install(spins).await;
    let shadow = operator.shadowed(&spins, 5).await;
    assert_eq!(count(&shadow, "fault_added"), 0, "{shadow:#}");
    let (status, told) = operator.activate(&spins, false).await;
    assert_eq!(status, 409, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("failed 1 times"), "{told}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_goes_on_and_counts_everything_once() {
    let built_in = misbehaving_as("hubspot", "nothing");
    let host = BareHost::start(&built_in).await;
    host.connect("1", "city").await;
    let mut bytes = 0;
    for record in 1..=60 {
        let body = match record {
            30 => as_always(record),
            _ => well(record),
        };
        bytes += body.len();
        assert_eq!(host.deliver(body).await, 204);
    }
    let operator = Operator::of(&host.host).await;
    let spins = operator.install(misbehaving_as("hubspot", "spin")).await;
    operator.start(&spins).await;
    let spinning = |shadow: &Value| shadow["compared"]["entries"].as_u64().unwrap() >= 16;
    operator.until(&spins, spinning).await;
    let directory = host.stop().await;
    let host = BareHost::start_in(directory, &built_in).await;
    let operator = Operator::of(&host.host).await;
    let at_first = operator.shadow(&spins).await;
    assert!(at_first["compared"]["entries"].as_u64().unwrap() >= 16);
    let shadow = operator
        .until(&spins, |shadow| !shadow["caught_up_at"].is_null())
        .await;
    // Everything once.
    assert_eq!(shadow["compared"]["entries"], 60, "{shadow:#}");
    assert_eq!(shadow["compared"]["bytes"], bytes, "{shadow:#}");
    assert_eq!(count(&shadow, "fault_added"), 1, "{shadow:#}");
    let told = examples(&shadow, "fault_added");
    assert_eq!(told[0]["position"], 30, "{shadow:#}");
    let reason = told[0]["candidate"]["reason"].as_str().unwrap();
    assert!(reason.contains("stopped after"), "{reason}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_looks_as_far_back_as_it_is_told_and_nothing_there_is_no_comparison() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let now = host.host.clock.now();
    for hours in [70, 30, 20, 7, 5, 3, 1] {
        let entry = Entry {
            kind: EntryKind::Delivery,
            connector: "hubspot".into(),
            lane: Lane(1),
            received_at: now.minus(Duration::from_secs(hours * 3_600)),
            body: created(hours).into(),
        };
        host.host.log.append(entry).await.unwrap();
    }
    host.applied().await;
    let operator = Operator::of(&host.host).await;
    let other = operator.install(rebuilt(EMBEDDED, "another")).await;
    let since = async |hours: u64, entries: u64| {
        let path = format!("/{other}/shadow");
        let body = Some(json!({ "since_hours": hours }));
        let (status, shadow) = operator.send(Method::POST, &path, body).await;
        assert_eq!(status, 202, "{shadow}");
        let ended = |shadow: &Value| !shadow["caught_up_at"].is_null();
        let shadow = operator.until(&other, ended).await;
        assert_eq!(shadow["compared"]["entries"], entries, "{shadow:#}");
    };
    since(6, 3).await;
    since(100, 7).await;
    since(25, 5).await;
    since(0, 0).await;
    let (status, told) = operator.activate(&other, false).await;
    assert_eq!(status, 409, "{told}");
    let told = told["detail"].as_str().unwrap();
    assert!(told.contains("longer time"), "{told}");
    // Without a word of it, what goes on goes on.
    operator.start(&other).await;
    let shadow = operator.shadow(&other).await;
    assert_eq!(shadow["compared"]["entries"], 0, "{shadow:#}");
    host.stop().await;
}

#[tokio::test]
async fn an_operator_sees_beside_a_running_host_what_a_version_would_change() {
    let directory = tempfile::TempDir::new().unwrap();
    let directory = directory.path();
    let plugin = |arguments: &[&str]| {
        let output = Command::new(program::path())
            .arg("plugin")
            .args(arguments)
            .env("JIMO_DATA_DIR", directory)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), printed + &errors)
    };
    let component = directory.join("reads-otherwise.wasm");
    let bytes = misbehaving_as("hubspot", "read otherwise");
    let other = digest(&bytes);
    std::fs::write(&component, bytes).unwrap();
    let host = Program::start(directory, &program::alone());
    let file = component.to_str().unwrap();
    assert!(plugin(&["install", file]).0);
    let (refused, told) = plugin(&["activate", &other]);
    assert!(!refused && told.contains("shadow it first"), "{told}");

    // The log is empty: all of it is compared.
    let (done, told) = plugin(&["shadow", &other[..8]]);
    assert!(done, "{told}");
    assert!(told.contains("at the end of the log"), "{told}");
    assert!(
        told.contains(&other) && told.contains(&digest(EMBEDDED)),
        "{told}"
    );
    assert!(told.contains("pages of records"), "{told}");
    assert!(told.contains("example\tdescription\tcontacts"), "{told}");
    let (_, listed) = plugin(&["list"]);
    let shadows = format!("{} shadows: it was at the end", &other[..12]);
    assert!(listed.contains(&shadows), "{listed}");
    let (_, inspected) = plugin(&["inspect", &other]);
    assert!(inspected.contains("shadow\twas at the end"), "{inspected}");

    let (ended, told) = plugin(&["shadow", &other, "--stop"]);
    assert!(ended, "{told}");
    let (ended, told) = plugin(&["shadow", &other, "--stop"]);
    assert!(!ended && told.contains("shadow"), "{told}");
    assert!(!plugin(&["list"]).1.contains("shadows"));
    let (done, told) = plugin(&["shadow", &other, "--since", "6 hours"]);
    assert!(!done && told.contains("30m, 6h, 2d"), "{told}");
    assert!(plugin(&["shadow", &other]).0);
    let (activated, told) = plugin(&["activate", &other]);
    assert!(activated, "{told}");
    assert!(told.contains("description\tcontacts"), "{told}");
    assert!(!plugin(&["list"]).1.contains("shadows"));
    host.kill();
}
