//! What is pushed, and what it does.

use jimo_connect::{model::Timestamp, store::erasures::BodyAside};
use serde_json::{Value, json};

use super::{ACCOUNT, Pushed, person, seats};

#[tokio::test]
async fn what_is_pushed_shows_on_the_user_with_where_it_comes_from() {
    let (pushed, connection) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    let said = json!({
        "email": "Ana@Example.com", "plan": "team", "seats": 3,
        "signed_up_at": "2026-01-01T00:00:00Z", "unknown": "left out",
    });
    pushed.push(json!([person("p-1", 4, said)])).await;
    let ana = pushed.world.user_by_email("ana@example.com").await;
    let held = &ana["variables"];
    assert_eq!(held["plan"]["value"], "Team", "{held:#}");
    assert_eq!(held["seats"]["value"], 3.0);
    assert_eq!(held["signed_up_at"]["value"], "2026-01-01T00:00:00.000Z");
    assert_eq!(held["seats"]["changed_at"], "2026-01-02T03:04:00.000Z");
    let source = json!({
        "kind": "webhook", "connection": connection, "object_type": "people",
        "record_id": "p-1", "property": "seats",
    });
    assert_eq!(held["seats"]["source"], source);
    let shown = pushed
        .world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    assert_eq!(shown["status"], "active");
    assert!(shown["last_delivery_at"].is_string(), "{shown:#}");
    let path = format!("/connections/{connection}/activity");
    let activity = pushed.world.get(&path).await.good();
    let newest = &activity[0];
    assert_eq!(newest["origin"], "webhook", "{activity:#}");
    assert_eq!(newest["outcome"], "updated");
    assert_eq!(newest["plugin"], json!(pushed.digest));
}

#[tokio::test]
async fn what_is_told_of_a_record_names_its_source_and_leaves_peoples_names_as_they_are() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    let ana = json!([{"email": "ana@example.com", "name": "Ana of HubSpot"}]);
    world.put_users(ana).await;
    let explain = async |question: &str| {
        let path = format!("/connections/{connection}/explain?q={question}");
        world.get(&path).await.good()
    };
    let told = explain("ana@example.com").await;
    let step = &told["stories"][0]["steps"][0];
    assert_eq!(
        step["detail"],
        "JSON webhook has told us of no person that matches this user: email in JSON webhook is \
         the email in Jimo.",
        "{told:#}"
    );
    let remedy = "The next push of the record brings it; nothing can be read before.";
    assert_eq!(step["remedy"], remedy, "{told:#}");
    let said = json!({"email": "ana@example.com", "seats": 3});
    pushed.push(json!([person("p-1", 1, said)])).await;
    let told = explain("ana@example.com").await;
    let fields = told["stories"][0]["fields"].as_array().unwrap();
    let of = |name| {
        fields
            .iter()
            .find(|field| field["property"] == name)
            .unwrap()
    };
    assert_eq!(
        of("seats")["detail"],
        "The user shows what JSON webhook says."
    );
    let unsaid = format!("JSON webhook has said nothing of it since it was mapped. {remedy}");
    assert_eq!(of("plan")["detail"], unsaid);
    let all = json!({"email": "ana@example.com", "plan": "free", "signed_up_at": null});
    pushed.push(json!([person("p-1", 2, all)])).await;
    let told = explain("ana@example.com").await;
    let answer = "It reached Ana of HubSpot: what JSON webhook says shows on the profile.";
    assert_eq!(told["answer"], answer, "{told:#}");
}

