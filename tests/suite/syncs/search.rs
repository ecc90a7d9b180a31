//! What HubSpot's search gets wrong, and a catch-up finds all the same. Nobody
//! is linked to these records yet, so nothing but a search tells of them.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{FaultRule, Limits, ObjectType, PropertySpec, Route, Trouble};
use serde_json::{Value, json};

use super::{PORTAL, calls, mappings, over, pass, silent, sync, users};

/// Contacts by e-mail alone.
fn contacts() -> Value {
    json!({"contacts": mappings()["contacts"]})
}

/// Users by number, who come before their contacts do.
async fn numbered(world: &World, count: usize) -> Vec<String> {
    let emails: Vec<_> = (0..count).map(address).collect();
    let emails: Vec<_> = emails.iter().map(String::as_str).collect();
    users(world, &emails).await
}

fn address(number: usize) -> String {
    format!("user-{number}@example.com")
}

/// A user's contact.
fn create(world: &World, number: usize) -> u64 {
    let email = address(number);
    let values = [("email", email.as_str()), ("jobtitle", "Cook")];
    world.account(PORTAL).create("contacts", &values).unwrap()
}

/// How many users show their contact's title.
async fn cooks(world: &World, ids: &[String]) -> usize {
    let mut cooks = 0;
    for id in ids {
        cooks += usize::from(world.values(id).await == json!({"job_title": "Cook"}));
    }
    cooks
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_know_yet_is_found_by_the_next_catch_up() {
    let (world, connection) = silent().await;
    let ids = numbered(&world, 1).await;
    world.map(&connection, contacts()).await;
    world.sim.set_api(|api| api.search_lag_ms = 30 * 60_000);
    create(&world, 0);
    pass(&world, 60);
    let early = sync(&world, &connection, "catch_up").await;
    assert_eq!(early["status"], "completed", "{early}");
    assert_eq!(cooks(&world, &ids).await, 0);
    pass(&world, 30 * 60);
    sync(&world, &connection, "catch_up").await;
    assert_eq!(cooks(&world, &ids).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_that_its_filter_has_wrong_lose_nothing_and_cost_nothing() {
    let (world, connection) = silent().await;
    let ids = numbered(&world, 60).await;
    world.map(&connection, contacts()).await;
    let account = world.account(PORTAL);
    for stranger in 0..60 {
        let email = format!("stranger-{stranger}@example.com");
        account.create("contacts", &[("email", &email)]).unwrap();
    }
    pass(&world, 75 * 60);
    sync(&world, &connection, "catch_up").await;
    pass(&world, 60);
    world.sim.set_api(|api| api.search_window_ms = 50 * 60_000);
    (0..60).for_each(|number| {
        create(&world, number);
    });
    pass(&world, 60);
    // It finds strangers from before the window, and of the users' contacts it
    // would miss some if the window began where the last run did.
    let run = sync(&world, &connection, "catch_up").await;
    assert_eq!(cooks(&world, &ids).await, 60);
    assert_eq!(run["counts"]["read"], 60, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_strict_loses_nothing_between_pages() {
    let (world, connection) = silent().await;
    let ids = numbered(&world, 500).await;
    world.map(&connection, contacts()).await;
    world.sim.set_api(|api| api.search_disorder_ms = 3_600_000);
    // Modified in another order than made.
    let made: Vec<_> = (0..500).map(|number| create(&world, number)).collect();
    for contact in made.iter().rev() {
        pass(&world, 1);
        world.account(PORTAL).touch("contacts", *contact).unwrap();
    }
    sync(&world, &connection, "catch_up").await;
    assert_eq!(cooks(&world, &ids).await, 500);
    assert!(calls(&world, Route::Search, ObjectType::Contacts).len() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_is_searched_by_its_own_name_of_the_stamp() {
    let (world, connection) = silent().await;
    let account = world.account(PORTAL);
    let types = ["contacts", "companies", "deals"];
    let mut mappings = json!({});
    for object_type in types {
        let spec = PropertySpec::text("customer_id");
        account.define(object_type, spec).unwrap();
        let spec = PropertySpec::text("tier");
        account.define(object_type, spec).unwrap();
        mappings[object_type] = json!({
            "matching": {"property": "customer_id", "user": "external_id"},
            "fields": [{"property": "tier", "variable": format!("{object_type}_tier")}],
        });
    }
    let ana = json!([{"external_id": "u-1"}]);
    let ana = world.put_users(ana).await.remove(0);
    world.map(&connection, mappings).await;
    for object_type in types {
        let values = [("customer_id", "u-1"), ("tier", "gold")];
        account.create(object_type, &values).unwrap();
    }
    sync(&world, &connection, "catch_up").await;
    assert_eq!(
        world.values(&ana).await,
        json!({"contacts_tier": "gold", "companies_tier": "gold", "deals_tier": "gold"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_during_a_long_catch_up_is_found_by_the_next() {
    let (world, connection) = silent().await;
    let ids = numbered(&world, 2).await;
    world.map(&connection, contacts()).await;
    create(&world, 0);
    // It has searched, and waits for what it found.
    let held = FaultRule::by_chance(Trouble::Held, 1.0).on(Route::BatchRead);
    world.sim.inject(held);
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    let searched = async || {
        pass(&world, 1);
        world.count("SELECT count(*) FROM reads WHERE run IS NOT NULL") > 0
    };
    world.until(searched).await;
    pass(&world, 60);
    create(&world, 1);
    pass(&world, 3 * 3_600);
    world.sim.clear_faults();
    let first = over(&world, &connection, &id).await;
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!(cooks(&world, &ids).await, 1);
    sync(&world, &connection, "catch_up").await;
    assert_eq!(cooks(&world, &ids).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_strangers_use_up_is_met_without_a_storm_of_refusals() {
    let (world, connection) = silent().await;
    let ids = numbered(&world, 1).await;
    world.map(&connection, contacts()).await;
    for number in (0..4_000).rev() {
        create(&world, number);
    }
    // Of five searches a second other apps make four.
    world.sim.set_limits(Limits {
        foreign_searches_per_second: 4,
        ..Limits::marketplace()
    });
    world.sim.clear_calls();
    let path = format!("/connections/{connection}/syncs");
    let started = world.post(&path, json!({"kind": "catch_up"})).await;
    let id = started.json["id"].as_str().unwrap().to_owned();
    // Many looks a second: whoever asks again too soon is refused.
    let searched = async || {
        let moment = Duration::from_millis(100);
        world.clock.turn(moment);
        world.sim.turn(moment);
        let searches = calls(&world, Route::Search, ObjectType::Contacts);
        searches.iter().filter(|call| call.status == 200).count() >= 20
    };
    world.until(searched).await;
    let run = over(&world, &connection, &id).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["counts"]["read"], 4_000, "{run}");
    assert_eq!(cooks(&world, &ids).await, 1);
    let searches = calls(&world, Route::Search, ObjectType::Contacts);
    let refused = searches.iter().filter(|call| call.status == 429).count();
    assert!(refused <= 1, "{refused} of {} refused", searches.len());
}
