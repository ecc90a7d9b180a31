//! Choices that records have and nobody knows: added since, or gone.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{FaultRule, Route, Trouble};
use jimo_connect::clock::Clock;
use serde_json::{Value, json};

use super::{PORTAL, calls, connected, mappings, reasons, refresh, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_option_added_since_is_shown_as_soon_as_records_have_it() {
    let (world, _, owner) = connected().await;
    let mut made = Vec::new();
    for number in 0..20 {
        made.push(user(&world, &format!("{number}@example.com"), owner).await);
    }
    let account = world.account(PORTAL);
    account
        .add_option("contacts", "lifecyclestage", "vip", "Very important")
        .unwrap();
    account
        .add_stage("default", "legal", "With the lawyers", false)
        .unwrap();
    world.sim.clear_calls();
    for (_, contact, deal) in &made {
        account
            .patch("contacts", *contact, &[("lifecyclestage", "vip")])
            .unwrap();
        account
            .patch("deals", *deal, &[("dealstage", "legal")])
            .unwrap();
    }
    world.settle().await;
    for (user, ..) in &made {
        let values = world.values(user).await;
        assert_eq!(values["lifecycle"], "Very important");
        assert_eq!(values["stage"], "With the lawyers");
    }
    // Once for all who met them.
    assert_eq!(calls(&world, Route::Properties), 1);
    assert_eq!(calls(&world, Route::BatchRead), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_met_before_a_restart_is_asked_for_after_it() {
    let (mut world, _, owner) = connected().await;
    let (ana, contact, _) = user(&world, "ana@example.com", owner).await;
    let failing = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::Properties);
    world.sim.inject(failing);
    let account = world.account(PORTAL);
    account
        .add_option("contacts", "lifecyclestage", "vip", "Very important")
        .unwrap();
    account
        .patch("contacts", contact, &[("lifecyclestage", "vip")])
        .unwrap();
    world.applied().await;
    // It is under way when the host stops.
    world
        .until(async || calls(&world, Route::Properties) > 1)
        .await;
    world.restart().await;
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(world.values(&ana).await["lifecycle"], "Very important");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_hubspot_refuses_is_made_later() {
    let clock = Clock::system();
    let world = World::start_with(hubspot_sim::Config::default(), clock.clone()).await;
    let owner = world
        .account(PORTAL)
        .add_owner("ola@acme.example", "Ola", "Nord")
        .unwrap();
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    let (ana, contact, _) = user(&world, "ana@example.com", owner).await;
    let refusing = FaultRule::by_chance(Trouble::Status(400), 1.0).on(Route::Properties);
    world.sim.inject(refusing);
    let account = world.account(PORTAL);
    account
        .add_option("contacts", "lifecyclestage", "vip", "Very important")
        .unwrap();
    account
        .patch("contacts", contact, &[("lifecyclestage", "vip")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await["lifecycle"], "Opportunity");
    world.sim.clear_faults();
    clock.turn(Duration::from_secs(16 * 60));
    world.settle().await;
    assert_eq!(world.values(&ana).await["lifecycle"], "Very important");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_that_is_gone_keeps_its_label_and_says_why() {
    let (world, connection, owner) = connected().await;
    let (ana, contact, _) = user(&world, "ana@example.com", owner).await;
    let account = world.account(PORTAL);
    account
        .remove_option("contacts", "lifecyclestage", "opportunity")
        .unwrap();
    // However often it is looked at, and whatever else changes.
    for label in ["A lead", "The lead"] {
        account
            .relabel("contacts", "lifecyclestage", "lead", label)
            .unwrap();
        assert_eq!(refresh(&world).await.changed, 1);
        assert_eq!(world.values(&ana).await["lifecycle"], "Opportunity");
    }
    assert!(
        reasons(&world, &connection)
            .await
            .contains(&json!("unknown_choice"))
    );
    account
        .patch("contacts", contact, &[("lifecyclestage", "lead")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await["lifecycle"], "The lead");
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_that_are_unknown_for_good_cost_few_calls() {
    let clock = Clock::system();
    let world = World::start_with(hubspot_sim::Config::default(), clock.clone()).await;
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    world.sim.clear_calls();
    // Nobody has this id.
    let (ana, ..) = user(&world, "ana@example.com", 7).await;
    assert_eq!(world.values(&ana).await["owner"], Value::Null);
    assert!(
        reasons(&world, &connection)
            .await
            .contains(&json!("unknown_choice"))
    );
    let asked = || calls(&world, Route::Owners) / 2;
    assert_eq!(asked(), 1);
    for number in 0..3 {
        user(&world, &format!("{number}@example.com"), 8 + number).await;
    }
    assert_eq!(asked(), 1);
    clock.turn(Duration::from_secs(61));
    world.settle().await;
    assert_eq!(asked(), 2);
    // Twice in vain: the next is not made as soon.
    user(&world, "ben@example.com", 12).await;
    clock.turn(Duration::from_secs(61));
    world.settle().await;
    assert_eq!(asked(), 2);
    clock.turn(Duration::from_secs(60));
    world.settle().await;
    assert_eq!(asked(), 3);
}
