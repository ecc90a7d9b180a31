//! Associations: types, primaries, paging, and what they do not move.

use std::time::Duration;

use hubspot_sim::{Link, ObjectType};
use serde_json::json;

use crate::world::{START_MS, World};

#[tokio::test]
async fn the_first_company_is_primary_and_another_takes_its_place() {
    let world = World::new().await;
    let account = &world.account;
    let ana = account.create("contacts", &[("firstname", "Ana")]).unwrap();
    let one = account.create("companies", &[("name", "One")]).unwrap();
    let two = account.create("companies", &[("name", "Two")]).unwrap();
    world.sim.turn(Duration::from_secs(60));
    account
        .associate(("contacts", ana), ("companies", one), Link::Plain)
        .unwrap();
    account
        .associate(("contacts", ana), ("companies", two), Link::Primary)
        .unwrap();
    let legacy = world
        .get(&format!(
            "/crm/v4/objects/contacts/{ana}/associations/companies"
        ))
        .await;
    let types =
        |id: u64, types: serde_json::Value| json!({"toObjectId": id, "associationTypes": types});
    let plain = json!({"category": "HUBSPOT_DEFINED", "typeId": 279, "label": null});
    let primary = json!({"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"});
    assert_eq!(
        legacy.body["results"],
        json!([
            types(one, json!([plain])),
            types(two, json!([primary, plain]))
        ])
    );
    let record = account.record("contacts", ana).unwrap();
    assert_eq!(record.value("associatedcompanyid"), Some(&*two.to_string()));
    assert_eq!(record.linked(ObjectType::Companies), [one, two]);
    // Associations move no stamp.
    assert_eq!(record.modified_at_ms, START_MS);
}

#[tokio::test]
async fn a_batch_pages_each_record_apart_and_names_those_without_any() {
    let world = World::with(|config| config.api.associations_page = 2).await;
    let account = &world.account;
    let deal = account.create("deals", &[("dealname", "D")]).unwrap();
    let lone = account.create("deals", &[("dealname", "L")]).unwrap();
    let people: Vec<u64> = (0..3)
        .map(|_| {
            let id = account.create("contacts", &[]).unwrap();
            account
                .associate(("deals", deal), ("contacts", id), Link::Plain)
                .unwrap();
            id
        })
        .collect();
    let path = "/crm/associations/2026-09/deals/contacts/batch/read";
    let inputs = json!([{"id": deal.to_string()}, {"id": lone.to_string()}]);
    let first = world.post(path, json!({"inputs": inputs})).await;
    assert_eq!(first.status, 207);
    let result = &first.body["results"][0];
    assert_eq!(result["to"][0]["toObjectId"], people[0].to_string());
    let after = result["paging"]["next"]["after"].as_str().unwrap();
    assert_eq!(after, people[2].to_string());
    assert_eq!(
        first.body["errors"][0]["context"]["fromObjectId"],
        json!([lone.to_string()])
    );
    let inputs = json!([{"id": deal.to_string(), "after": after}]);
    let second = world.post(path, json!({"inputs": inputs})).await;
    assert_eq!(second.status, 200);
    let rest = second.body["results"][0]["to"].as_array().unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(
        account
            .record("deals", deal)
            .unwrap()
            .value("num_associated_contacts"),
        Some("3")
    );
}

#[tokio::test]
async fn labels_of_the_account_are_listed_with_hubspots() {
    let world = World::new().await;
    let own = world
        .account
        .define_label("contacts", "companies", "Advisor", "Advised by")
        .unwrap();
    let listed = world
        .get("/crm/v4/associations/contacts/companies/labels")
        .await;
    assert_eq!(
        listed.body["results"],
        json!([
            {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"},
            {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": null},
            {"category": "USER_DEFINED", "typeId": own.type_id, "label": "Advisor"},
        ])
    );
}