#[tokio::test]
async fn an_older_push_never_overwrites_a_newer_value_and_of_equal_ones_the_later_counts() {
    let (pushed, _) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    pushed.push(json!([seats(5, 5)])).await;
    pushed.push(json!([seats(4, 4)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 5.0);
    // With one moment, in one delivery and in the next: whatever the texts are.
    pushed.push(json!([seats(6, 9), seats(6, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    pushed.push(json!([seats(6, 1)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 1.0);
}

#[tokio::test]
async fn an_older_push_fills_neither_who_came_since_nor_what_was_mapped_since() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    let said = |minute, plan, seats| {
        let properties = json!({"email": "ana@example.com", "plan": plan, "seats": seats});
        person("p-1", minute, properties)
    };
    // What came later was kept by nobody.
    pushed.push(json!([said(5, "team", 5)])).await;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    pushed.push(json!([said(4, "team", 4)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], Value::Null);
    pushed.push(json!([said(6, "team", 6)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 6.0);

    let field = json!([
        {"property": "plan", "variable": "plan_name"},
        {"property": "seats", "variable": "seats"},
    ]);
    let path = format!("/connections/{connection}/mappings");
    let mappings = json!({"people": {"fields": field}});
    world.put(&path, mappings).await.good();
    pushed.push(json!([said(5, "free", 5)])).await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["plan_name"], &values["seats"]),
        (&Value::Null, &json!(6))
    );
    pushed.push(json!([said(7, "team", 7)])).await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["plan_name"], &values["seats"]),
        (&json!("team"), &json!(7))
    );
}

#[tokio::test]
async fn an_older_push_finds_nobody_by_another_rule_either() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    let users = json!([
        {"external_id": "1", "email": "ben@example.com"},
        {"external_id": "ben@example.com", "email": "new-ben@example.com"},
        {"external_id": "cleo@example.com", "email": "new-cleo@example.com"},
    ]);
    world.put_users(users).await;
    let said = |minute, email, seats| {
        let properties = json!({"email": email, "seats": seats});
        json!([person("p-1", minute, properties)])
    };
    pushed.push(said(5, "ben@example.com", 5)).await;
    assert_eq!(pushed.values("ben@example.com").await["seats"], 5.0);

    let path = format!("/connections/{connection}/mappings?removed=clear");
    let mappings = json!({"people": {
        "matching": {"property": "email", "user": "external_id"},
        "fields": [{"property": "seats", "variable": "seats"}],
    }});
    world.put(&path, mappings).await.good();
    pushed.push(said(4, "cleo@example.com", 4)).await;
    let newest = "SELECT count(*) FROM records WHERE connection > 0 AND reached";
    assert_eq!(world.count(newest), 0);
    for email in ["ben@example.com", "new-ben@example.com"] {
        assert_eq!(pushed.values(email).await["seats"], Value::Null);
    }
    // What is not late does, be it the same again.
    pushed.push(said(5, "ben@example.com", 5)).await;
    assert_eq!(pushed.values("new-ben@example.com").await["seats"], 5.0);
    pushed.push(said(4, "cleo@example.com", 4)).await;
    assert_eq!(pushed.values("new-ben@example.com").await["seats"], 5.0);
    let cleo = pushed.values("new-cleo@example.com").await;
    assert_eq!(cleo["seats"], Value::Null);
}

#[tokio::test]
async fn what_a_push_does_not_have_stays_as_it_was_and_what_it_empties_is_empty() {
    let (pushed, _) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    let all = json!({"email": "ana@example.com", "plan": "free", "seats": 3});
    pushed.push(json!([person("p-1", 1, all)])).await;
    // Without the property that it is matched by, too.
    pushed
        .push(json!([person("p-1", 2, json!({"seats": 4}))]))
        .await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["plan"], &values["seats"]),
        (&json!("Free"), &json!(4))
    );
    pushed
        .push(json!([person("p-1", 3, json!({"plan": null}))]))
        .await;
    let values = pushed.values("ana@example.com").await;
    assert_eq!(
        (&values["plan"], &values["seats"]),
        (&Value::Null, &json!(4))
    );
}

#[tokio::test]
async fn a_deleted_record_feeds_nobody_until_it_is_pushed_again_later() {
    let (pushed, _) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    let ana = |minute| seats(minute, 3);
    pushed.push(json!([ana(1)])).await;
    let mut deleted = ana(3);
    deleted["deleted"] = json!(true);
    pushed.push(json!([deleted])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], Value::Null);
    // It was so before the deletion, and came late.
    pushed.push(json!([ana(2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], Value::Null);
    pushed.push(json!([ana(4)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 3.0);
}

#[tokio::test]
async fn of_who_matches_nobody_nothing_is_kept_and_nothing_is_ever_read() {
    let (pushed, connection) = Pushed::mapped().await;
    let bob = json!({"email": "bob@example.com", "seats": 7, "plan": "team"});
    pushed.push(json!([person("p-2", 1, bob.clone())])).await;
    let path = format!("/connections/{connection}/activity");
    let activity = pushed.world.get(&path).await.good();
    assert_eq!(activity[0]["reason"], "no_match", "{activity:#}");
    for kept in ["registers", "reads", "lookups", "runs"] {
        let count = pushed.world.count(&format!("SELECT count(*) FROM {kept}"));
        assert_eq!(count, 0, "{kept}");
    }
    // Who comes later is known, and filled by what is pushed next, whatever it has.
    pushed
        .world
        .put_users(json!([{"email": "bob@example.com"}, {"email": "eve@example.com"}]))
        .await;
    assert_eq!(pushed.values("bob@example.com").await["seats"], Value::Null);
    pushed
        .push(json!([person("p-2", 2, json!({"seats": 8}))]))
        .await;
    assert_eq!(pushed.values("bob@example.com").await["seats"], 8.0);
    for kept in ["reads", "lookups", "runs"] {
        let count = pushed.world.count(&format!("SELECT count(*) FROM {kept}"));
        assert_eq!(count, 0, "{kept}");
    }
}

#[tokio::test]
async fn of_several_records_of_a_user_the_selected_one_feeds() {
    let pushed = Pushed::start().await;
    let connection = pushed.connect(ACCOUNT).await;
    let path = format!("/connections/{connection}/mappings");
    let mappings = json!({"workspaces": {
        "selection": {"rule": "largest", "property": "seats"},
        "fields": [{"property": "name", "variable": "workspace"}],
    }});
    pushed.world.put(&path, mappings).await.good();
    pushed
        .world
        .put_users(json!([{"external_id": "17", "email": "ana@example.com"}]))
        .await;
    let workspace = |id: &str, minute: u32, seats: u32| {
        let properties = json!({"name": id, "owner_id": 17, "seats": seats});
        let mut workspace = person(id, minute, properties);
        workspace["type"] = json!("workspaces");
        workspace
    };
    pushed
        .push(json!([workspace("w-1", 1, 5), workspace("w-2", 1, 9)]))
        .await;
    assert_eq!(pushed.values("ana@example.com").await["workspace"], "w-2");
    pushed.push(json!([workspace("w-1", 2, 12)])).await;
    assert_eq!(pushed.values("ana@example.com").await["workspace"], "w-1");
}

#[tokio::test]
async fn what_cannot_be_understood_is_set_aside_by_itself_and_worked_on_again_when_asked() {
    let (pushed, _) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    let good = person("p-1", 1, json!({"email": "ana@example.com", "seats": 3}));
    let mut bad = person("p-1", 2, json!({"seats": 4}));
    bad["updated_at"] = json!("yesterday");
    pushed.push(json!([good, bad])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 3.0);
    let aside = pushed.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].contains("moment"), "{aside:?}");

    // Somebody mends what is there; a version that understands it would do as well.
    let mended = person("p-1", 2, json!({"seats": 4})).to_string();
    let store = &pushed.world.host().store;
    let replayed = store.transact(move |tx| {
        let id = tx.newest_set_aside()?;
        let (listed, body) = tx.one_set_aside(id)?;
        let was = BodyAside {
            id,
            kind: listed.kind,
            connector: listed.connector,
            body,
        };
        assert!(tx.rewrite_body_aside(&was, Some(format!("[{mended}]").as_bytes()))?);
        let replay = tx.begin_replay("a test", Timestamp(1))?;
        tx.add_to_replay(replay, &[id])
    });
    replayed.await.unwrap();
    pushed
        .world
        .until(async || pushed.set_aside().await.is_empty())
        .await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 4.0);
}

#[tokio::test]
async fn what_would_take_values_from_too_many_users_asks_first() {
    let (pushed, connection) = Pushed::mapped().await;
    let world = &pushed.world;
    let people = 0..150;
    let email = |number: u32| format!("user-{number}@example.com");
    let users = people.clone().map(|number| json!({"email": email(number)}));
    world.put_users(users.collect()).await;
    let said = |minute, seats: Value| {
        let said = people.clone().map(|number| {
            let properties = json!({"email": email(number), "seats": seats});
            person(&format!("p-{number}"), minute, properties)
        });
        Value::Array(said.collect())
    };
    let shown = |seats: &str| {
        world.count(&format!(
            "SELECT count(*) FROM shown_values WHERE value = {seats}"
        ))
    };
    let path = format!("/connections/{connection}");
    let problem = async || world.get(&path).await.good()["problem"].clone();
    pushed.push(said(1, json!(3))).await;
    assert_eq!(shown("3"), 150);
    pushed.push(said(2, Value::Null)).await;
    assert!(shown("3") >= 50, "{}", shown("3"));
    assert_eq!(problem().await["code"], "braked");
    // What takes nothing from anybody goes on.
    let another = json!({"email": email(0), "plan": "team"});
    pushed.push(json!([person("p-0", 3, another)])).await;
    assert_eq!(pushed.values(&email(0)).await["plan"], "Team");

    let go_on = world.post(&format!("{path}/continue"), json!({})).await;
    assert_eq!(go_on.status, 202, "{:#}", go_on.json);
    world.until(async || shown("3") == 0).await;
    world.until(async || problem().await.is_null()).await;
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_restart_and_more_can_be_pushed() {
    let (mut pushed, connection) = Pushed::mapped().await;
    pushed
        .world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await;
    pushed.push(json!([seats(1, 1)])).await;
    pushed.world.restart().await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 1.0);
    pushed.push(json!([seats(2, 2)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    // While it is paused nothing is taken in.
    let path = format!("/connections/{connection}");
    pushed
        .world
        .post(&format!("{path}/pause"), json!({}))
        .await
        .good();
    pushed.push(json!([seats(3, 3)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 2.0);
    pushed
        .world
        .post(&format!("{path}/resume"), json!({}))
        .await
        .good();
    pushed.push(json!([seats(4, 4)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 4.0);
    assert_eq!(pushed.world.count("SELECT count(*) FROM runs"), 0);
}
