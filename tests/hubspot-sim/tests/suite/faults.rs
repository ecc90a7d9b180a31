//! Faults that are asked for, and how they look to a client.

use std::time::Duration;

use hubspot_sim::{FaultRule, Route, Trouble};

use crate::world::World;

const PATH: &str = "/crm/v3/objects/contacts";

#[tokio::test]
async fn a_cut_body_and_a_reset_are_errors_of_the_connection() {
    let world = World::new().await;
    world
        .account
        .create("contacts", &[("email", "ana@example.com")])
        .unwrap();
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::CutBody));
    let response = world
        .request(reqwest::Method::GET, PATH)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::Reset));
    let reset = world.request(reqwest::Method::POST, PATH);
    // A fault for lists leaves writes alone.
    assert!(reset.json(&serde_json::json!({})).send().await.is_ok());
    assert!(
        world
            .request(reqwest::Method::GET, PATH)
            .send()
            .await
            .is_err()
    );
    assert_eq!(world.get(PATH).await.status, 200);
    let statuses: Vec<u16> = world.sim.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [200, 201, 0, 200]);
}

#[tokio::test]
async fn another_answer_can_be_asked_for_whatever_is_true() {
    let world = World::new().await;
    let body = serde_json::json!({"results": [{"id": "7"}]});
    world.sim.inject(FaultRule::once(
        Route::List,
        Trouble::Answer(207, body.clone()),
    ));
    let answer = world.get(PATH).await;
    assert_eq!((answer.status, answer.body), (207, body));
    assert_eq!(world.get(PATH).await.status, 200);
}

#[tokio::test]
async fn statuses_and_limits_can_be_asked_for() {
    let world = World::new().await;
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::Status(502)));
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::TooManyRequests));
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::DailyLimit));
    assert_eq!(world.get(PATH).await.status, 502);
    let limited = world.get(PATH).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.body["policyName"], "TEN_SECONDLY_ROLLING");
    assert_eq!(world.get(PATH).await.body["policyName"], "DAILY");
    assert_eq!(world.get(PATH).await.status, 200);
    world
        .sim
        .inject(FaultRule::by_chance(Trouble::Status(500), 0.5));
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(world.get(PATH).await.status == 500);
    }
    assert!((25..75).contains(&failed), "{failed}");
    world.sim.clear_faults();
    assert_eq!(world.get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_record_just_made_may_still_be_missing() {
    let world = World::with(|config| config.api.creation_lag_ms = 500).await;
    let ana = world.account.create("contacts", &[]).unwrap();
    let path = format!("{PATH}/{ana}");
    assert_eq!(world.get(&path).await.status, 404);
    world.sim.turn(Duration::from_millis(500));
    assert_eq!(world.get(&path).await.status, 200);
}

#[tokio::test]
async fn a_held_call_is_carried_out_at_once_and_answered_when_the_faults_are_cleared() {
    let world = World::new().await;
    world
        .sim
        .inject(FaultRule::once(Route::List, Trouble::Held));
    let held = tokio::spawn(world.request(reqwest::Method::GET, PATH).send());
    while world.sim.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.get(PATH).await.status, 200);
    assert!(!held.is_finished());
    world.sim.clear_faults();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}
