//! What the journal is asked for, and where it is refused.

use harness::world::World;
use hubspot_sim::{FaultRule, Route, Trouble};
use jimo_connect::{model::AccountKey, sync::journal::journal_refused};
use serde_json::{Value, json};

use super::{
    OWN, PORTAL, catch_ups, connect, contacts, map, noon, pass, soon, told, unpushed, way, ways,
};

/// The account's subscriptions to the journal: type, object type, properties or
/// the types at the other end.
fn subscriptions(world: &World, portal: u64) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let texts =
        |value: &Value| -> Vec<String> { value.as_array().unwrap().iter().map(text).collect() };
    let all = world.sim.journal_subscriptions().into_iter();
    let own = all.filter(|one| one["portalId"] == portal);
    let mut shown: Vec<_> = own
        .map(|one| {
            let named = [
                texts(&one["properties"]),
                texts(&one["associatedObjectTypeIds"]),
            ];
            let kind = text(&one["subscriptionType"]);
            (kind, text(&one["objectTypeId"]), named.concat())
        })
        .collect();
    shown.sort();
    shown
}

/// One of [`subscriptions`].
fn one(kind: &str, object_type: &str, named: &[&str]) -> (String, String, Vec<String>) {
    let named = named.iter().map(|name| (*name).to_owned()).collect();
    (kind.to_owned(), object_type.to_owned(), named)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_follow_the_mappings() {
    let (world, connection) = unpushed().await;
    let keys = ["email", OWN, "hs_additional_emails", "jobtitle"];
    let erased = one("GDPR_PRIVACY_DELETION", "0-1", &[]);
    let expected = [erased.clone(), one("OBJECT", "0-1", &keys)];
    assert_eq!(subscriptions(&world, PORTAL), expected);
    let of_life = |one: &Value| one["subscriptionType"] == "APP_LIFECYCLE_EVENT";
    let of_life = world
        .sim
        .journal_subscriptions()
        .into_iter()
        .filter(of_life);
    let of_life: Vec<_> = of_life.map(|one| one["objectTypeId"].clone()).collect();
    assert_eq!(of_life, ["4-1916193"]);

    // A field is added, and companies that follow contacts.
    let mut more = contacts();
    let city = json!({"property": "city", "variable": "city"});
    more["contacts"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(city);
    more["companies"] = json!({"fields": [{"property": "name", "variable": "company"}]});
    map(&world, &connection, more).await;
    let keys = ["city", "email", OWN, "hs_additional_emails", "jobtitle"];
    let expected = [
        one("ASSOCIATION", "0-1", &["0-2"]),
        erased.clone(),
        one("OBJECT", "0-1", &keys),
        one("OBJECT", "0-2", &["name"]),
    ];
    soon(&world, async || subscriptions(&world, PORTAL) == expected).await;
    told(&world, &connection, "contacts", &["city"]).await;

    // And removed again; nothing is asked for that is there already.
    world.sim.clear_calls();
    map(&world, &connection, contacts()).await;
    let keys = ["email", OWN, "hs_additional_emails", "jobtitle"];
    let expected = [erased, one("OBJECT", "0-1", &keys)];
    soon(&world, async || subscriptions(&world, PORTAL) == expected).await;
    let calls = world.sim.calls();
    let made = calls
        .iter()
        .filter(|call| call.route == Route::Journal && call.method == "POST");
    assert_eq!(made.count(), 1);

    // Another account's stay when one is gone, and with the last all go.
    let other = connect(&world, PORTAL + 1).await;
    map(
        &world,
        &other,
        json!({"contacts": {"fields": [{"property": "city", "variable": "town"}]}}),
    )
    .await;
    told(&world, &other, "contacts", &["city"]).await;
    assert_eq!(
        world
            .delete(&format!("/connections/{connection}"))
            .await
            .status,
        204
    );
    soon(&world, async || subscriptions(&world, PORTAL).is_empty()).await;
    assert_eq!(subscriptions(&world, PORTAL + 1).len(), 2);
    assert_eq!(
        world.delete(&format!("/connections/{other}")).await.status,
        204
    );
    soon(&world, async || {
        world.sim.journal_subscriptions().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_somebody_took_away_come_back_and_what_they_missed_is_caught_up_with() {
    let (mut world, _) = noon().await;
    let before = subscriptions(&world, PORTAL);
    world.stop().await;
    world.sim.drop_journal_subscriptions();
    assert!(subscriptions(&world, PORTAL).is_empty());
    world.go_on().await;
    soon(&world, async || subscriptions(&world, PORTAL) == before).await;
    // Within an hour on a host that runs, too.
    assert_eq!(catch_ups(&world), 0);
    world.sim.drop_journal_subscriptions();
    pass(&world, 3_601);
    soon(&world, async || subscriptions(&world, PORTAL) == before).await;
    soon(&world, async || catch_ups(&world) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mapped_for_the_first_time_has_nothing_to_catch_up_with() {
    let (world, connection) = noon().await;
    let mut more = contacts();
    more["companies"] = json!({"fields": [{"property": "name", "variable": "company"}]});
    map(&world, &connection, more).await;
    // By then it is decided.
    told(&world, &connection, "companies", &["name"]).await;
    assert_eq!(catch_ups(&world), 0);
}

/// Has HubSpot answer no call about the journal, until that is found out.
async fn fail(world: &World) {
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::Journal);
    world.sim.inject(failing);
    // Subscriptions are looked at once an hour.
    pass(world, 3_601);
    let found = "SELECT count(*) FROM journal_findings
                 WHERE subject = 'subscriptions' AND state = 'failing'";
    soon(world, async || world.count(found) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_for_a_moment_has_nothing_caught_up_with_but_a_long_failure_has() {
    let (world, connection) = noon().await;
    fail(&world).await;
    world.sim.clear_faults();
    let mut more = contacts();
    more["contacts"]["fields"][0]["property"] = json!("city");
    map(&world, &connection, more).await;
    told(&world, &connection, "contacts", &["city"]).await;
    assert_eq!(catch_ups(&world), 0);

    fail(&world).await;
    pass(&world, 601);
    world.sim.clear_faults();
    soon(&world, async || catch_ups(&world) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_caught_up_with_though_a_call_failed_in_between() {
    let (world, _) = noon().await;
    world.sim.set_api(|api| api.journal_refused = true);
    pass(&world, 3_601);
    let refused = || {
        world.count(
            "SELECT count(*) FROM journal_findings
             WHERE subject = 'subscriptions' AND state = 'refused'",
        )
    };
    soon(&world, async || refused() == 1).await;
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::Journal);
    world.sim.inject(failing);
    world.sim.clear_calls();
    let failures = || {
        let calls = world.sim.calls().into_iter();
        calls
            .filter(|call| call.status == 503 && call.path.contains("/subscriptions"))
            .count()
    };
    // When there is a second one, the first is kept.
    soon(&world, async || failures() >= 2).await;
    assert_eq!(refused(), 1);
    world.sim.set_api(|api| api.journal_refused = false);
    world.sim.clear_faults();
    soon(&world, async || catch_ups(&world) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_is_refused_the_connection_says_so_until_it_is_not() {
    let world = World::start_with_journal().await;
    world.sim.set_api(|api| api.journal_refused = true);
    let connection = connect(&world, PORTAL).await;
    map(&world, &connection, contacts()).await;
    let key = AccountKey::from(PORTAL.to_string());
    let refused = || journal_refused(world.host(), &key);
    soon(&world, async || refused()).await;
    let way = way(&world, &connection, "contacts", "catch_up")
        .await
        .unwrap();
    assert!(
        way["why"].as_str().unwrap().contains("does not allow it"),
        "{way:#}"
    );
    let named: Vec<_> = ways(&world, &connection, "contacts").await;
    assert!(named.iter().all(|way| way["way"] != "journal"));
    // Nobody has to do anything here once it is allowed.
    world.sim.set_api(|api| api.journal_refused = false);
    told(&world, &connection, "contacts", &[OWN]).await;
    soon(&world, async || !refused()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_account_refuses_holds_up_no_other() {
    let world = World::start_with_journal().await;
    world.sim.unsubscribe_all();
    let refusing = connect(&world, PORTAL).await;
    world
        .account(PORTAL)
        .drop_scope("crm.objects.contacts.read");
    map(&world, &refusing, contacts()).await;
    let other = connect(&world, PORTAL + 1).await;
    map(
        &world,
        &other,
        json!({"contacts": {"fields": [{"property": OWN, "variable": "other_dish"}]}}),
    )
    .await;
    told(&world, &other, "contacts", &[OWN]).await;
    let key = |portal: u64| AccountKey::from(portal.to_string());
    soon(&world, async || journal_refused(world.host(), &key(PORTAL))).await;
    assert!(!journal_refused(world.host(), &key(PORTAL + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_for_which_hubspot_does_not_answer_holds_up_no_other() {
    let (mut world, _) = unpushed().await;
    let other = connect(&world, PORTAL + 1).await;
    let fields = json!([{"property": OWN, "variable": "other_dish"}]);
    map(&world, &other, json!({"contacts": {"fields": fields}})).await;
    told(&world, &other, "contacts", &[OWN]).await;
    // Both are asked for at the next start, and the first is not answered.
    world.stop().await;
    world.sim.drop_journal_subscriptions();
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::Journal);
    world.sim.inject(held.of(PORTAL));
    world.go_on().await;
    let is_asked_for = |portal| !subscriptions(&world, portal).is_empty();
    soon(&world, async || is_asked_for(PORTAL + 1)).await;
    assert!(!is_asked_for(PORTAL));
    world.sim.clear_faults();
    soon(&world, async || is_asked_for(PORTAL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_journal_is_turned_off_asks_nothing_of_it() {
    let world = World::start().await;
    let connection = connect(&world, PORTAL).await;
    world.map(&connection, contacts()).await;
    world.settle().await;
    let calls = world.sim.calls();
    assert!(calls.iter().all(|call| call.route != Route::Journal));
    let way = way(&world, &connection, "contacts", "catch_up")
        .await
        .unwrap();
    assert!(
        way["why"].as_str().unwrap().contains("HUBSPOT_JOURNAL"),
        "{way:#}"
    );
}
