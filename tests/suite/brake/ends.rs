//! How a hold ends, and what else happens to a connection that is held.

use serde_json::json;

use super::{PORTAL, Staff, pair, staff};

/// Staff whose contacts were deleted but for ten of them, and held.
async fn held() -> Staff {
    let staff = staff(150).await;
    staff.delete(&staff.contacts[..140]);
    staff.settle().await;
    assert_eq!(staff.question().await["code"], "braked");
    staff
}

const KEPT: &str = "SELECT (SELECT count(*) FROM brakes) + (SELECT count(*) FROM losses)
    + (SELECT count(*) FROM held_selections)";

#[tokio::test(flavor = "multi_thread")]
async fn restoring_the_records_ends_it_and_nobody_is_emptied() {
    let staff = held().await;
    staff.restore(&staff.contacts[..140]);
    staff.settle().await;
    staff.ended().await;
    assert_eq!((staff.shown("Cook"), staff.shown("Lyon")), (150, 150));
    assert_eq!(
        staff.told().await,
        [pair("brake", "held"), pair("brake", "released")]
    );
    // It counts from here on.
    staff.delete(&staff.contacts[..90]);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 60);
    assert!(staff.question().await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn for_an_hour_after_it_was_let_go_on_nothing_is_held() {
    let staff = staff(400).await;
    staff.delete(&staff.contacts[..150]);
    staff.settle().await;
    assert!(staff.shown("Cook") >= 300);
    staff.go_on().await;
    assert_eq!(staff.shown("Cook"), 250);
    staff.pass(3_000);
    staff.delete(&staff.contacts[150..270]);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 130);
    assert!(staff.question().await.is_null());
    staff.pass(3_600);
    staff.delete(&staff.contacts[270..]);
    staff.settle().await;
    assert_eq!(staff.question().await["code"], "braked");
    assert!(staff.shown("Cook") >= 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_held_and_goes_on_over_restarts() {
    let mut staff = held().await;
    let left = staff.shown("Cook");
    staff.world.restart().await;
    staff.delete(&staff.contacts[140..145]);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), left);
    assert_eq!(staff.told().await, [pair("brake", "held")]);

    // Told to go on where no host is at work, by the command line.
    staff.world.stop().await;
    let told = std::process::Command::new(harness::program::path())
        .args(["sync", "continue", &staff.connection])
        .env("JIMO_DATA_DIR", staff.world.directory.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{errors}");
    assert_eq!(staff.shown("Cook"), left);
    staff.world.go_on().await;
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 5);
    assert_eq!(
        staff.told().await,
        [pair("brake", "held"), pair("operator", "released")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_answers_no_question_and_the_proof_says_what_is_held() {
    let staff = staff(150).await;
    staff.patch(&staff.contacts[..140], &[("jobtitle", "")]);
    staff.settle().await;
    let left = staff.shown("Cook");
    assert_eq!(staff.question().await["code"], "braked");
    for kind in ["full", "catch_up"] {
        let path = staff.path("/syncs");
        let run = staff
            .world
            .post(&path, json!({ "kind": kind }))
            .await
            .good();
        let path = format!("{path}/{}", run["id"].as_str().unwrap());
        let is_over = async || {
            staff.pass(1);
            staff.world.get(&path).await.good()["status"] == "completed"
        };
        staff.world.until(is_over).await;
        assert_eq!(staff.shown("Cook"), left, "{kind}");
    }
    let connection = staff.world.get(&staff.path("")).await.good();
    let proof = &connection["proof"];
    let held = (left - 10) as u64;
    let differing = proof["differing"].as_array().unwrap();
    let reasons: Vec<_> = differing.iter().map(|one| &one["reason"]).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| **reason == "held"));
    let unequal = proof["compared"].as_u64().unwrap() - proof["equal"].as_u64().unwrap();
    assert_eq!(unequal, held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_neither_answers_nor_forgets_it() {
    let staff = held().await;
    let left = staff.shown("Cook");
    for how in ["pause", "resume"] {
        let path = staff.path(&format!("/{how}"));
        let connection = staff.world.post(&path, json!({})).await.good();
        assert_eq!(connection["problem"]["code"], "braked", "{connection:#}");
        // To resume asks for a catch-up.
        let is_over = async || {
            staff.pass(1);
            let open = "SELECT count(*) FROM runs WHERE status = 'running'";
            staff.world.count(open) == 0
        };
        staff.world.until(is_over).await;
        assert_eq!(staff.shown("Cook"), left);
    }
    staff.go_on().await;
    assert_eq!(staff.shown("Cook"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_is_removed_ends_it_and_its_values_become_what_is_said() {
    for (removed, left) in [("keep", true), ("clear", false)] {
        let staff = held().await;
        let before = staff.shown("Cook");
        let path = staff.path(&format!("/mappings?removed={removed}"));
        staff.world.put(&path, json!({})).await.good();
        staff.ended().await;
        assert_eq!(staff.shown("Cook"), if left { before } else { 0 });
        assert_eq!(staff.world.count("SELECT count(*) FROM held_selections"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_deleted_leaves_nothing_of_it() {
    let staff = held().await;
    assert!(staff.world.count(KEPT) > 100);
    let before = staff.shown("Cook");
    let deleted = staff.world.delete(&staff.path("?values=keep")).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(staff.world.count(KEPT), 0);
    assert_eq!(staff.shown("Cook"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_deleted_is_forgotten_and_the_last_one_ends_it() {
    let staff = held().await;
    for user in &staff.users[..140] {
        let deleted = staff.world.delete(&format!("/users/{user}")).await;
        assert_eq!(deleted.status, 204);
    }
    staff.ended().await;
    let kept = "SELECT (SELECT count(*) FROM losses) + (SELECT count(*) FROM held_selections)";
    assert_eq!(staff.world.count(kept), 0);
    assert_eq!(staff.shown("Cook"), 10);
    let account = staff.world.account(PORTAL);
    assert_eq!(account.count("contacts").unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_mapped_no_more_is_asked_about_no_more() {
    let staff = staff(150).await;
    staff.patch(&staff.contacts[..140], &[("jobtitle", "")]);
    staff.settle().await;
    let left = staff.shown("Cook");
    assert_eq!(staff.question().await["code"], "braked");
    let fields = json!([{"property": "city", "variable": "city"}]);
    let mapped = json!({"contacts": {"fields": fields}});
    staff.world.map(&staff.connection, mapped).await;
    staff.settle().await;
    staff.ended().await;
    // They are Jimo's own now.
    assert_eq!(staff.shown("Cook"), left);
    assert!(staff.question().await.is_null());
}
