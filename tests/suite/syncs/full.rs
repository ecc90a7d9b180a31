//! A full sync: history, for users who are there.

use harness::world::World;
use hubspot_sim::{Link, ObjectType, Route};
use serde_json::{Value, json};

use super::{PORTAL, calls, mappings, over, silent, sync, users};

#[tokio::test(flavor = "multi_thread")]
async fn history_reaches_the_users_with_their_companies_and_deals() {
    let (world, connection) = silent().await;
    let ids = users(
        &world,
        &["ana@example.com", "ben@example.com", "eve@example.com"],
    )
    .await;
    let account = world.account(PORTAL);
    let ana = account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    account
        .create(
            "contacts",
            &[("email", "ben@example.com"), ("jobtitle", "Baker")],
        )
        .unwrap();
    for stranger in 0..230 {
        let email = format!("stranger-{stranger}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    let acme = account.create("companies", &[("name", "Acme")]).unwrap();
    let deal = account.create("deals", &[("dealname", "Ovens")]).unwrap();
    account
        .associate(("contacts", ana), ("companies", acme), Link::Primary)
        .unwrap();
    account
        .associate(("contacts", ana), ("deals", deal), Link::Plain)
        .unwrap();
    world.map(&connection, mappings()).await;
    world.settle().await;
    assert_eq!(world.values(&ids[0]).await, json!({}));

    let run = sync(&world, &connection, "full").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(
        world.values(&ids[0]).await,
        json!({"job_title": "Cook", "company": "Acme", "deal": "Ovens"})
    );
    assert_eq!(world.values(&ids[1]).await, json!({"job_title": "Baker"}));
    assert_eq!(world.values(&ids[2]).await, json!({}));
    let counts = &run["counts"];
    assert_eq!(counts["updated"], 4, "{run}");
    assert_eq!(counts["values"], json!({"set": 4}), "{run}");
    assert_eq!(counts["failed"], 0, "{run}");
    assert_eq!(accounted(counts), counts["read"].as_i64().unwrap(), "{run}");

    // Once more: nothing is new.
    let again = sync(&world, &connection, "full").await;
    assert_eq!(again["counts"]["updated"], 0, "{again}");
    assert_eq!(again["counts"]["matched"], 4, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_records_it_reads_them_all_each_once() {
    let (world, connection) = silent().await;
    let emails: Vec<_> = (0..450).map(|n| format!("user-{n}@example.com")).collect();
    let emails: Vec<_> = emails.iter().map(String::as_str).collect();
    users(&world, &emails).await;
    let account = world.account(PORTAL);
    for email in emails.iter().take(350) {
        account
            .create("contacts", &[("email", email), ("jobtitle", "Cook")])
            .unwrap();
    }
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    world.settle().await;
    world.sim.clear_calls();
    let run = sync(&world, &connection, "full").await;
    assert_eq!(run["plan"][0]["way"], "records", "{run}");
    assert_eq!(run["counts"]["read"], 350, "{run}");
    assert_eq!(run["counts"]["updated"], 350, "{run}");
    assert_eq!(run["progress"]["done"], 350, "{run}");
    // Four pages, and what it costs to read several of them at once.
    let lists = calls(&world, Route::List, ObjectType::Contacts).len();
    assert!((4..=12).contains(&lists), "{lists}");
    assert_eq!(
        calls(&world, Route::BatchRead, ObjectType::Contacts).len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_users_it_asks_for_theirs_a_hundred_a_call() {
    let (world, connection) = silent().await;
    let emails: Vec<_> = (0..150).map(|n| format!("user-{n}@example.com")).collect();
    let emails: Vec<_> = emails.iter().map(String::as_str).collect();
    let ids = users(&world, &emails).await;
    let account = world.account(PORTAL);
    for email in emails.iter().take(100) {
        account
            .create("contacts", &[("email", email), ("jobtitle", "Cook")])
            .unwrap();
    }
    for stranger in 0..250 {
        let email = format!("stranger-{stranger}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    world.settle().await;
    world.sim.clear_calls();
    let run = sync(&world, &connection, "full").await;
    assert_eq!(run["plan"][0]["way"], "users", "{run}");
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["updated"], 100, "{run}");
    assert_eq!(run["counts"]["skipped"], json!({"no_record": 50}), "{run}");
    assert_eq!(world.values(&ids[99]).await, json!({"job_title": "Cook"}));
    assert_eq!(
        calls(&world, Route::BatchRead, ObjectType::Contacts).len(),
        2
    );
    assert_eq!(calls(&world, Route::List, ObjectType::Contacts).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_was_added_is_filled_by_it_and_by_nothing_else() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let values = [
        ("email", "ana@example.com"),
        ("jobtitle", "Cook"),
        ("city", "Lyon"),
    ];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    let mut more = mappings();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    world.map(&connection, more).await;
    sync(&world, &connection, "catch_up").await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    sync(&world, &connection, "full").await;
    assert_eq!(
        world.values(&ana).await,
        json!({"job_title": "Cook", "city": "Lyon"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_with_more_properties_than_an_address_holds_is_read_in_two_steps() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let account = world.account(PORTAL);
    let long = "a_property_with_a_rather_long_name_as_people_give_them_in_their_portals";
    let names: Vec<_> = (0..120).map(|n| format!("{long}_{n}")).collect();
    for name in &names {
        account
            .define("contacts", hubspot_sim::PropertySpec::text(name))
            .unwrap();
    }
    let fields: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| json!({"property": name, "variable": format!("v{n}")}))
        .collect();
    account
        .create(
            "contacts",
            &[("email", "ana@example.com"), (&names[7], "Seven")],
        )
        .unwrap();
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let run = sync(&world, &connection, "full").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(world.values(&ana).await, json!({"v7": "Seven"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_it_would_do_and_writes_nothing() {
    for others in [0, 500] {
        // With few records it would read them all, with many those of the users.
        let (world, connection) = silent().await;
        let emails = ["ana@example.com", "ben@example.com", "cleo@example.com"];
        let ids = users(&world, &emails).await;
        let account = world.account(PORTAL);
        let mut contacts = Vec::new();
        for (email, title) in emails.into_iter().zip(["Cook", "Baker", "Tailor"]) {
            let values = [("email", email), ("jobtitle", title)];
            contacts.push(account.create("contacts", &values).unwrap());
        }
        for other in 0..others {
            let email = format!("stranger-{other}@example.com");
            account.create("contacts", &[("email", &email)]).unwrap();
        }
        let acme = account.create("companies", &[("name", "Acme")]).unwrap();
        for contact in &contacts[..2] {
            account
                .associate(("contacts", *contact), ("companies", acme), Link::Primary)
                .unwrap();
        }
        world.map(&connection, mappings()).await;
        let run = rehearse(&world, &connection).await;
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(run["counts"]["values"], json!({"set": 5}), "{run}");
        assert_eq!(run["counts"]["users"], 3, "{run}");
        assert_eq!(world.count("SELECT count(*) FROM shown_values"), 0);
        assert_eq!(world.count("SELECT count(*) FROM records"), 0);

        // What is there already is compared with.
        sync(&world, &connection, "full").await;
        let cooked = json!({"job_title": "Cook", "company": "Acme"});
        assert_eq!(world.values(&ids[0]).await, cooked);
        account
            .patch("contacts", contacts[0], &[("jobtitle", "Chef")])
            .unwrap();
        account
            .patch("contacts", contacts[1], &[("jobtitle", "")])
            .unwrap();
        account.delete("contacts", contacts[2]).unwrap();
        let run = rehearse(&world, &connection).await;
        let would = json!({"changed": 1, "cleared": 2});
        assert_eq!(run["counts"]["values"], would, "{run}");
        assert_eq!(run["counts"]["users"], 3, "{run}");
        assert_eq!(world.values(&ids[0]).await, cooked);
        let run = rehearse(&world, &connection).await;
        assert_eq!(run["counts"]["users"], 3, "each of them anew: {run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_a_company_once_however_many_steps_lead_to_it() {
    for others in [0, 1_000] {
        // With few records it would read them all, with many those of the users.
        let (world, connection) = silent().await;
        let emails: Vec<String> = (0..450).map(|n| format!("user-{n}@example.com")).collect();
        let emails: Vec<&str> = emails.iter().map(String::as_str).collect();
        users(&world, &emails).await;
        let account = world.account(PORTAL);
        let acme = account.create("companies", &[("name", "Acme")]).unwrap();
        let employ = |email: &str| {
            let employed = account.create("contacts", &[("email", email)]).unwrap();
            account
                .associate(("contacts", employed), ("companies", acme), Link::Primary)
                .unwrap();
            employed
        };
        let employed: Vec<u64> = emails.iter().map(|email| employ(email)).collect();
        for other in 0..others {
            let email = format!("stranger-{other}@example.com");
            account.create("contacts", &[("email", &email)]).unwrap();
        }
        world.map(&connection, mappings()).await;
        let run = rehearse(&world, &connection).await;
        let counts = &run["counts"];
        assert_eq!(counts["values"], json!({"set": 450}), "{run}");
        assert_eq!(counts["users"], 450, "{run}");
        assert_eq!(counts["matched"], 451, "{run}");
        assert_eq!(counts["updated"], 1, "{run}");
        assert_eq!(accounted(counts), counts["read"].as_i64().unwrap(), "{run}");
        assert!(world.count("SELECT count(*) FROM run_counted") > 0);

        // It reaches them already, and somebody whom it does not yet.
        sync(&world, &connection, "full").await;
        account
            .patch("companies", acme, &[("name", "Apex")])
            .unwrap();
        let patched: Vec<u64> = employed.iter().step_by(100).copied().collect();
        for contact in &patched {
            account
                .patch("contacts", *contact, &[("jobtitle", "Cook")])
                .unwrap();
        }
        users(&world, &["late@example.com"]).await;
        world.settle().await;
        employ("late@example.com");
        let run = rehearse(&world, &connection).await;
        let counts = &run["counts"];
        let set = patched.len() + 1;
        assert_eq!(
            counts["values"],
            json!({"changed": 450, "set": set}),
            "{run}"
        );
        // Of some, both the company's name and their own title.
        assert_eq!(counts["users"], 451, "{run}");
        assert_eq!(counts["matched"], 452, "{run}");
        assert_eq!(counts["updated"], 1 + patched.len(), "{run}");
        assert_eq!(accounted(counts), counts["read"].as_i64().unwrap(), "{run}");
    }
}

/// A dry run to its end; what the API says of it then.
async fn rehearse(world: &World, connection: &str) -> Value {
    let path = format!("/connections/{connection}/syncs");
    let started = world
        .post(&path, json!({"kind": "full", "dry_run": true}))
        .await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    over(world, connection, &id).await
}

/// What became of the records that were read, each once.
fn accounted(counts: &Value) -> i64 {
    // Users whom nothing was found for are no records.
    let skipped = counts["skipped"].as_object().unwrap().iter();
    let skipped = skipped.filter(|(reason, _)| *reason != "no_record");
    let skipped: i64 = skipped.map(|(_, count)| count.as_i64().unwrap()).sum();
    let number = |name: &str| counts[name].as_i64().unwrap();
    number("updated") + number("unchanged") + skipped
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_to_a_variable_that_is_taken_over_is_counted_as_it_is_and_told_as_its_own() {
    let (world, connection) = silent().await;
    let title = json!({"name": "title", "type": "text"});
    world.post("/variables", title).await.good();
    world
        .put_users(json!([
            {"email": "ana@example.com", "variables": {"title": "Boss"}},
            {"email": "ben@example.com", "variables": {"title": "Boss"}},
            {"email": "eve@example.com"},
        ]))
        .await;
    let account = world.account(PORTAL);
    for (email, title) in [
        ("ana@example.com", "Cook"),
        ("ben@example.com", ""),
        ("eve@example.com", "Baker"),
    ] {
        let values = [("email", email), ("jobtitle", title)];
        account.create("contacts", &values).unwrap();
    }
    let field = json!({"property": "jobtitle", "variable": "title", "take_over": true});
    world
        .map(&connection, json!({"contacts": {"fields": [field]}}))
        .await;
    let run = sync(&world, &connection, "full").await;
    let values = json!({"set": 1, "changed": 1, "cleared": 1});
    assert_eq!(run["counts"]["values"], values, "{run}");

    let path = format!("/connections/{connection}/activity?origin=full_sync");
    let told = world.get(&path).await.good();
    let updated = told.as_array().unwrap().iter();
    let updated: Vec<_> = updated
        .filter(|line| line["outcome"] == "updated")
        .collect();
    assert_eq!(updated.len(), 3, "{told:#}");
    let version = world.active("hubspot").digest().to_owned();
    assert!(
        updated.iter().all(|line| line["plugin"] == version),
        "{told:#}"
    );
    // Each record did one thing in its hour.
    let path = format!("/connections/{connection}/health?hours=1");
    let hour = world.get(&path).await.good()["hours"][0].clone();
    assert_eq!(
        (&hour["reads"], &hour["updated"], &hour["unchanged"]),
        (&json!(3), &json!(3), &json!(0)),
        "{hour:#}"
    );
}
