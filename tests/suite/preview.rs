//! Previews: what a mapping document would do for real users, before it is saved.

use harness::world::World;
use hubspot_sim::{FaultRule, Link, PropertySpec, Route, Trouble};
use jimo_connect::store::projects::Role;
use reqwest::Method;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A connected world whose webhooks are lost, with the path of its previews.
async fn connected() -> (World, String, String) {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    world.sim.set_webhooks(|knobs| knobs.loss = 1.0);
    let path = format!("/connections/{connection}/mappings/preview");
    (world, connection, path)
}

/// Contacts, their company and their deals, with labels and a value that cannot be
/// a number.
fn document() -> Value {
    json!({
        "contacts": {"fields": [
            {"property": "lifecyclestage", "variable": "stage", "show": "label"},
            {"property": "jobtitle", "variable": "job_title"},
            {"property": "total_revenue", "variable": "revenue"},
        ]},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
        "deals": {
            "selection": {"rule": "largest", "property": "amount", "prefer_open": true},
            "fields": [{"property": "dealname", "variable": "deal"}],
        },
    })
}

/// Ana, with two companies and three deals; Bob, of whom HubSpot has only an
/// address; and Cem, whom it does not know. Their ids.
async fn people(world: &World) -> Vec<String> {
    let users = json!([
        {"email": "Ana@Example.com"}, {"email": "bob@example.com"},
        {"email": "cem@example.com"}, {"external_id": "no-address"},
    ]);
    let users = world.put_users(users).await;
    let account = world.account(PORTAL);
    let values = [
        ("email", "ana@example.com"),
        ("lifecyclestage", "opportunity"),
        ("jobtitle", "Cook"),
        ("total_revenue", "1250.5"),
    ];
    let ana = account.create("contacts", &values).unwrap();
    account
        .create("contacts", &[("email", "bob@example.com")])
        .unwrap();
    account
        .create("contacts", &[("email", "stranger@example.com")])
        .unwrap();
    for (name, link) in [("Second", Link::Plain), ("First", Link::Primary)] {
        let company = account.create("companies", &[("name", name)]).unwrap();
        let (from, to) = (("contacts", ana), ("companies", company));
        account.associate(from, to, link).unwrap();
    }
    for (name, stage, amount) in [
        ("Small", "qualifiedtobuy", "10"),
        ("Large", "contractsent", "20"),
        ("Won", "closedwon", "30"),
    ] {
        let values = [("dealname", name), ("dealstage", stage), ("amount", amount)];
        let deal = account.create("deals", &values).unwrap();
        let (from, to) = (("contacts", ana), ("deals", deal));
        account.associate(from, to, Link::Plain).unwrap();
    }
    users
}

