//! The proof of truth: what users show, compared with what HubSpot says.

use serde_json::json;

use super::{PORTAL, mappings, silent, sync, users};

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_ends_with_a_comparison_and_explains_what_differs() {
    let (world, connection) = silent().await;
    let ids = users(&world, &["ana@example.com", "ben@example.com"]).await;
    let account = world.account(PORTAL);
    for (email, title) in [("ana@example.com", "Cook"), ("ben@example.com", "")] {
        let values = [("email", email), ("jobtitle", title), ("city", "Lyon")];
        account.create("contacts", &values).unwrap();
    }
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    let path = format!("/connections/{connection}");
    assert!(world.get(&path).await.good()["proof"].is_null());

    let mut more = mappings();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    world.map(&connection, more).await;
    sync(&world, &connection, "catch_up").await;
    let proof = world.get(&path).await.good()["proof"].clone();
    assert_eq!(
        (&proof["compared"], &proof["equal"]),
        (&json!(4), &json!(2))
    );
    // The new field is filled by a full sync, or as contacts change.
    let differing = proof["differing"].as_array().unwrap();
    let reasons: Vec<_> = differing.iter().map(|one| &one["reason"]).collect();
    assert_eq!(reasons, ["not_filled", "not_filled"]);
    assert!(differing.iter().any(|one| one["user"] == json!(ids[0])));

    sync(&world, &connection, "full").await;
    sync(&world, &connection, "catch_up").await;
    let proof = world.get(&path).await.good()["proof"].clone();
    assert_eq!(
        (&proof["compared"], &proof["equal"]),
        (&json!(4), &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_hubspots_is_named() {
    let (world, connection) = silent().await;
    let ana = users(&world, &["ana@example.com"]).await.remove(0);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.map(&connection, mappings()).await;
    sync(&world, &connection, "full").await;
    // Behind the pipeline's back.
    let stuck = "UPDATE user_values SET value = 'Pirate';
        CREATE TRIGGER stuck BEFORE UPDATE ON user_values BEGIN SELECT RAISE(IGNORE); END;";
    world.tamper(stuck).await;
    sync(&world, &connection, "catch_up").await;
    let path = format!("/connections/{connection}");
    let proof = world.get(&path).await.good()["proof"].clone();
    assert_eq!(
        (&proof["compared"], &proof["equal"]),
        (&json!(1), &json!(0))
    );
    let (_, metrics) = world.page(world.host().url("/metrics")).await;
    for (name, value) in [("proof_values", 1), ("proof_values_equal", 0)] {
        let line = format!("jimo_connect_{name} {value}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    let one = &proof["differing"][0];
    assert_eq!(one["reason"], "differs");
    assert_eq!(
        (&one["user"], &one["variable"]),
        (&json!(ana), &json!("job_title"))
    );
}
