//! Whose record is found, and by what.

use harness::world::World;
use hubspot_sim::{Link, PropertySpec, Route};
use jimo_connect::store::projects::Role;
use serde_json::json;

use super::{PORTAL, by, by_email, calls, connected_after, cook, identified, user, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_contact_nobody_has_read_is_filled_with_companies_and_deals() {
    let (world, connection) = connected_after(by_email(), |account| {
        let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
        let ana = account.create("contacts", &values).unwrap();
        let acme = account.create("companies", &[("name", "Acme")]).unwrap();
        let big = account.create("deals", &[("dealname", "Big")]).unwrap();
        for to in [("companies", acme), ("deals", big)] {
            account
                .associate(("contacts", ana), to, Link::Plain)
                .unwrap();
        }
    })
    .await;
    let ana = user(&world, "Ana@Example.com").await;
    world.settle().await;
    let filled = json!({"job_title": "Cook", "company": "Acme", "deal": "Big"});
    assert_eq!(world.values(&ana).await, filled);
    let path = format!("/connections/{connection}/activity");
    let lines = world.get(&path).await.good();
    let updated = lines.as_array().unwrap().iter();
    let mut updated: Vec<_> = updated
        .filter(|line| line["outcome"] == "updated")
        .map(|line| (&line["origin"], &line["object_type"], &line["user"]))
        .collect();
    updated.sort_by_key(|(_, object_type, _)| object_type.as_str());
    let (origin, ana) = (&json!("arrival"), &json!(ana));
    let of = ["companies", "contacts", "deals"].map(|name| json!(name));
    assert_eq!(updated, of.each_ref().map(|name| (origin, name, ana)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_address_that_is_a_contacts_secondary_one_finds_it() {
    let (world, _) = connected_after(by_email(), |account| {
        // Of a merged contact the other's address is a secondary one.
        let values = [("email", "ana@work.example"), ("jobtitle", "Cook")];
        let ana = account.create("contacts", &values).unwrap();
        let values = [("email", "ana@example.com")];
        let other = account.create("contacts", &values).unwrap();
        account.merge("contacts", ana, other).unwrap();
    })
    .await;
    let ana = user(&world, "ana@example.com").await;
    // In the same call, though its own record is elsewhere in the answer.
    let ben = user(&world, "ben@example.com").await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
    assert_eq!(world.values(&ben).await, json!({}));
}

/// Puts users by external ids, and says what title each has then, how often
/// records were searched for, and how often they were read.
async fn titles(
    spec: PropertySpec,
    values: &[&str],
    external_ids: &[&str],
) -> (Vec<serde_json::Value>, usize, usize) {
    let rule = by(&spec.name);
    let (world, _) = connected_after(rule, identified(spec, values)).await;
    let users: Vec<_> = external_ids
        .iter()
        .map(|id| json!({"external_id": id}))
        .collect();
    let ids = world.put_users(json!(users)).await;
    world.settle().await;
    assert_eq!(waiting(&world), 0);
    let mut titles = Vec::new();
    for id in ids {
        titles.push(world.values(&id).await["job_title"].clone());
    }
    (
        titles,
        calls(&world, Route::Search),
        calls(&world, Route::BatchRead),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_by_a_unique_property_at_once() {
    let spec = PropertySpec::text("customer_id").unique();
    let (titles, searches, reads) = titles(spec, &["Ab-1", "Ab-2"], &["Ab-1", "Ab-3"]).await;
    assert_eq!(titles, [json!("Ab-1"), json!(null)]);
    assert_eq!((searches, reads), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_searched_for_by_a_property_that_is_not_unique_then_read() {
    let spec = PropertySpec::text("customer_id");
    let (titles, searches, reads) =
        titles(spec, &["Ab-1", "ab-1", "Ab-2"], &["Ab-1", "Ab-3"]).await;
    // Ids differ by their case, whatever a search thinks.
    assert_eq!(titles, [json!("Ab-1"), json!(null)]);
    assert_eq!((searches, reads), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_the_same_id_however_they_are_written() {
    for unique in [true, false] {
        let spec = PropertySpec {
            unique,
            ..PropertySpec::number("customer_number")
        };
        let (titles, searches, reads) = titles(
            spec,
            &["123", "1234567890123"],
            &["0123", "1234567890123.0", "x"],
        )
        .await;
        assert_eq!(titles, [json!("123"), json!("1234567890123"), json!(null)]);
        assert_eq!((searches, reads), (usize::from(!unique), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_contacts_with_one_id_all_are_found_and_the_lowest_feeds() {
    let spec = PropertySpec::text("customer_id");
    let mut ids = Vec::new();
    let (world, _) = connected_after(by("customer_id"), |account| {
        account.define("contacts", spec).unwrap();
        for title in ["First", "Second"] {
            let values = [("customer_id", "u-1"), ("jobtitle", title)];
            ids.push(account.create("contacts", &values).unwrap());
        }
    })
    .await;
    let user = json!([{"external_id": "u-1"}]);
    let id = world.put_users(user).await.remove(0);
    world.settle().await;
    assert_eq!(world.values(&id).await, json!({"job_title": "First"}));
    world.account(PORTAL).delete("contacts", ids[0]).unwrap();
    world.settle().await;
    assert_eq!(world.values(&id).await, json!({"job_title": "Second"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_records_than_a_page_of_a_search_has_are_all_found() {
    let spec = PropertySpec::text("customer_id");
    let (world, _) = connected_after(by("customer_id"), |account| {
        account.define("contacts", spec).unwrap();
        for number in 0..250 {
            let title = format!("Title {number}");
            let values = [("customer_id", "u-1"), ("jobtitle", &title)];
            account.create("contacts", &values).unwrap();
        }
    })
    .await;
    world.put_users(json!([{"external_id": "u-1"}])).await;
    world.settle().await;
    assert_eq!(calls(&world, Route::Search), 2);
    assert_eq!(calls(&world, Route::BatchRead), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whom_no_contact_matches_costs_a_call_and_is_found_by_a_later_one() {
    let (world, connection) = cook().await;
    for missing_batch_is_404 in [false, true] {
        world.sim.clear_calls();
        world
            .sim
            .set_api(|api| api.missing_batch_is_404 = missing_batch_is_404);
        let ben = user(&world, &format!("ben{missing_batch_is_404}@example.com")).await;
        world.settle().await;
        // That all of a batch is missing is believed when it is said again.
        let calls = if missing_batch_is_404 { 2 } else { 1 };
        assert_eq!(world.sim.calls().len(), calls);
        assert_eq!(world.values(&ben).await, json!({}));
        assert_eq!(waiting(&world), 0);
    }
    let path = format!("/connections/{connection}/activity");
    let lines = world.get(&path).await.good();
    let of_records = lines.as_array().unwrap().iter();
    let mut of_records = of_records.filter(|line| line["origin"] != "admin");
    assert_eq!(of_records.next(), None);
    let values = [("email", "bentrue@example.com"), ("jobtitle", "Baker")];
    world.account(PORTAL).create("contacts", &values).unwrap();
    world.settle().await;
    let ben = world.user_by_email("bentrue@example.com").await;
    assert_eq!(ben["variables"]["job_title"]["value"], "Baker");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_address_changes_is_looked_up_by_the_new_one() {
    let (world, _) = cook().await;
    let put = async |email: &str| {
        let user = json!([{"external_id": "u-1", "email": email}]);
        let id = world.put_users(user).await.remove(0);
        world.settle().await;
        world.values(&id).await
    };
    assert_eq!(put("nobody@example.com").await, json!({}));
    assert_eq!(put("ana@example.com").await, json!({"job_title": "Cook"}));
    world.sim.clear_calls();
    // Nothing is new about them.
    assert_eq!(put("ana@example.com").await, json!({"job_title": "Cook"}));
    assert_eq!(world.sim.calls(), []);
    assert_eq!(put("nobody@example.com").await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_were_there_before_the_mapping_are_not_looked_up() {
    let world = World::start().await;
    let account = world.account(PORTAL);
    let values = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    account.create("contacts", &values).unwrap();
    let ana = user(&world, "ana@example.com").await;
    let connection = world.connect(PORTAL).await;
    world.map(&connection, super::mappings(by_email())).await;
    world.settle().await;
    assert_eq!(world.values(&ana).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_users_are_matched_by_is_an_identifier_too() {
    let spec = PropertySpec::number("customer_number");
    let world = World::start().await;
    identified(spec, &["42"])(&world.account(PORTAL));
    world
        .post("/variables", json!({"name": "number", "type": "number"}))
        .await
        .good();
    let connection = world.connect(PORTAL).await;
    let rule = json!({"property": "customer_number", "user": "variable:number"});
    let mapped = super::mappings(json!({ "matching": rule }));
    world.map(&connection, mapped).await;
    let put = async |number: i64| {
        let user = json!([{"external_id": "u-1", "variables": {"number": number}}]);
        let id = world.put_users(user).await.remove(0);
        world.settle().await;
        world.values(&id).await["job_title"].clone()
    };
    assert_eq!(put(7).await, json!(null));
    assert_eq!(put(42).await, json!("42"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_of_one_project_backfills_nothing_in_another() {
    let (mut world, connection) = cook().await;
    let account = world.account(PORTAL);
    let ana = user(&world, "ana@example.com").await;
    world.settle().await;
    let mut wider = super::mappings(by_email());
    let fields = wider["contacts"]["fields"].as_array_mut().unwrap();
    fields.push(json!({"property": "email", "variable": "address"}));
    world.map(&connection, wider.clone()).await;
    let mine = (world.project.clone(), world.token.clone());

    world.project = world.make_project("Southwind").await;
    world.token = world.make_token(Some(&world.project), Role::Admin).await;
    let other = world.connect(account.portal()).await;
    world.map(&other, wider).await;
    world.sim.clear_calls();
    let theirs = user(&world, "ana@example.com").await;
    world.settle().await;
    assert!(calls(&world, Route::BatchRead) > 0);
    let filled = json!({"job_title": "Cook", "address": "ana@example.com"});
    assert_eq!(world.values(&theirs).await, filled);
    (world.project, world.token) = mine;
    assert_eq!(world.values(&ana).await, json!({"job_title": "Cook"}));
}
