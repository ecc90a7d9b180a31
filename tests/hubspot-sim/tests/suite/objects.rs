//! Records: what the objects API answers.

use hubspot_sim::{ApiKnobs, Config, Limits, PropertySpec};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, answer};

#[tokio::test]
async fn dated_and_legacy_paths_answer_alike_with_default_properties_only() {
    let world = World::new().await;
    let ana = world
        .account
        .create("contacts", &[("email", "ana@example.com"), ("phone", "1")])
        .unwrap();
    let dated = world
        .get(&format!("/crm/objects/2026-09/contacts/{ana}"))
        .await;
    let legacy = world.get(&format!("/crm/v3/objects/contacts/{ana}")).await;
    assert_eq!(dated.status, 200);
    assert_eq!(dated.body, legacy.body);
    let names: Vec<&String> = dated.body["properties"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        names,
        [
            "createdate",
            "email",
            "firstname",
            "hs_object_id",
            "lastmodifieddate",
            "lastname"
        ]
    );
    assert_eq!(dated.body["properties"]["firstname"], Value::Null);
    let unknown = world
        .get(&format!("/crm/objects/1999-01/contacts/{ana}"))
        .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn the_wrong_stamp_of_contacts_silently_gives_nothing() {
    let world = World::new().await;
    world
        .account
        .create("contacts", &[("email", "ana@example.com")])
        .unwrap();
    let page = world
        .get("/crm/v3/objects/contacts?properties=hs_lastmodifieddate,nonsense")
        .await;
    let properties = &page.body["results"][0]["properties"];
    assert_eq!(properties["hs_lastmodifieddate"], Value::Null);
    assert!(properties["lastmodifieddate"].is_string());
    assert!(properties.get("nonsense").is_none());
    let found = world
        .post(
            "/crm/v3/objects/contacts/search",
            json!({"filterGroups": [{"filters": [
                {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "0"}
            ]}]}),
        )
        .await;
    assert_eq!((found.status, &found.body["total"]), (200, &json!(0)));
}

#[tokio::test]
async fn lists_page_by_id_and_show_the_recycle_bin_when_asked() {
    let world = World::new().await;
    let ids: Vec<u64> = (0..5)
        .map(|n| {
            world
                .account
                .create("companies", &[("name", &format!("c{n}"))])
                .unwrap()
        })
        .collect();
    let first = world.get("/crm/objects/2026-09/companies?limit=2").await;
    assert_eq!(first.body["results"].as_array().unwrap().len(), 2);
    assert_eq!(first.body["paging"]["next"]["after"], ids[2].to_string());
    let last = world
        .get(&format!(
            "/crm/objects/2026-09/companies?limit=2&after={}",
            ids[4]
        ))
        .await;
    assert_eq!(last.body["results"][0]["id"], ids[4].to_string());
    assert!(last.body.get("paging").is_none());
    assert_eq!(
        world
            .get("/crm/v3/objects/companies?limit=101")
            .await
            .status,
        400
    );
    world.account.delete("companies", ids[0]).unwrap();
    let bin = world.get("/crm/v3/objects/companies?archived=true").await;
    assert_eq!(bin.body["results"][0]["id"], ids[0].to_string());
    assert_eq!(bin.body["results"][0]["archived"], true);
    let gone = world
        .get(&format!("/crm/v3/objects/companies/{}", ids[0]))
        .await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.body["category"], "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn a_batch_read_names_what_is_missing_in_a_207() {
    let world = World::new().await;
    let ana = world
        .account
        .create("contacts", &[("email", "ana@example.com")])
        .unwrap();
    let path = "/crm/objects/2026-09/contacts/batch/read";
    let inputs = json!([{"id": ana.to_string()}, {"id": "99"}]);
    let some = world
        .post(path, json!({"properties": ["email"], "inputs": inputs}))
        .await;
    assert_eq!(some.status, 207);
    assert_eq!(some.body["numErrors"], 1);
    assert_eq!(some.body["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(some.body["errors"][0]["context"]["ids"], json!(["99"]));
    assert_eq!(
        some.body["results"][0]["properties"]["email"],
        "ana@example.com"
    );

    let many: Vec<Value> = (0..101).map(|n| json!({"id": n.to_string()})).collect();
    let refused = world
        .post(path, json!({"properties": [], "inputs": many}))
        .await;
    assert_eq!(refused.status, 400);
    let fifty_one = &many[..51];
    let history = json!({"propertiesWithHistory": ["email"], "inputs": fifty_one});
    assert_eq!(world.post(path, history).await.status, 400);
}

#[tokio::test]
async fn a_secondary_address_finds_its_contact_after_a_merge() {
    let world = World::new().await;
    let ana = world
        .account
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("city", "Lyon")],
        )
        .unwrap();
    let old = world
        .account
        .create(
            "contacts",
            &[
                ("email", "ana@old.example"),
                ("city", "Paris"),
                ("jobtitle", "CTO"),
            ],
        )
        .unwrap();
    let into = world.account.merge("contacts", ana, old).unwrap();
    assert_ne!(into, ana);

    // Both old ids lead to the new record; its values are the primary's, blanks filled.
    for id in [ana, old] {
        let read = world
            .get(&format!(
                "/crm/v3/objects/contacts/{id}?properties=city,jobtitle,hs_additional_emails,hs_merged_object_ids"
            ))
            .await;
        assert_eq!(read.body["id"], into.to_string());
        let properties = &read.body["properties"];
        assert_eq!(properties["city"], "Lyon");
        assert_eq!(properties["jobtitle"], "CTO");
        assert_eq!(properties["hs_additional_emails"], "ana@old.example");
        assert_eq!(properties["hs_merged_object_ids"], format!("{ana};{old}"));
    }
    let by_email = world
        .post(
            "/crm/v3/objects/contacts/batch/read",
            json!({"idProperty": "email", "properties": ["email"], "inputs": [{"id": "ANA@old.example"}]}),
        )
        .await;
    assert_eq!(by_email.status, 200);
    assert_eq!(by_email.body["results"][0]["id"], into.to_string());
    let search = |property: &str| {
        json!({"filterGroups": [{"filters": [
            {"propertyName": property, "operator": "EQ", "value": "ana@old.example"}
        ]}]})
    };
    let path = "/crm/v3/objects/contacts/search";
    let own = world.post(path, search("email")).await;
    assert_eq!(own.body["total"], 0);
    let other = world.post(path, search("hs_additional_emails")).await;
    assert_eq!(other.body["total"], 1);
    let refused = world
        .post(
            "/crm/v3/objects/contacts/batch/update",
            json!({"inputs": [{"id": old.to_string(), "properties": {"city": "Nice"}}]}),
        )
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        world
            .account
            .create("contacts", &[("email", "ana@old.example")])
            .unwrap_err()
            .to_string(),
        format!("Contact already exists. Existing ID: {into}")
    );
}

