//! Jimo's own side: users and variables.

use harness::{answer::masked, world::World};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

async fn variables(world: &World) {
    for (name, variable_type) in [
        ("plan", "text"),
        ("seats", "number"),
        ("trial", "boolean"),
        ("renewal", "date"),
        ("seen", "datetime"),
        ("roles", "list"),
    ] {
        let body = json!({"name": name, "type": variable_type});
        assert_eq!(world.post("/variables", body).await.status, 201);
    }
}

fn pointers(answer: &Value) -> Vec<&str> {
    let refused = answer["refused"].as_array().unwrap();
    let pointers = refused.iter().map(|one| one["pointer"].as_str().unwrap());
    pointers.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_values_of_every_type_come_back_with_their_source() {
    let world = World::start().await;
    variables(&world).await;
    let values = json!({
        "plan": "Team", "seats": 12.5, "trial": false, "renewal": "2027-01-31",
        "seen": "2026-09-30T12:00:00+02:00", "roles": ["owner", "editor"],
    });
    let ids = world
        .put_users(json!([{
            "external_id": "u-1", "email": "Ana@Example.com", "name": "Ana", "variables": values,
        }]))
        .await;
    let user = world.user(&ids[0]).await;
    assert_eq!(
        user["variables"]["seen"]["value"],
        "2026-09-30T10:00:00.000Z"
    );
    assert_eq!(user["variables"]["seats"]["value"], json!(12.5));
    let user = world.user_by_email("ana@example.com").await;
    insta::assert_json_snapshot!(
        masked(json!({"user": {"id": user["id"], "external_id": user["external_id"],
            "email": user["email"], "name": user["name"], "segments": user["segments"]},
            "plan": user["variables"]["plan"], "roles": user["variables"]["roles"]})),
        @r#"
    {
      "plan": {
        "changed_at": "[moment]",
        "source": {
          "kind": "jimo"
        },
        "type": "text",
        "value": "Team",
        "written_at": "[moment]"
      },
      "roles": {
        "changed_at": "[moment]",
        "source": {
          "kind": "jimo"
        },
        "type": "list",
        "value": [
          "owner",
          "editor"
        ],
        "written_at": "[moment]"
      },
      "user": {
        "email": "Ana@Example.com",
        "external_id": "u-1",
        "id": "usr_1",
        "name": "Ana",
        "segments": []
      }
    }
    "#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_identifies_else_the_email_and_what_is_not_named_stays() {
    let world = World::start().await;
    variables(&world).await;
    let put = json!({"users": [
        {"external_id": "u-1", "email": "ana@example.com", "variables": {"plan": "Free", "seats": 1}},
        {"external_id": "u-2", "email": "shared@example.com"},
        {"external_id": "u-3", "email": "shared@example.com"},
    ]});
    let answer = world.put("/users", put).await.good();
    assert_eq!(
        (&answer["created"], &answer["updated"]),
        (&json!(3), &json!(0))
    );
    let put = json!({"users": [
        {"email": " ANA@example.com ", "variables": {"plan": "Team"}},
        {"email": "shared@example.com", "name": "Who?"},
        {"external_id": "u-2", "name": "Bo"},
        {"external_id": "u-1", "variables": {"seats": null}},
    ]});
    let answer = world.put("/users", put).await.good();
    assert_eq!(
        (&answer["created"], &answer["updated"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(pointers(&answer), ["/users/1"]);
    let ana = world.user_by_email("ana@example.com").await;
    assert_eq!(ana["external_id"], "u-1");
    assert_eq!(world.values("usr_1").await, json!({"plan": "Team"}));
    assert_eq!(world.user("usr_2").await["name"], "Bo");
    assert_eq!(world.user("usr_2").await["email"], "shared@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_item_is_refused_by_itself_with_all_that_is_wrong() {
    let world = World::start().await;
    variables(&world).await;
    let long = "x".repeat(701);
    let put = json!({"users": [
        {"email": "good@example.com", "variables": {"plan": "x".repeat(700)}},
        {"name": "Nobody"},
        {"email": 5},
        {"email": "no address"},
        {"email": "a@example.com", "colour": "red"},
        {"email": "b@example.com", "variables": {
            "plan": long, "seats": "3", "trial": 1, "renewal": "31.1.2027",
            "seen": "2026-09-30", "roles": ["a", 1], "a/b": "unknown",
        }},
        "Ana",
        {"external_id": "", "email": "c@example.com"},
    ]});
    let answer = world.put("/users", put).await.good();
    assert_eq!(answer["created"], 1);
    assert_eq!(
        pointers(&answer),
        [
            "/users/1",
            "/users/2/email",
            "/users/3/email",
            "/users/4/colour",
            "/users/5/variables/a~1b",
            "/users/5/variables/plan",
            "/users/5/variables/renewal",
            "/users/5/variables/roles",
            "/users/5/variables/seats",
            "/users/5/variables/seen",
            "/users/5/variables/trial",
            "/users/6",
            "/users/7/external_id",
        ]
    );
    let listed = world.get("/users").await.good();
    assert_eq!(listed["users"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_users_go_in_one_request_and_not_one_more() {
    let world = World::start().await;
    let users = |count: usize| -> Value {
        let users = (0..count).map(|n| json!({"external_id": format!("u-{n}")}));
        json!({"users": users.collect::<Value>()})
    };
    let refused = world.put("/users", users(1_001)).await;
    assert_eq!(refused.pointers(), ["/users"]);
    let answer = world.put("/users", users(1_000)).await.good();
    assert_eq!(answer["created"], 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_page_by_page_and_found_by_what_they_are_called() {
    let world = World::start().await;
    let users: Value = (1..=7)
        .map(|n| json!({"external_id": format!("u-{n}"), "name": format!("User {n}")}))
        .collect();
    world.put_users(users).await;
    let mut seen = Vec::new();
    let mut path = "/users?limit=3".to_owned();
    loop {
        let page = world.get(&path).await.good();
        for user in page["users"].as_array().unwrap() {
            seen.push(user["external_id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/users?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-7"]);
    for (query, found) in [("q=user%204", "u-4"), ("external_id=u-6", "u-6")] {
        let page = world.get(&format!("/users?{query}")).await.good();
        let users = page["users"].as_array().unwrap();
        assert_eq!(users.len(), 1, "{query}");
        assert_eq!(users[0]["external_id"], found);
    }
    let none = world.get("/users?q=100%25").await.good();
    assert_eq!(none["users"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_ignores_the_case_of_every_letter_as_segments_do() {
    let world = World::start().await;
    let users = json!([
        {"external_id": "u-1", "name": "Éva Ångström"},
        {"external_id": "u-2", "email": "ODYSSEAS@example.com", "name": "ΟΔΟΣ"},
        {"external_id": "STRASSE-3"},
        {"external_id": "100%_4"},
    ]);
    world.put_users(users).await;
    for (asked, found) in [
        ("éva å", "u-1"),
        ("E\u{301}VA", "u-1"),
        ("οδος", "u-2"),
        ("odysseas@", "u-2"),
        ("straße", "STRASSE-3"),
        ("%_", "100%_4"),
    ] {
        let escaped: String = asked.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let page = world.get(&format!("/users?q={escaped}")).await.good();
        let ids: Vec<&str> = page["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["external_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, [found], "{asked}");
    }
    // Letters that differ by more than their case are others.
    let none = world.get("/users?q=eva").await.good();
    assert_eq!(none["users"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_a_user_who_is_deleted() {
    let world = World::start().await;
    let id = &world
        .put_users(json!([{"external_id": "u-1", "email": "ana@example.com"}]))
        .await[0];
    let path = format!("/users/{id}");
    assert_eq!(world.delete(&path).await.status, 204);
    world.get(&path).await.problem(404);
    world.delete(&path).await.problem(404);
    // The same customer's user is another one from then on.
    let again = world.put_users(json!([{"external_id": "u-1"}])).await;
    assert_ne!(&again[0], id);
    assert_eq!(world.user(&again[0]).await["email"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_hubspot_feeds_is_refused_by_name_and_the_rest_is_written() {
    let world = World::start().await;
    variables(&world).await;
    let connection = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let put = json!({"users": [
        {"email": "ana@example.com", "variables": {"plan": "Team"}},
        {"email": "bo@example.com", "variables": {"job_title": "Chef", "plan": "Team"}},
    ]});
    let answer = world.put("/users", put).await.good();
    insta::assert_json_snapshot!(answer, @r#"
    {
      "created": 1,
      "refused": [
        {
          "detail": "HubSpot feeds this variable (contacts.jobtitle of connection con_1); nobody else can write it.",
          "pointer": "/users/1/variables/job_title"
        }
      ],
      "updated": 0,
      "users": [
        {
          "email": "ana@example.com",
          "external_id": null,
          "id": "usr_1"
        }
      ]
    }
    "#);
    let listed = world.get("/variables").await.good();
    insta::assert_json_snapshot!(listed["variables"][0], @r#"
    {
      "fed_by": {
        "connection": "con_1",
        "kind": "hubspot",
        "object_type": "contacts",
        "property": "jobtitle"
      },
      "label": null,
      "name": "job_title",
      "type": "text"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_has_one_name_one_type_and_no_native_attributes_name() {
    let world = World::start().await;
    let made = world
        .post(
            "/variables",
            json!({"name": "plan", "label": "Plan", "type": "text"}),
        )
        .await;
    assert_eq!(
        made.good(),
        json!({"name": "plan", "label": "Plan", "type": "text", "fed_by": null})
    );
    let again = world
        .post("/variables", json!({"name": "plan", "type": "number"}))
        .await;
    again.problem(409);
    for name in ["", " plan", "email", "User ID", "user:name"] {
        let refused = world
            .post("/variables", json!({"name": name, "type": "text"}))
            .await;
        assert_eq!(refused.pointers(), ["/name"], "{name}");
    }
    let refused = world
        .post("/variables", json!({"name": "x", "type": "colour"}))
        .await;
    assert_eq!(refused.pointers(), ["/type"]);
}
