//! The commands about the app: its files, and what is missing.

use std::{collections::HashMap, path::Path, process::Command};

use harness::{program, world::World};
use jimo_connect::{
    model::AccountKey,
    store::{
        Tx,
        journal::{Finding, State, Subject},
    },
    sync::journal::journal_refused,
};
use reqwest::Url;
use serde_json::{Value, json};

use super::{OWN, PORTAL, contacts, map, soon, unpushed};

/// Runs a command about the app beside a host, with the host's settings and some
/// more: whether it went well, and what it printed.
fn hubspot(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
    let app = world.sim.app();
    let output = Command::new(program::path())
        .arg("hubspot")
        .args(arguments)
        .env("JIMO_DATA_DIR", world.directory.path())
        .env("JIMO_PUBLIC_URL", "https://connect.example.com/jimo")
        .env("HUBSPOT_CLIENT_ID", &app.client_id)
        .env("HUBSPOT_CLIENT_SECRET", &app.client_secret)
        .env("HUBSPOT_APP_ID", app.id.to_string())
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), printed)
}

fn file(directory: &Path, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join(path)).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apps_files_have_pushed_what_the_mappings_use() {
    let (world, connection) = unpushed().await;
    let out = tempfile::TempDir::new().unwrap();
    let path = out.path().join("project");
    let arguments = ["app", "--out", path.to_str().unwrap()];
    assert!(
        !hubspot(
            &world,
            &arguments,
            &[("JIMO_PUBLIC_URL", "http://example.com")]
        )
        .0
    );
    assert!(!path.exists());
    let (is_written, printed) = hubspot(&world, &arguments, &[]);
    assert!(is_written, "{printed}");
    let app = &file(&path, "src/app/app-hsmeta.json")["config"];
    let redirect = "https://connect.example.com/jimo/oauth/hubspot/callback";
    assert_eq!(app["auth"]["redirectUrls"], json!([redirect]));
    // HubSpot refuses a consent that asks for others.
    let begun = world.post("/connections", json!({"connector": "hubspot"}));
    let asked: Url = begun.await.good()["authorize_url"]
        .as_str()
        .and_then(|url| url.parse().ok())
        .unwrap();
    let asked: HashMap<_, _> = asked.query_pairs().collect();
    for (parameter, listed) in [
        ("scope", "requiredScopes"),
        ("optional_scope", "optionalScopes"),
    ] {
        let scopes: Vec<_> = asked[parameter].split(' ').collect();
        assert_eq!(app["auth"][listed], json!(scopes));
    }
    assert_eq!(file(&path, "hsproject.json")["platformVersion"], "2026.09");
    let webhooks = || file(&path, "src/app/webhooks/webhooks-hsmeta.json")["config"].clone();
    let target = "https://connect.example.com/jimo/webhooks/hubspot";
    assert_eq!(webhooks()["settings"]["targetUrl"], target);
    let pushed = || {
        let subscriptions = webhooks()["subscriptions"]["legacyCrmObjects"].clone();
        let subscriptions = subscriptions.as_array().unwrap().clone();
        assert!(subscriptions.contains(&json!({"subscriptionType": "deal.merge", "active": true})));
        let changes = subscriptions.into_iter();
        let changes = changes.filter(|one| one["subscriptionType"] == "contact.propertyChange");
        let shown = changes.map(|one| {
            let name = one["propertyName"].as_str().unwrap().to_owned();
            (name, one["active"].as_bool().unwrap())
        });
        shown.collect::<Vec<_>>()
    };
    let active = |name: &str| (name.to_owned(), true);
    let expected = ["email", OWN, "hs_additional_emails", "jobtitle"].map(active);
    assert_eq!(pushed(), expected);

    // What is used no more is pushed no more, and stays in the file.
    let fields = json!([{"property": "city", "variable": "city"}]);
    map(&world, &connection, json!({"contacts": {"fields": fields}})).await;
    assert!(hubspot(&world, &arguments, &[]).0);
    let ended = |name: &str| (name.to_owned(), false);
    let expected = [
        active("city"),
        active("email"),
        ended(OWN),
        active("hs_additional_emails"),
        ended("jobtitle"),
    ];
    assert_eq!(pushed(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_missing_and_asks_hubspot_nothing() {
    let (mut world, _) = unpushed().await;
    let check = |settings: &[(&str, &str)]| hubspot(&world, &["check"], settings);
    let (is_good, said) = check(&[]);
    assert!(
        !is_good && said.contains("files were not written"),
        "{said}"
    );
    let out = tempfile::TempDir::new().unwrap();
    let written = hubspot(&world, &["app", "--out", out.path().to_str().unwrap()], &[]);
    assert!(written.0, "{}", written.1);
    let (is_good, said) = check(&[]);
    assert!(is_good, "{said}");
    for (setting, value, told) in [
        ("JIMO_PUBLIC_URL", "http://connect.example.com", "https://"),
        ("JIMO_PUBLIC_URL", "https://127.0.0.1", "public addresses"),
        ("HUBSPOT_JOURNAL", "off", "HUBSPOT_JOURNAL"),
    ] {
        let (is_good, said) = check(&[(setting, value)]);
        assert!(!is_good && said.contains(told), "{said}");
    }
    // What the host found is told without asking again.
    let key = AccountKey::from(PORTAL.to_string());
    world.sim.set_api(|api| api.journal_refused = true);
    soon(&world, async || journal_refused(world.host(), &key)).await;
    world.stop().await;
    world.sim.clear_calls();
    let (is_good, said) = hubspot(&world, &["check"], &[]);
    assert!(!is_good && said.contains("is refused since"), "{said}");
    assert_eq!(world.sim.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_of_a_gap_until_a_catch_up_has_been_over_it() {
    let (world, connection) = unpushed().await;
    let since = world.host().clock.now();
    let gap = Finding {
        subject: Subject::Gap,
        state: State::Failing("some files are gone".into()),
        since,
    };
    let found = move |tx: &Tx<'_>| tx.save_journal_finding(&gap);
    world.host().store.transact(found).await.unwrap();
    let is_told = || {
        let (_, said) = hubspot(&world, &["check"], &[]);
        said.contains("was not read in time")
    };
    assert!(is_told());
    let syncs = format!("/connections/{connection}/syncs");
    let started = world.post(&syncs, json!({"kind": "catch_up"})).await;
    assert_eq!(started.status, 202, "{:?}", started.json);
    soon(&world, async || {
        world.get(&syncs).await.good()["syncs"][0]["status"] == "completed"
    })
    .await;
    assert!(!is_told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_mapped_properties_that_are_not_pushed() {
    let (world, connection) = unpushed().await;
    let out = tempfile::TempDir::new().unwrap();
    assert!(hubspot(&world, &["app", "--out", out.path().to_str().unwrap()], &[]).0);
    let mut more = contacts();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    map(&world, &connection, more).await;
    let (is_good, said) = hubspot(&world, &["check"], &[]);
    assert!(!is_good && said.contains("contacts.city"), "{said}");
    assert!(!said.contains(OWN), "{said}");
}
