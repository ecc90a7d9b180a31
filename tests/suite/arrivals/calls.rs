//! What arrivals cost.

use hubspot_sim::Route;
use serde_json::{Value, json};

use super::{by_email, calls, connected_after, user};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_arrivals_cost_about_a_hundred_calls() {
    let (world, _) = connected_after(by_email(), |account| {
        for number in (0..10_000).step_by(100) {
            let email = format!("user{number}@example.com");
            let values = [("email", email.as_str()), ("jobtitle", "Cook")];
            account.create("contacts", &values).unwrap();
        }
    })
    .await;
    let mut last = String::new();
    for thousand in 0..10 {
        let users = (0..1_000).map(|one| {
            let email = format!("user{}@example.com", thousand * 1_000 + one);
            json!({"email": email})
        });
        let ids = world.put_users(Value::from_iter(users)).await;
        last = ids[900].clone();
    }
    world.settle().await;
    assert_eq!(world.values(&last).await, json!({"job_title": "Cook"}));
    let made = calls(&world, Route::BatchRead);
    assert!((100..=120).contains(&made), "{made}");
    let metrics = world.host().metrics.render();
    let counted = format!("jimo_connect_lookups_total{{outcome=\"ok\"}} {made}");
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_come_one_by_one_share_calls() {
    let (world, _) = connected_after(by_email(), |_| {}).await;
    for number in 0..50 {
        user(&world, &format!("user{number}@example.com")).await;
    }
    world.settle().await;
    // The first is looked up at once; how many come meanwhile is the machine's
    // to say.
    let made = calls(&world, Route::BatchRead);
    assert!((1..=25).contains(&made), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_share_an_address_are_asked_for_once_and_all_filled() {
    let (world, _) = super::cook().await;
    let users: Vec<_> = (0..3)
        .map(|number| json!({"external_id": number.to_string(), "email": "ana@example.com"}))
        .collect();
    let ids = world.put_users(json!(users)).await;
    world.settle().await;
    for id in ids {
        assert_eq!(world.values(&id).await, json!({"job_title": "Cook"}));
    }
    assert_eq!(calls(&world, Route::BatchRead), 1);
}