#[tokio::test]
async fn search_shows_changes_late_and_by_its_own_limits() {
    let world = World::with(|config| config.api.search_lag_ms = 5_000).await;
    let path = "/crm/objects/2026-09/contacts/search";
    let ana = world
        .account
        .create("contacts", &[("email", "ana@example.com")])
        .unwrap();
    assert_eq!(world.post(path, json!({})).await.body["total"], 0);
    world.sim.turn(std::time::Duration::from_secs(5));
    assert_eq!(world.post(path, json!({})).await.body["total"], 1);
    // The index knows the old value, the answer carries the new one.
    world
        .account
        .patch("contacts", ana, &[("firstname", "Ana")])
        .unwrap();
    let has = |operator: &str| {
        json!({"properties": ["firstname"], "filterGroups": [{"filters": [
            {"propertyName": "firstname", "operator": operator}
        ]}]})
    };
    assert_eq!(world.post(path, has("HAS_PROPERTY")).await.body["total"], 0);
    let stale = world.post(path, has("NOT_HAS_PROPERTY")).await;
    assert_eq!(stale.body["results"][0]["properties"]["firstname"], "Ana");

    let status = async |body: Value| world.post(path, body).await.status;
    assert_eq!(status(json!({"limit": 200})).await, 200);
    assert_eq!(status(json!({"limit": 201})).await, 400);
    assert_eq!(status(json!({"limit": 100, "after": "9900"})).await, 200);
    assert_eq!(status(json!({"limit": 100, "after": "9901"})).await, 400);
    let filter = json!({"propertyName": "email", "operator": "HAS_PROPERTY"});
    let groups = |groups: usize, filters: usize| {
        let group = json!({"filters": vec![filter.clone(); filters]});
        json!({"filterGroups": vec![group; groups]})
    };
    assert_eq!(status(groups(5, 3)).await, 200);
    assert_eq!(status(groups(6, 1)).await, 400);
    assert_eq!(status(groups(3, 6)).await, 200);
    assert_eq!(status(groups(1, 7)).await, 400);
    let padded = |chars: usize| {
        let empty = json!({"query": ""}).to_string().len();
        json!({"query": "x".repeat(chars - empty)})
    };
    assert_eq!(status(padded(3_000)).await, 200);
    assert_eq!(status(padded(3_001)).await, 400);
}