/// What a preview shows for a user, by variable, of all object types.
fn shown(preview: &Value, user: &str) -> Value {
    let types = preview.as_object().unwrap().values();
    let samples = types.flat_map(|one| one["samples"].as_array().unwrap());
    let of_user = samples.filter(|sample| sample["user"] == user);
    let values = of_user.flat_map(|sample| sample["values"].as_array().unwrap());
    let filled = values.filter(|value| !value["value"].is_null());
    let filled = filled.map(|value| {
        let name = value["variable"].as_str().unwrap().to_owned();
        (name, value["value"].clone())
    });
    Value::Object(filled.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_a_full_sync_then_writes() {
    let (world, connection, path) = connected().await;
    let users = people(&world).await;
    let preview = world.post(&path, document()).await.good();
    let ana = shown(&preview, &users[0]);
    assert_eq!(
        ana,
        json!({
            "stage": "Opportunity", "job_title": "Cook", "revenue": 1250.5,
            "company": "First", "deal": "Large",
        })
    );
    for (object_type, identified, matched) in
        [("contacts", 3, 2), ("companies", 4, 1), ("deals", 4, 1)]
    {
        let one = &preview[object_type];
        assert_eq!(one["users"], 4, "{object_type}");
        assert_eq!(one["total"], 4, "{object_type}");
        assert_eq!(one["identified"], identified, "{object_type}");
        assert_eq!(one["matched"], matched, "{object_type}");
    }
    assert_eq!(
        preview["contacts"]["unmatched"],
        json!([users[2], users[3]])
    );

    world.map(&connection, document()).await;
    assert_eq!(world.values(&users[0]).await, json!({}));
    let syncs = format!("/connections/{connection}/syncs");
    let started = world.post(&syncs, json!({"kind": "full"})).await;
    assert_eq!(started.status, 202, "{:?}", started.json);
    world.settle().await;
    assert_eq!(world.values(&users[0]).await, ana);
    assert_eq!(
        world.values(&users[1]).await,
        shown(&preview, &users[1]),
        "an empty record fills nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_writes_nothing() {
    let (world, connection, path) = connected().await;
    let users = people(&world).await;
    let first =
        json!({"contacts": {"fields": [{"property": "jobtitle", "variable": "job_title"}]}});
    world.map(&connection, first.clone()).await;
    let syncs = format!("/connections/{connection}/syncs");
    world.post(&syncs, json!({"kind": "full"})).await.good();
    world.settle().await;
    let tables = [
        "users",
        "user_values",
        "user_keys",
        "variables",
        "connections",
        "object_mappings",
        "fields",
        "option_tables",
        "records",
        "match_keys",
        "links",
        "associations",
        "feeds",
        "registers",
        "reads",
        "lookups",
        "activity",
    ];
    let counts = || tables.map(|table| world.count(&format!("SELECT count(*) FROM {table}")));
    let moved = || {
        world.count("SELECT configuration FROM state")
            + world.count("SELECT sum(mappings_version) FROM connections")
    };
    let (before, moved_before) = (counts(), moved());
    let preview = world.post(&path, document()).await.good();
    assert_eq!(shown(&preview, &users[0])["deal"], "Large");
    // Another rule, for which links would be dropped.
    let by_id = json!({"contacts": {
        "matching": {"property": "jobtitle", "user": "external_id"},
        "fields": [{"property": "jobtitle", "variable": "job_title"}],
    }});
    world.post(&path, by_id).await.good();
    assert_eq!((counts(), moved()), (before, moved_before));
    let held = world.get(&path.replace("/preview", "")).await.good();
    assert_eq!(held["contacts"]["fields"][0]["variable"], "job_title");
    assert_eq!(held.as_object().unwrap().len(), 1);
    assert_eq!(world.values(&users[0]).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_a_hundred_users_costs_one_call_a_step() {
    let (world, _, path) = connected().await;
    people(&world).await;
    let account = world.account(PORTAL);
    let emails: Vec<String> = (0..500).map(|n| format!("user-{n}@example.com")).collect();
    let items: Vec<Value> = emails.iter().map(|email| json!({"email": email})).collect();
    world.put_users(Value::Array(items)).await;
    let company = account.create("companies", &[("name", "Acme")]).unwrap();
    let deal = account.create("deals", &[("dealname", "Ovens")]).unwrap();
    for email in &emails[..250] {
        let contact = account.create("contacts", &[("email", email)]).unwrap();
        for other in [("companies", company), ("deals", deal)] {
            account
                .associate(("contacts", contact), other, Link::Plain)
                .unwrap();
        }
    }
    world.sim.clear_calls();
    let preview = world.post(&path, document()).await.good();
    assert_eq!(preview["contacts"]["total"], 504);
    let looked_at = preview["contacts"]["users"].as_u64().unwrap();
    assert_eq!(looked_at, 100);
    // Scattered over all of them, half of whom HubSpot knows.
    let matched = preview["contacts"]["matched"].as_u64().unwrap();
    assert!((35..=65).contains(&matched), "{matched}");
    let calls = world.sim.calls();
    let reads = |object_type: &str| {
        let path = format!("/{object_type}/batch/read");
        let calls = calls
            .iter()
            .filter(|call| call.route == Route::BatchRead && call.path.ends_with(&path));
        calls.count()
    };
    assert_eq!(
        (reads("contacts"), reads("companies"), reads("deals")),
        (1, 1, 1),
        "{calls:#?}"
    );
    let associations = calls
        .iter()
        .filter(|call| call.path.contains("associations"))
        .count();
    assert_eq!(associations, 2, "{calls:#?}");

    world.sim.clear_calls();
    let whole = world
        .post(&format!("{path}?users=1000"), json!({"contacts": {}}))
        .await;
    let whole = whole.good();
    assert_eq!(whole["contacts"]["users"], 504);
    assert_eq!(whole["contacts"]["matched"], 252);
    let reads = world.sim.calls();
    let reads = reads.iter().filter(|call| call.route == Route::BatchRead);
    assert_eq!(reads.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_match_several_are_told_with_examples() {
    let (world, _, path) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::text("customer_no"))
        .unwrap();
    let users = world
        .put_users(json!([
            {"external_id": "A-1"}, {"external_id": "A-2"}, {"external_id": "A-3"},
            {"external_id": "x", "email": "shared@example.com"},
            {"external_id": "y", "email": "shared@example.com"},
        ]))
        .await;
    let mut made = Vec::new();
    for (email, number) in [("1@e.com", "A-1"), ("2@e.com", "A-2"), ("3@e.com", "A-2")] {
        let values = [("email", email), ("customer_no", number)];
        made.push(account.create("contacts", &values).unwrap().to_string());
    }
    let shared = account
        .create("contacts", &[("email", "shared@example.com")])
        .unwrap();
    let by_id =
        json!({"contacts": {"matching": {"property": "customer_no", "user": "external_id"}}});
    let preview = world.post(&path, by_id).await.good();
    let contacts = &preview["contacts"];
    assert_eq!(contacts["matched"], 2, "{contacts:#}");
    assert_eq!(contacts["users_of_several"], 1);
    assert_eq!(contacts["records_of_several"], 0);
    assert_eq!(
        contacts["several"],
        json!([{"users": [users[1]], "records": [made[1], made[2]]}])
    );
    let by_email = world.post(&path, json!({"contacts": {}})).await.good();
    let contacts = &by_email["contacts"];
    assert_eq!(contacts["matched"], 2);
    assert_eq!(contacts["records_of_several"], 1);
    assert_eq!(
        contacts["several"],
        json!([{"users": [users[3], users[4]], "records": [shared.to_string()]}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_looked_at_some_of_what_matches_says_at_least() {
    let (world, _, path) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::text("team"))
        .unwrap();
    let users = json!([{"external_id": "A-1"}, {"external_id": "A-2"}, {"external_id": "A-3"}]);
    world.put_users(users).await;
    let of_team = |number: usize, team: &str| {
        let email = format!("{team}-{number}@e.com");
        let values = [("email", email.as_str()), ("team", team)];
        account.create("contacts", &values).unwrap()
    };
    for number in 0..999 {
        of_team(number, "A-1");
    }
    let employed = of_team(0, "A-2");
    let company = account.create("companies", &[("name", "Acme")]).unwrap();
    let (from, to) = (("contacts", employed), ("companies", company));
    account.associate(from, to, Link::Primary).unwrap();
    let document = json!({
        "contacts": {"matching": {"property": "team", "user": "external_id"}},
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
    });
    let preview = world.post(&path, document.clone()).await.good();
    for (object_type, matched) in [("contacts", 2), ("companies", 1)] {
        let told = &preview[object_type];
        assert_eq!(told["matched"], matched, "{told:#}");
        assert_eq!(told["at_least"], false, "{told:#}");
        assert!(!told["unmatched"].as_array().unwrap().is_empty());
    }
    // One more than is looked at. What comes last is not met, whoever it is of.
    of_team(0, "A-3");
    let preview = world.post(&path, document).await.good();
    for (object_type, matched) in [("contacts", 2), ("companies", 1)] {
        let told = &preview[object_type];
        assert_eq!(told["matched"], matched, "{told:#}");
        assert_eq!(told["at_least"], true, "{told:#}");
        assert_eq!(told["unmatched"], json!([]), "nobody is known not to match");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_matched_on_a_variable_that_no_rule_named_before() {
    let (world, _, path) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::number("seat"))
        .unwrap();
    world
        .post("/variables", json!({"name": "seat", "type": "number"}))
        .await
        .good();
    let users = world
        .put_users(json!([
            {"external_id": "a", "variables": {"seat": 7}}, {"external_id": "b"},
        ]))
        .await;
    let values = [
        ("email", "a@example.com"),
        ("seat", "7"),
        ("jobtitle", "Pilot"),
    ];
    account.create("contacts", &values).unwrap();
    let document = json!({"contacts": {
        "matching": {"property": "seat", "user": "variable:seat"},
        "fields": [{"property": "jobtitle", "variable": "job_title"}],
    }});
    let preview = world.post(&path, document).await.good();
    assert_eq!(preview["contacts"]["identified"], 1);
    assert_eq!(shown(&preview, &users[0]), json!({"job_title": "Pilot"}));
    assert_eq!(
        world.count("SELECT count(*) FROM user_keys WHERE identifier > 0"),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_says_why() {
    let (world, _, path) = connected().await;
    let user = world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await
        .remove(0);
    let account = world.account(PORTAL);
    let long = "x".repeat(701);
    account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", &long)],
        )
        .unwrap();
    let document = json!({"contacts": {"fields": [{"property": "jobtitle", "variable": "job"}]}});
    let preview = world.post(&path, document).await.good();
    let sample = &preview["contacts"]["samples"][0];
    assert_eq!(sample["user"], user.as_str());
    assert_eq!(
        sample["values"],
        json!([{"variable": "job", "reason": "too_long"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_could_not_be_saved_is_refused_in_the_same_places() {
    let (world, connection, path) = connected().await;
    world
        .post("/variables", json!({"name": "held", "type": "text"}))
        .await
        .good();
    world
        .put_users(json!([{"email": "ana@example.com", "variables": {"held": "mine"}}]))
        .await;
    let document = json!({
        "contacts": {"fields": [
            {"property": "nothing", "variable": "a"},
            {"property": "jobtitle", "variable": "job", "show": "label"},
        ]},
        "deals": {"matching": {"property": "dealname", "user": "phone"}},
    });
    let put = format!("/connections/{connection}/mappings");
    for document in [
        document,
        json!({"contacts": {"fields": [{"property": "jobtitle", "variable": "held"}]}}),
        json!({"contacts": {"fields": [
            {"property": "jobtitle", "variable": "job", "type": "boolean"},
        ]}}),
    ] {
        let previewed = world.post(&path, document.clone()).await.pointers();
        let saved = world.put(&put, document).await.pointers();
        assert_eq!(previewed, saved);
    }
    let wrong = world.post(&format!("{path}?users=1001"), json!({})).await;
    wrong.problem(400);
    let viewer = world.make_token(Some(&world.project), Role::Viewer).await;
    let path = world.path(&path);
    let refused = world
        .send(Method::POST, &path, &viewer, Some(json!({})))
        .await;
    refused.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_when_hubspot_does_not_answer() {
    let (world, _, path) = connected().await;
    people(&world).await;
    world
        .sim
        .inject(FaultRule::once(Route::BatchRead, Trouble::Status(404)).times(99));
    let problem = world.post(&path, document()).await.problem(502);
    assert!(
        problem["detail"].as_str().unwrap().len() > 20,
        "{problem:#}"
    );
}
