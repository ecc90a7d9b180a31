//! The activity, filtered, and who did what.

use hubspot_sim::{FaultRule, Link, Route, Trouble};
use serde_json::{Value, json};

use super::{Fed, PORTAL, mappings};

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_found_by_origin_outcome_reason_record_and_user() {
    let fed = Fed::start().await;
    let account = fed.world.account(PORTAL);
    let stranger = account
        .create("contacts", &[("email", "eve@example.com")])
        .unwrap();
    fed.world.settle().await;
    let check = async |query: String, is_right: &dyn Fn(&Value) -> bool| {
        let lines = fed.get(&format!("/activity?{query}")).await;
        let lines = lines.as_array().unwrap();
        assert!(!lines.is_empty(), "{query}");
        assert!(lines.iter().all(is_right), "{query}: {lines:#?}");
    };
    check("origin=webhook".into(), &|line| line["origin"] == "webhook").await;
    check("outcome=updated".into(), &|line| {
        line["outcome"] == "updated"
    })
    .await;
    check("object_type=companies".into(), &|line| {
        line["object_type"] == "companies"
    })
    .await;
    check("reason=no_match".into(), &|line| {
        line["reason"].as_str().unwrap().contains("no_match")
    })
    .await;
    let record = stranger.to_string();
    check(format!("record_id={record}"), &|line| {
        line["record_id"] == record
    })
    .await;
    check(format!("user={}", fed.user), &|line| {
        line["user"] == fed.user
    })
    .await;
    assert_eq!(fed.get("/activity?outcome=nothing").await, json!([]));
    assert_eq!(
        fed.get("/activity?reason=match").await,
        json!([]),
        "whole words"
    );
    fed.world
        .get(&fed.path("/activity?user=nobody"))
        .await
        .problem(400);
    // What is filtered by stands in the address of the next lines.
    let answer = fed
        .world
        .get(&fed.path("/activity?limit=1&origin=webhook&object_type=contacts"))
        .await;
    let link = answer.headers["link"].to_str().unwrap().to_owned();
    assert!(
        link.contains("&origin=webhook&object_type=contacts>"),
        "{link}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_is_told_with_what_changed_and_who_did_it() {
    let fed = Fed::start().await;
    let newest = async || fed.get("/activity?outcome=mappings_saved&limit=1").await[0].clone();
    let made = newest().await;
    assert_eq!(made["by"]["kind"], "token");
    assert!(made["by"]["number"].is_number());
    let words = |line: &Value| -> Vec<String> {
        let changes = line["changes"].as_array().unwrap().iter();
        changes
            .map(|one| one["change"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        words(&made),
        [
            "matching_changed",
            "field_added",
            "matching_changed",
            "field_added"
        ]
    );

    let user = json!({"users": [{"external_id": "u_1", "variables": {"town": "Rome"}}]});
    let variable = json!({"name": "town", "type": "text"});
    fed.world.post("/variables", variable).await.good();
    fed.world.put("/users", user).await.good();
    let mut next = mappings();
    next["contacts"]["fields"] =
        json!([{"property": "city", "variable": "town", "take_over": true}]);
    let path = fed.path("/mappings?removed=clear");
    fed.world.put(&path, next).await.good();
    assert_eq!(
        newest().await["changes"],
        json!([
            {"change": "field_removed", "object_type": "contacts", "property": "jobtitle",
             "variable": "job_title", "values_kept": false},
            {"change": "field_added", "object_type": "contacts", "property": "city",
             "variable": "town", "took_over": true},
        ])
    );
    fed.world.post(&fed.path("/pause"), json!({})).await.good();
    let paused = fed.get("/activity?outcome=paused").await;
    assert_eq!(paused[0]["by"]["kind"], "token");
    assert_eq!(paused[0]["origin"], "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_sync_and_who_ends_it_is_told() {
    let fed = Fed::start().await;
    fed.world
        .sim
        .inject(FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead));
    let path = fed.path("/syncs");
    let started = fed.world.post(&path, json!({"kind": "full"})).await.good();
    let path = format!("{path}/{}/cancel", started["id"].as_str().unwrap());
    assert_eq!(fed.world.post(&path, json!({})).await.status, 202);
    for outcome in ["sync_requested", "sync_cancelled"] {
        let lines = fed.get(&format!("/activity?outcome={outcome}")).await;
        assert_eq!(lines.as_array().unwrap().len(), 1, "{lines}");
        assert_eq!(lines[0]["by"]["kind"], "token", "{lines}");
    }
    // What begins by itself nobody asked for.
    let runs = fed.get("/syncs").await["syncs"].clone();
    assert_eq!(runs[0]["origin"], "admin", "{runs}");
    assert_eq!(runs[0]["brief"], false, "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_could_not_be_read_are_found_whatever_the_reason() {
    let fed = Fed::start().await;
    let long = "x".repeat(701);
    let account = fed.world.account(PORTAL);
    account
        .patch("contacts", fed.contact, &[("jobtitle", &long)])
        .unwrap();
    fed.world.settle().await;
    let unreadable = fed.get("/activity?reason=unreadable").await;
    assert_eq!(unreadable.as_array().unwrap().len(), 1, "{unreadable}");
    assert_eq!(unreadable[0]["reason"], "too_long", "{unreadable}");
    assert_eq!(fed.get("/activity?reason=too_long").await, unreadable);
    assert_eq!(fed.get("/activity?reason=redacted").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_several_users_names_them_and_is_found_by_each() {
    let fed = Fed::start().await;
    let account = fed.world.account(PORTAL);
    let users = json!([{"email": "ben@example.com"}]);
    let ben = fed.world.put_users(users).await.remove(0);
    let contact = account
        .create("contacts", &[("email", "ben@example.com")])
        .unwrap();
    let ends = (("contacts", contact), ("companies", fed.company));
    account.associate(ends.0, ends.1, Link::Primary).unwrap();
    fed.world.settle().await;
    account
        .patch("companies", fed.company, &[("name", "Acme Inc.")])
        .unwrap();
    fed.world.settle().await;
    for user in [&fed.user, &ben] {
        let path = format!("/activity?user={user}&object_type=companies&outcome=updated");
        let line = &fed.get(&path).await[0];
        assert_eq!(line["variables"], json!(["company"]), "{line}");
        assert_eq!(line["users"], json!([fed.user, ben]), "{line}");
        assert_eq!(line["user_count"], 2, "{line}");
        assert_eq!(line["user"], Value::Null, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_contact_is_not_what_matches_nobody() {
    let fed = Fed::start().await;
    let sums = async || {
        let health = fed.get("/health?hours=3").await;
        let hours = health["hours"].as_array().unwrap().clone();
        let sum =
            |name: &str| -> i64 { hours.iter().map(|hour| hour[name].as_i64().unwrap()).sum() };
        (sum("waiting"), sum("no_match"), sum("skipped"))
    };
    let before = sums().await;
    let account = fed.world.account(PORTAL);
    let company = account.create("companies", &[("name", "Later")]).unwrap();
    fed.world.settle().await;
    let line = &fed.get(&format!("/activity?record_id={company}")).await[0];
    assert_eq!(line["reason"], "not_reached", "{line}");
    let after = sums().await;
    assert!(after.0 > before.0, "{before:?} {after:?}");
    assert_eq!((after.1, after.2), (before.1, before.2));
    // Once a contact that matches has it, it is read by itself.
    let ends = (("contacts", fed.contact), ("companies", company));
    account.associate(ends.0, ends.1, Link::Primary).unwrap();
    fed.world.settle().await;
    assert_eq!(fed.world.values(&fed.user).await["company"], "Later");
}
