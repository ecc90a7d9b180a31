//! Companies and deals feed the users of their contacts.

use harness::world::World;
use hubspot_sim::{FaultRule, Link, Route, Trouble};
use serde_json::{Value, json};

use super::{PORTAL, connected, contact, mappings, reads, user};

/// A user with a linked contact, and both ids.
async fn ana(world: &World) -> (String, u64) {
    let user = user(world, "ana@example.com").await;
    let contact = contact(world, &[("email", "ana@example.com")]).await;
    (user, contact)
}

fn company(world: &World, name: &str) -> u64 {
    let account = world.account(PORTAL);
    account.create("companies", &[("name", name)]).unwrap()
}

fn deal(world: &World, name: &str) -> u64 {
    let account = world.account(PORTAL);
    account.create("deals", &[("dealname", name)]).unwrap()
}

fn associate(world: &World, contact: u64, to: (&str, u64), link: Link) {
    let account = world.account(PORTAL);
    account.associate(("contacts", contact), to, link).unwrap();
}

async fn value(world: &World, user: &str, variable: &str) -> Value {
    world.values(user).await[variable].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_company_feeds_and_another_one_once_it_is_primary() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let (acme, bolt) = (company(&world, "Acme"), company(&world, "Bolt"));
    associate(&world, contact, ("companies", acme), Link::Plain);
    associate(&world, contact, ("companies", bolt), Link::Plain);
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Acme");
    associate(&world, contact, ("companies", bolt), Link::Primary);
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Bolt");
    let account = world.account(PORTAL);
    account
        .dissociate(("contacts", contact), ("companies", bolt))
        .unwrap();
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Acme");
    account
        .dissociate(("contacts", contact), ("companies", acme))
        .unwrap();
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deal_that_was_modified_latest_feeds() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let (one, two) = (deal(&world, "One"), deal(&world, "Two"));
    associate(&world, contact, ("deals", one), Link::Plain);
    associate(&world, contact, ("deals", two), Link::Plain);
    world.settle().await;
    let account = world.account(PORTAL);
    for (id, name) in [(one, "One again"), (two, "Two again"), (one, "One at last")] {
        world.sim.turn(std::time::Duration::from_secs(1));
        account.patch("deals", id, &[("dealname", name)]).unwrap();
        world.settle().await;
        assert_eq!(value(&world, &ana, "deal").await, name);
    }
    account.delete("deals", one).unwrap();
    world.settle().await;
    assert_eq!(value(&world, &ana, "deal").await, "Two again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companys_change_reaches_the_users_of_all_its_contacts_without_a_call() {
    let (world, _) = connected().await;
    let acme = company(&world, "Acme");
    let mut users = Vec::new();
    for number in 0..25 {
        let email = format!("user{number}@example.com");
        users.push(user(&world, &email).await);
        let account = world.account(PORTAL);
        let id = account.create("contacts", &[("email", &email)]).unwrap();
        associate(&world, id, ("companies", acme), Link::Plain);
    }
    world.settle().await;
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account
        .patch("companies", acme, &[("name", "Acme Ltd")])
        .unwrap();
    world.settle().await;
    for user in &users {
        assert_eq!(world.values(user).await, json!({"company": "Acme Ltd"}));
    }
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_of_companies_added_later_resolves_the_contacts_that_are_linked() {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let contacts = json!({"contacts": mappings()["contacts"]});
    world.map(&connection, contacts).await;
    let (ana, contact) = ana(&world).await;
    let acme = company(&world, "Acme");
    let stranger = company(&world, "Stranger");
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.settle().await;
    world.sim.clear_calls();
    let both = json!({
        "contacts": mappings()["contacts"], "companies": mappings()["companies"],
    });
    world.map(&connection, both).await;
    world.settle().await;
    // To begin to feed a user is a change, not a backfill.
    assert_eq!(value(&world, &ana, "company").await, "Acme");
    let calls = reads(&world);
    let routes: Vec<_> = calls.iter().map(|call| call.route).collect();
    assert_eq!(routes, [Route::Associations, Route::BatchRead]);
    world.sim.clear_calls();
    let account = world.account(PORTAL);
    account
        .patch("companies", stranger, &[("name", "Still a stranger")])
        .unwrap();
    world.settle().await;
    assert_eq!(reads(&world), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_loses_its_user_takes_its_company_along() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let acme = company(&world, "Acme");
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Acme");
    let account = world.account(PORTAL);
    account
        .patch("contacts", contact, &[("email", "nobody@example.com")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
    // And its changes cost nothing from here on.
    world.sim.clear_calls();
    account
        .patch("companies", acme, &[("name", "Acme Ltd")])
        .unwrap();
    world.settle().await;
    assert_eq!(reads(&world), []);
    account
        .patch("contacts", contact, &[("email", "ana@example.com")])
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"company": "Acme Ltd"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_back_is_not_fed_by_what_was_associated_once() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let (acme, bolt) = (company(&world, "Acme"), company(&world, "Bolt"));
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Acme");
    assert_eq!(world.delete(&format!("/users/{ana}")).await.status, 204);
    let account = world.account(PORTAL);
    account
        .dissociate(("contacts", contact), ("companies", acme))
        .unwrap();
    associate(&world, contact, ("companies", bolt), Link::Plain);
    world.settle().await;
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0);
    world.sim.inject(failing.on(Route::Associations));
    let again = user(&world, "ana@example.com").await;
    world.until(async || !world.sim.calls().is_empty()).await;
    assert_eq!(world.values(&again).await, json!({}));
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(value(&world, &again, "company").await, "Bolt");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_vanishes_while_another_deal_takes_over() {
    let (world, connection) = connected().await;
    let (ana, contact) = ana(&world).await;
    let (one, two) = (deal(&world, "One"), deal(&world, "Two"));
    let account = world.account(PORTAL);
    for id in [one, two] {
        account
            .patch("deals", id, &[("description", "Of old")])
            .unwrap();
        associate(&world, contact, ("deals", id), Link::Plain);
    }
    world.settle().await;
    let mut wider = mappings();
    let fields = wider["deals"]["fields"].as_array_mut().unwrap();
    fields.push(json!({"property": "description", "variable": "about"}));
    world.map(&connection, wider).await;
    world.sim.turn(std::time::Duration::from_secs(1));
    account
        .patch("deals", one, &[("description", "About one")])
        .unwrap();
    world.settle().await;
    assert_eq!(value(&world, &ana, "about").await, "About one");
    let failing = FaultRule::by_chance(Trouble::Status(503), 1.0);
    world.sim.inject(failing);
    world.sim.turn(std::time::Duration::from_secs(1));
    account
        .patch("deals", two, &[("dealname", "Two again")])
        .unwrap();
    world.applied().await;
    assert_eq!(value(&world, &ana, "deal").await, "Two again");
    assert_eq!(value(&world, &ana, "about").await, "About one");
    world.sim.clear_faults();
    world.settle().await;
    assert_eq!(value(&world, &ana, "about").await, "Of old");
}

/// Lets HubSpot answer this about a contact's associations, with one of `to`
/// in each element.
fn answer_associations(world: &World, contact: u64, to: &[Value], times: u32) {
    let elements = to
        .iter()
        .map(|to| json!({"from": {"id": contact.to_string()}, "to": [to]}));
    let body = json!({"status": "COMPLETE", "results": elements.collect::<Vec<_>>()});
    let answer = FaultRule::by_chance(Trouble::Answer(200, body), 1.0);
    world
        .sim
        .inject(answer.on(Route::Associations).times(times));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_listed_twice_is_one_and_holds_up_nothing() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let acme = company(&world, "Acme");
    world.settle().await;
    let listed = json!({"toObjectId": acme.to_string(), "associationTypes": []});
    answer_associations(&world, contact, &[listed.clone(), listed], u32::MAX);
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.settle().await;
    assert_eq!(value(&world, &ana, "company").await, "Acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn associations_that_cannot_be_understood_withdraw_nothing() {
    let (world, _) = connected().await;
    let (ana, contact) = ana(&world).await;
    let (acme, bolt) = (company(&world, "Acme"), company(&world, "Bolt"));
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.settle().await;
    // An associated record without an id, beside one that has its own.
    let listed = json!({"toObjectId": bolt.to_string(), "associationTypes": []});
    let odd = json!({"associationTypes": []});
    answer_associations(&world, contact, &[listed, odd], 2);
    associate(&world, contact, ("companies", bolt), Link::Plain);
    world.settle().await;
    // It was asked again, until the answer was understood.
    assert_eq!(value(&world, &ana, "company").await, "Acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_associations_without_end_are_left() {
    let (world, connection) = connected().await;
    let (ana, contact) = ana(&world).await;
    let acme = company(&world, "Acme");
    world.settle().await;
    let element = json!({
        "from": {"id": contact.to_string()},
        "to": [{"toObjectId": acme.to_string(), "associationTypes": []}],
        "paging": {"next": {"after": "7"}},
    });
    let body = json!({"status": "COMPLETE", "results": [element]});
    let answer = FaultRule::by_chance(Trouble::Answer(200, body), 1.0);
    world.sim.inject(answer.on(Route::Associations));
    associate(&world, contact, ("companies", acme), Link::Plain);
    world.sim.settle().await;
    let path = format!("/connections/{connection}");
    let told = async || {
        let counts = world.get(&path).await.good()["counts"].clone();
        counts["skipped"]["read_not_understood"] == 1
    };
    super::hours_later(&world, told).await;
    world.sim.clear_faults();
    super::hours_later(&world, async || {
        value(&world, &ana, "company").await == "Acme"
    })
    .await;
}