#[tokio::test]
async fn dates_and_choices_are_checked_and_take_their_forms() {
    let world = World::new().await;
    let account = &world.account;
    account
        .define("contacts", PropertySpec::date("renewal"))
        .unwrap();
    account
        .define("contacts", PropertySpec::text("iban").sensitive())
        .unwrap();
    let ana = account
        .create(
            "contacts",
            &[("renewal", "1790726400000"), ("iban", "FR76")],
        )
        .unwrap();
    let path = format!("/crm/v3/objects/contacts/{ana}");
    let read = world.get(&format!("{path}?properties=renewal,iban")).await;
    assert_eq!(read.body["properties"]["renewal"], "2026-09-30");
    assert!(read.body["properties"].get("iban").is_none());
    let refused = answer(
        world
            .request(Method::PATCH, &path)
            .json(&json!({"properties": {"lifecyclestage": "nope", "nonsense": "1"}})),
    )
    .await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["category"], "VALIDATION_ERROR");
    assert_eq!(refused.body["errors"][0]["code"], "INVALID_OPTION");
    assert_eq!(refused.body["errors"][1]["code"], "PROPERTY_DOESNT_EXIST");
}

#[tokio::test]
async fn calls_are_counted_refused_and_told_of_in_headers() {
    let world = World::with(|config| config.limits = Limits::private_professional()).await;
    let path = "/crm/v3/objects/contacts";
    let first = world.get(path).await;
    assert_eq!(first.headers["x-hubspot-ratelimit-max"], "190");
    assert_eq!(first.headers["x-hubspot-ratelimit-remaining"], "189");
    assert_eq!(
        first.headers["x-hubspot-ratelimit-interval-milliseconds"],
        "10000"
    );
    assert_eq!(
        first.headers["x-hubspot-ratelimit-daily-remaining"],
        "624999"
    );
    for _ in 1..190 {
        assert_eq!(world.get(path).await.status, 200);
    }
    let refused = world.get(path).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.body["errorType"], "RATE_LIMIT");
    assert_eq!(refused.body["policyName"], "TEN_SECONDLY_ROLLING");
    // Search has a budget of its own, a second long, and no headers.
    let search = format!("{path}/search");
    for _ in 0..5 {
        let found = world.post(&search, json!({})).await;
        assert_eq!(found.status, 200);
        assert!(!found.headers.contains_key("x-hubspot-ratelimit-max"));
    }
    let refused = world.post(&search, json!({})).await;
    assert_eq!(refused.body["policyName"], "SECONDLY");
    world.sim.turn(std::time::Duration::from_secs(10));
    assert_eq!(world.get(path).await.status, 200);
}

#[tokio::test]
async fn a_long_address_is_refused_and_the_date_is_the_simulators() {
    let world = World::with(|config: &mut Config| {
        config.api = ApiKnobs {
            url_bytes_max: 8_192,
            ..ApiKnobs::default()
        };
    })
    .await;
    let many = "property_name,".repeat(600);
    let long = world
        .get(&format!("/crm/v3/objects/contacts?properties={many}"))
        .await;
    assert_eq!(long.status, 414);
    let short = world.get("/crm/v3/objects/contacts").await;
    assert_eq!(short.headers["date"], "Mon, 21 Sep 2026 14:13:20 GMT");
}

#[tokio::test]
async fn search_is_out_of_order_by_the_seed_and_still_complete() {
    let world = World::with(|config| config.api.search_disorder_ms = 30_000).await;
    let mut made = Vec::new();
    for _ in 0..60 {
        made.push(world.account.create("deals", &[]).unwrap().to_string());
        world.sim.turn(std::time::Duration::from_secs(5));
    }
    let mut found = Vec::new();
    let mut stamps = Vec::new();
    let mut after = json!(null);
    loop {
        let page = world
            .post(
                "/crm/objects/2026-09/deals/search",
                json!({
                    "limit": 25, "after": after, "sorts": ["hs_lastmodifieddate"],
                    "filterGroups": [{"filters": [
                        {"propertyName": "hs_lastmodifieddate", "operator": "GT", "value": "0"}
                    ]}],
                }),
            )
            .await;
        for record in page.body["results"].as_array().unwrap() {
            found.push(record["id"].as_str().unwrap().to_owned());
            stamps.push(record["updatedAt"].as_str().unwrap().to_owned());
        }
        after = page.body["paging"]["next"]["after"].clone();
        if after.is_null() {
            break;
        }
    }
    assert!(!stamps.is_sorted());
    found.sort();
    assert_eq!(found, made);
}
