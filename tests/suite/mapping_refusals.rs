//! What can be mapped and what cannot: HubSpot's definitions, and documents
//! that are refused whole, with all that is wrong.

use harness::world::World;
use hubspot_sim::PropertySpec;
use reqwest::{Method, header};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// A project that is connected, and the path of its connection.
async fn connected() -> (World, String, String) {
    let world = World::start().await;
    let id = world.connect(PORTAL).await;
    let path = format!("/connections/{id}/mappings");
    (world, id, path)
}

/// A document of contacts alone.
fn contacts(fields: Value) -> Value {
    json!({"contacts": {"fields": fields}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_changed_meanwhile_is_not_overwritten() {
    let (world, _, path) = connected().await;
    let etag = world.get(&path).await.headers[header::ETAG].clone();
    let document = contacts(json!([{"property": "city", "variable": "city"}]));
    let put = |etag: header::HeaderValue, document: Value| {
        let request = world.request(Method::PUT, &path);
        world.answer(request.header(header::IF_MATCH, etag).json(&document))
    };
    let saved = put(etag.clone(), document.clone()).await;
    let newer = saved.headers[header::ETAG].clone();
    saved.good();
    assert_ne!(newer, etag);
    put(etag, json!({})).await.problem(412);
    assert_eq!(
        world.get(&path).await.good()["contacts"]["fields"][0]["variable"],
        "city"
    );
    put("*".parse().unwrap(), document.clone()).await.good();
    let current = world.get(&path).await.headers[header::ETAG].clone();
    let mut several = "\"999\", ".to_owned();
    several.push_str(current.to_str().unwrap());
    put(several.parse().unwrap(), document).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_said_and_nothing_is_saved() {
    let (world, _, path) = connected().await;
    let document = json!({
        "contacts": {
            "matching": {"property": "no_such", "user": "email"},
            "fields": [
                {"property": "no_such", "variable": "x"},
                {"property": "city", "variable": "email"},
                {"property": "city", "variable": "city", "show": "label"},
            ],
        },
        "companies": {
            "matching": {"through": "deals"},
            "selection": {"rule": "largest"},
        },
        "deals": {
            "selection": {"rule": "primary"},
            "fields": [],
        },
        "tickets": {"fields": []},
    });
    let refused = world.put(&path, document).await;
    insta::assert_json_snapshot!(refused.problem(422)["errors"], @r#"
    [
      {
        "detail": "Companies cannot follow deals.",
        "pointer": "/companies/matching/through"
      },
      {
        "detail": "`largest` names the number property that it ranks by; no other rule does.",
        "pointer": "/companies/selection/property"
      },
      {
        "detail": "The HubSpot account has no property \"no_such\" here.",
        "pointer": "/contacts/matching/property"
      },
      {
        "detail": "The HubSpot account has no property \"no_such\" here.",
        "pointer": "/contacts/fields/0/property"
      },
      {
        "detail": "\"email\" is a native attribute of Jimo, and cannot be taken: choose another name.",
        "pointer": "/contacts/fields/1/variable"
      },
      {
        "detail": "city has no choices, so no labels.",
        "pointer": "/contacts/fields/2/show"
      },
      {
        "detail": "Deals cannot be selected in this way.",
        "pointer": "/deals/selection"
      },
      {
        "detail": "There is no such object type.",
        "pointer": "/tickets"
      }
    ]
    "#);
    assert_eq!(world.get(&path).await.good(), json!({}));
    assert_eq!(world.get("/variables").await.good()["variables"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_mapping_is_refused_where_it_is_wrong() {
    let (world, _, path) = connected().await;
    for (name, variable_type) in [("plan", "text"), ("trial", "boolean"), ("seats", "number")] {
        let body = json!({"name": name, "type": variable_type});
        world.post("/variables", body).await.good();
    }
    world
        .put_users(json!([{"email": "ana@example.com", "variables": {"plan": "Team"}}]))
        .await;
    let field =
        |property: &str, variable: &str| json!({"property": property, "variable": variable});
    let cases = [
        // Holds values.
        (
            contacts(json!([field("city", "plan")])),
            "/contacts/fields/0/variable",
        ),
        // Of another type.
        (
            contacts(json!([{"property": "city", "variable": "trial", "type": "text"}])),
            "/contacts/fields/0/type",
        ),
        // Cannot be converted.
        (
            contacts(json!([field("city", "seats")])),
            "/contacts/fields/0/variable",
        ),
        (
            contacts(json!([{"property": "city", "variable": "when", "type": "date"}])),
            "/contacts/fields/0/type",
        ),
        // Twice.
        (
            contacts(json!([field("city", "c"), field("state", "c")])),
            "/contacts/fields/1/variable",
        ),
        // Matching.
        (
            json!({"contacts": {"matching": {"property": "email", "user": "variable:nothing"}}}),
            "/contacts/matching/user",
        ),
        (
            json!({"contacts": {"matching": {"property": "city", "user": "variable:trial"}}}),
            "/contacts/matching/user",
        ),
        (
            json!({"contacts": {"matching": {"property": "city", "user": "phone"}}}),
            "/contacts/matching/user",
        ),
        (
            json!({"contacts": {"matching": {"property": "closedate", "user": "external_id"}}}),
            "/contacts/matching",
        ),
        (
            json!({"contacts": {
                "matching": {"property": "city", "user": "variable:town"},
                "fields": [field("state", "town")],
            }}),
            "/contacts/matching/user",
        ),
        (
            json!({"contacts": {"matching": {"through": "companies"}}}),
            "/contacts/matching/through",
        ),
        (
            json!({"contacts": {"matching": {"through": "companies", "property": "email"}}}),
            "/contacts/matching",
        ),
        (json!({"companies": {"fields": []}}), "/companies"),
        // Selection.
        (
            json!({"contacts": {"selection": "primary"}}),
            "/contacts/selection",
        ),
        (
            json!({"contacts": {}, "deals": {"selection": {"rule": "largest", "property": "dealname"}}}),
            "/deals/selection/property",
        ),
        (
            json!({"contacts": {}, "deals": {"selection": {"rule": "largest", "property": "no_such"}}}),
            "/deals/selection/property",
        ),
        (
            json!({"contacts": {}, "deals": {"selection": {"rule": "latest_created", "property": "amount"}}}),
            "/deals/selection/property",
        ),
        (
            json!({"contacts": {}, "deals": {"selection": "smallest"}}),
            "/deals/selection",
        ),
        (
            json!({"contacts": {}, "companies": {"selection": {"rule": "primary", "prefer_open": true}}}),
            "/companies/selection",
        ),
        // The shape.
        (json!({"contacts": {"feilds": []}}), "/contacts/feilds"),
        (
            json!({"contacts": {"matching": {"propert": "email", "user": "email"}}}),
            "/contacts/matching/propert",
        ),
        (
            contacts(json!([{"property": "city"}])),
            "/contacts/fields/0",
        ),
    ];
    world
        .post("/variables", json!({"name": "town", "type": "text"}))
        .await
        .good();
    for (document, pointer) in cases {
        let pointers = world.put(&path, document.clone()).await.pointers();
        assert_eq!(pointers, [pointer], "{document}");
    }
    assert_eq!(world.get(&path).await.good(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_another_connection_matches_on_is_not_fed() {
    let (world, id, _) = connected().await;
    world
        .post("/variables", json!({"name": "badge_no", "type": "text"}))
        .await
        .good();
    let document =
        json!({"contacts": {"matching": {"property": "city", "user": "variable:badge_no"}}});
    world.map(&id, document).await;
    let other = world.connect(PORTAL + 1).await;
    let path = format!("/connections/{other}/mappings");
    let document = contacts(json!([{"property": "city", "variable": "badge_no"}]));
    let refused = world.put(&path, document).await;
    assert_eq!(refused.pointers(), ["/contacts/fields/0/variable"]);
    // Nor is one that another connection feeds.
    world
        .map(
            &other,
            contacts(json!([{"property": "city", "variable": "town"}])),
        )
        .await;
    let path = format!("/connections/{id}/mappings");
    let document = contacts(json!([{"property": "city", "variable": "town"}]));
    let refused = world.put(&path, document).await;
    assert_eq!(refused.pointers(), ["/contacts/fields/0/variable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hubspots_properties_are_told_with_the_type_to_make_for_them() {
    let (world, id, _) = connected().await;
    let account = world.account(PORTAL);
    account
        .define(
            "contacts",
            PropertySpec::number("custom_score").label("Score").unique(),
        )
        .unwrap();
    let path = format!("/connections/{id}/properties?object_type=contacts");
    let properties = world.get(&path).await.good();
    let find = |name: &str| {
        let mut all = properties.as_array().unwrap().iter();
        all.find(|one| one["name"] == name).unwrap().clone()
    };
    insta::assert_json_snapshot!(find("custom_score"), @r#"
    {
      "calculated": false,
      "field_type": "number",
      "group": "",
      "label": "Score",
      "labels": null,
      "name": "custom_score",
      "options": [],
      "sensitive": false,
      "suggested_variable_type": "number",
      "type": "number",
      "unique": true,
      "variable_types": [
        "number",
        "text"
      ]
    }
    "#);
    for (name, suggested) in [
        ("email", "text"),
        ("lifecyclestage", "text"),
        ("hs_buying_role", "list"),
        ("closedate", "datetime"),
        ("hs_email_optout", "boolean"),
    ] {
        assert_eq!(find(name)["suggested_variable_type"], suggested, "{name}");
    }
    assert!(
        !find("lifecyclestage")["options"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    world
        .get(&format!("/connections/{id}/properties"))
        .await
        .problem(400);
    world
        .get(&format!("/connections/{id}/properties?object_type=tickets"))
        .await
        .problem(404);
    let types = world
        .get(&format!("/connections/{id}/object-types"))
        .await
        .good();
    insta::assert_json_snapshot!(types, @r#"
    [
      {
        "label": "Contacts",
        "matching": {
          "default_property": "email",
          "through": []
        },
        "name": "contacts",
        "selections": []
      },
      {
        "label": "Companies",
        "matching": {
          "default_property": null,
          "through": [
            "contacts"
          ]
        },
        "name": "companies",
        "selections": [
          "primary",
          "latest_modified",
          "latest_created",
          "largest"
        ]
      },
      {
        "label": "Deals",
        "matching": {
          "default_property": null,
          "through": [
            "contacts"
          ]
        },
        "name": "deals",
        "selections": [
          "latest_modified",
          "latest_created",
          "largest"
        ]
      }
    ]
    "#);
}
