//! Grants: renewed once, to the end, and never against a newer consent.

use std::{sync::Arc, time::Duration};

use harness::world::World;
use hubspot_sim::{FaultRule, Route, Trouble};
use jimo_connect::{
    clock::Clock,
    host::Host,
    hubspot::{Caller, Priority},
    model::AccountId,
    sync::grants,
};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// The first account that is connected.
const ACCOUNT: AccountId = AccountId(1);

/// Past the end of a token's life, of half an hour.
const OVER: Duration = Duration::from_secs(1_801);

/// A connection, whose tokens age by the host's clock alone.
async fn connected() -> (World, String) {
    let world = World::start_with(hubspot_sim::Config::default(), Clock::system()).await;
    let id = world.connect(PORTAL).await;
    world.sim.clear_calls();
    (world, id)
}

async fn caller(host: Arc<Host>) -> Result<Caller, grants::Error> {
    host.grants.caller(ACCOUNT, Priority::Live).await
}

/// How often HubSpot was asked for a token.
fn asked(world: &World) -> usize {
    let calls = world.sim.calls();
    let asked = calls.iter().filter(|call| call.path.ends_with("/token"));
    asked.count()
}

async fn held(world: &World, id: &str) -> Value {
    world.get(&format!("/connections/{id}")).await.good()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_under_way_is_not_lost_with_the_one_who_asked() {
    let (world, id) = connected().await;
    world.sim.set_app(|app| app.rotate_refresh_tokens = true);
    world.clock.turn(OVER);
    world
        .sim
        .inject(FaultRule::once(Route::Token, Trouble::Held));
    let asking = tokio::spawn(caller(world.host().clone()));
    world.until(async || asked(&world) == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world.sim.clear_faults();
    caller(world.host().clone()).await.unwrap();
    assert_eq!(asked(&world), 1);
    // The token that replaced the first works at the next renewal.
    world.clock.turn(OVER);
    caller(world.host().clone()).await.unwrap();
    assert_eq!(held(&world, &id).await["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_still_good_is_not_renewed_again_and_again_while_that_fails() {
    let (world, _) = connected().await;
    world
        .sim
        .inject(FaultRule::by_chance(Trouble::Status(400), 1.0).on(Route::Token));
    let host = world.host();
    // Its last five minutes.
    world.clock.turn(Duration::from_secs(1_560));
    for _ in 0..10 {
        caller(host.clone()).await.unwrap();
        host.grants.settled().await;
    }
    assert_eq!(asked(&world), 1);
    world.clock.turn(Duration::from_secs(30));
    caller(host.clone()).await.unwrap();
    host.grants.settled().await;
    assert_eq!(asked(&world), 2);
    // The first that needs another one asks for it, however soon.
    world.clock.turn(Duration::from_secs(230));
    caller(host.clone()).await.unwrap_err();
    assert_eq!(asked(&world), 3);
    world.sim.clear_faults();
    caller(host.clone()).await.unwrap();
}

/// Consents again for the connection.
async fn reconnect(world: &World, id: &str) {
    let path = format!("/connections/{id}/reconnect");
    let begun = world.post(&path, json!({})).await.good();
    let page = world.consent(&begun, PORTAL).await;
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 200, "{text}");
}

/// Asks for a token whose answer is held, consents again, and lets the answer
/// come.
async fn reconnected_meanwhile(world: &World, id: &str) -> Result<Caller, grants::Error> {
    world.clock.turn(OVER);
    world
        .sim
        .inject(FaultRule::once(Route::Token, Trouble::Held));
    let asking = tokio::spawn(caller(world.host().clone()));
    world.until(async || asked(world) == 1).await;
    reconnect(world, id).await;
    world.sim.clear_faults();
    asking.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_comes_after_a_new_consent_condemns_nothing() {
    let (world, id) = connected().await;
    world.account(PORTAL).revoke_grant();
    reconnected_meanwhile(&world, &id).await.unwrap();
    let held = held(&world, &id).await;
    assert_eq!(held["status"], "active", "{held:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_comes_after_a_new_consent_does_not_overwrite_it() {
    let (world, id) = connected().await;
    let lost = "crm.objects.deals.read";
    world.account(PORTAL).drop_scope(lost);
    reconnected_meanwhile(&world, &id).await.unwrap();
    let held = held(&world, &id).await;
    let scopes = held["scopes"].as_array().unwrap();
    assert!(scopes.iter().any(|scope| scope == lost), "{held:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_waits_to_be_given_back_is_kept_when_the_account_is_connected_again() {
    let (world, id) = connected().await;
    let other = world.connect(PORTAL + 1).await;
    let refusal = FaultRule::once(Route::Token, Trouble::Status(400));
    world.sim.inject(refusal);
    assert_eq!(
        world.delete(&format!("/connections/{id}")).await.status,
        204
    );
    let revocations = || {
        let calls = world.sim.calls();
        let made = calls.iter().filter(|call| call.path.ends_with("/revoke"));
        made.count()
    };
    world.until(async || revocations() == 1).await;
    let id = world.connect(PORTAL).await;
    // The one that is due now is before this one in the order of their ends.
    world.clock.turn(Duration::from_secs(60));
    assert_eq!(
        world.delete(&format!("/connections/{other}")).await.status,
        204
    );
    let given_back = async || !world.account(PORTAL + 1).is_installed();
    world.until(given_back).await;
    assert!(world.account(PORTAL).is_installed());
    assert_eq!(held(&world, &id).await["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_whose_grant_was_given_back_meanwhile_connects_nothing_and_says_so() {
    let world = World::start().await;
    let begun = world
        .post("/connections", json!({"connector": "hubspot"}))
        .await
        .good();
    let page = world.consent(&begun, PORTAL).await;
    let id = world.connect(PORTAL).await;
    assert_eq!(
        world.delete(&format!("/connections/{id}")).await.status,
        204
    );
    let given_back = async || !world.account(PORTAL).is_installed();
    world.until(given_back).await;
    let (status, text) = world.confirm(&page).await;
    assert_eq!(status, 409, "{text}");
    assert!(text.contains("Begin again"), "{text}");
    let id = begun["id"].as_str().unwrap();
    assert_eq!(held(&world, id).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_hubspot_names_is_known_after_a_restart() {
    let (mut world, id) = connected().await;
    let account = world.account(PORTAL);
    let region = async |world: &World| {
        let caller = caller(world.host().clone()).await.unwrap();
        caller.region.unwrap().as_str().to_owned()
    };
    assert_eq!(region(&world).await, "na1");
    account.move_to("eu1").unwrap();
    // The simulator has one address for all regions, so the call fails there too.
    account.misroute(true).unwrap();
    world
        .get(&format!(
            "/connections/{id}/properties?object_type=contacts"
        ))
        .await
        .problem(502);
    account.misroute(false).unwrap();
    world.until(async || region(&world).await == "eu1").await;
    world.restart().await;
    assert_eq!(region(&world).await, "eu1");
}
