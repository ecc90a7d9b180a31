//! Who may do what, and what is said when something is wrong.

use harness::{answer::masked, world::World};
use jimo_connect::store::projects::Role;
use reqwest::{Method, header};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_told() {
    let world = World::start().await;
    for token in ["", "nonsense", &"x".repeat(500)] {
        let answer = world
            .send(Method::GET, &world.path("/users"), token, None)
            .await;
        assert_eq!(
            answer.headers[header::WWW_AUTHENTICATE],
            "Bearer realm=\"jimo-connect\""
        );
        answer.problem(401);
    }
    // Whether a project exists is not told either.
    let answer = world
        .send(Method::GET, "/api/v1/projects/prj_999", "nonsense", None)
        .await;
    answer.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_things_are_not_there() {
    let world = World::start().await;
    let ana = &world.put_users(json!([{"email": "ana@example.com"}])).await[0];
    let connection = world.connect(1_001).await;
    let other = world.make_project("Other").await;
    let token = world.make_token(Some(&other), Role::Admin).await;
    // By the project that the token does not open …
    let own = world.path("");
    for path in [
        own.clone(),
        format!("{own}/users"),
        format!("{own}/users/{ana}"),
        format!("{own}/connections/{connection}"),
        "/api/v1/projects/prj_999".into(),
        "/api/v1/projects/nonsense".into(),
    ] {
        let answer = world.send(Method::GET, &path, &token, None).await;
        answer.problem(404);
    }
    // … and by ids of things that are not in the project that it opens.
    for path in [
        format!("users/{ana}"),
        format!("connections/{connection}"),
        format!("connections/{connection}/mappings"),
        format!("connections/{connection}/activity"),
        format!("connections/{connection}/events"),
        format!("connections/{connection}/explain?q=ana@example.com"),
        format!("connections/{connection}/health"),
        format!("connections/{connection}/alert-channels"),
        format!("connections/{connection}/properties?object_type=contacts"),
    ] {
        let path = format!("/api/v1/projects/{other}/{path}");
        let answer = world.send(Method::GET, &path, &token, None).await;
        answer.problem(404);
    }
    let path = format!("/api/v1/projects/{other}/users/{ana}");
    let answer = world.send(Method::DELETE, &path, &token, None).await;
    answer.problem(404);
    let path = format!("/api/v1/projects/{other}/connections/{connection}");
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/reconnect")),
    ] {
        let answer = world.send(method, &path, &token, None).await;
        answer.problem(404);
    }
    world.get(&format!("/users/{ana}")).await.good();
    let held = world
        .get(&format!("/connections/{connection}"))
        .await
        .good();
    assert_eq!(held["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_looks_and_changes_nothing() {
    let world = World::start().await;
    let connection = world.connect(1_001).await;
    let viewer = world.make_token(Some(&world.project), Role::Viewer).await;
    for path in [
        "".into(),
        "/users".into(),
        "/variables".into(),
        "/connections".into(),
        format!("/connections/{connection}/mappings"),
        format!("/connections/{connection}/explain?q=551"),
        format!("/connections/{connection}/health"),
        format!("/connections/{connection}/alert-channels"),
    ] {
        let answer = world
            .send(Method::GET, &world.path(&path), &viewer, None)
            .await;
        answer.good();
    }
    for (method, path, body) in [
        (Method::PATCH, "".into(), json!({"name": "Theirs"})),
        (Method::PUT, "/users".into(), json!({"users": []})),
        (
            Method::POST,
            "/variables".into(),
            json!({"name": "x", "type": "text"}),
        ),
        (
            Method::POST,
            "/connections".into(),
            json!({"connector": "hubspot"}),
        ),
        (
            Method::PUT,
            format!("/connections/{connection}/mappings"),
            json!({}),
        ),
        (
            Method::POST,
            format!("/connections/{connection}/pause"),
            json!({}),
        ),
        (
            Method::POST,
            format!("/connections/{connection}/alert-channels"),
            json!({"kind": "email", "to": "eve@example.com"}),
        ),
        (
            Method::DELETE,
            format!("/connections/{connection}"),
            json!({}),
        ),
    ] {
        let answer = world
            .send(method, &world.path(&path), &viewer, Some(body))
            .await;
        answer.problem(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_made_by_operators_alone() {
    let world = World::start().await;
    let body = Some(json!({"name": "Mine", "time_zone": "Europe/Paris"}));
    let path = "/api/v1/projects";
    let refused = world
        .send(Method::POST, path, &world.token, body.clone())
        .await;
    refused.problem(403);
    let made = world.send(Method::POST, path, &world.operator, body).await;
    assert_eq!(made.status, 201);
    insta::assert_json_snapshot!(made.good(), @r#"
    {
      "id": "prj_2",
      "name": "Mine",
      "time_zone": "Europe/Paris"
    }
    "#);
    let bad = Some(json!({"name": " ", "time_zone": "Mars/Olympus"}));
    let refused = world.send(Method::POST, path, &world.operator, bad).await;
    assert_eq!(refused.pointers(), ["/name", "/time_zone"]);

    let changed = world.patch("", json!({"time_zone": "Asia/Tokyo"})).await;
    assert_eq!(
        changed.good(),
        json!({"id": world.project, "name": "Northwind", "time_zone": "Asia/Tokyo"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_a_problem_document_that_says_what_to_do() {
    let world = World::start().await;
    let malformed = world
        .request(Method::PUT, "/users")
        .header(header::CONTENT_TYPE, "application/json");
    let malformed = world.answer(malformed.body("{\"users\": [")).await;
    insta::assert_json_snapshot!(malformed.problem(400), @r#"
    {
      "detail": "The body is no JSON: EOF while parsing a list at line 1 column 11.",
      "status": 400,
      "title": "Malformed request",
      "type": "urn:jimo-connect:problem:malformed"
    }
    "#);
    let unknown = world
        .post(
            "/variables",
            json!({"name": "plan", "type": "text", "colour": "red"}),
        )
        .await;
    insta::assert_json_snapshot!(unknown.problem(422), @r#"
    {
      "detail": "unknown field `colour`, expected one of `name`, `label`, `type`",
      "errors": [
        {
          "detail": "unknown field `colour`, expected one of `name`, `label`, `type`",
          "pointer": "/colour"
        }
      ],
      "status": 422,
      "title": "Invalid input",
      "type": "urn:jimo-connect:problem:invalid"
    }
    "#);
    let not_json = world.request(Method::PUT, "/users").body("users");
    world.answer(not_json).await.problem(415);
    let large = world
        .request(Method::PUT, "/users")
        .header(header::CONTENT_TYPE, "application/json")
        .body(vec![b' '; 9 * 1024 * 1024]);
    world.answer(large).await.problem(413);
    world.get("/nothing").await.problem(404);
    world.delete("/users").await.problem(405);
    world.get("/users?limit=0").await.problem(400);
    world.get("/users?limit=many").await.problem(400);
    world.get("/users?colour=red").await.problem(400);
    world.get("/users?cursor=nonsense").await.problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_describes_itself() {
    let world = World::start().await;
    let document = world
        .send(Method::GET, "/api/v1/openapi.json", "", None)
        .await
        .good();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            calls.push(format!("{} {path}", method.to_uppercase()));
            let id = operation["operationId"].as_str().unwrap();
            assert!(!id.is_empty());
            let summary = operation["summary"].as_str().unwrap();
            assert!(
                !summary.is_empty() && !summary.contains('\n'),
                "{id}: {summary}"
            );
        }
    }
    calls.sort();
    insta::assert_json_snapshot!(calls, @r#"
    [
      "DELETE /plugins/{digest}",
      "DELETE /plugins/{digest}/shadow",
      "DELETE /projects/{project}/connections/{connection}",
      "DELETE /projects/{project}/connections/{connection}/alert-channels/{channel}",
      "DELETE /projects/{project}/segments/{segment}",
      "DELETE /projects/{project}/users/{user}",
      "GET /plugins",
      "GET /plugins/{digest}",
      "GET /plugins/{digest}/shadow",
      "GET /projects/{project}",
      "GET /projects/{project}/connections",
      "GET /projects/{project}/connections/{connection}",
      "GET /projects/{project}/connections/{connection}/activity",
      "GET /projects/{project}/connections/{connection}/alert-channels",
      "GET /projects/{project}/connections/{connection}/events",
      "GET /projects/{project}/connections/{connection}/explain",
      "GET /projects/{project}/connections/{connection}/health",
      "GET /projects/{project}/connections/{connection}/mappings",
      "GET /projects/{project}/connections/{connection}/object-types",
      "GET /projects/{project}/connections/{connection}/properties",
      "GET /projects/{project}/connections/{connection}/syncs",
      "GET /projects/{project}/connections/{connection}/syncs/{sync}",
      "GET /projects/{project}/segments",
      "GET /projects/{project}/segments/{segment}",
      "GET /projects/{project}/users",
      "GET /projects/{project}/users/{user}",
      "GET /projects/{project}/variables",
      "GET /set-aside",
      "GET /set-aside/{id}",
      "PATCH /projects/{project}",
      "POST /plugins",
      "POST /plugins/rollback",
      "POST /plugins/{digest}/activate",
      "POST /plugins/{digest}/shadow",
      "POST /projects",
      "POST /projects/{project}/connections",
      "POST /projects/{project}/connections/{connection}/alert-channels",
      "POST /projects/{project}/connections/{connection}/alert-channels/{channel}/test",
      "POST /projects/{project}/connections/{connection}/continue",
      "POST /projects/{project}/connections/{connection}/mappings/preview",
      "POST /projects/{project}/connections/{connection}/pause",
      "POST /projects/{project}/connections/{connection}/reconnect",
      "POST /projects/{project}/connections/{connection}/resume",
      "POST /projects/{project}/connections/{connection}/syncs",
      "POST /projects/{project}/connections/{connection}/syncs/estimate",
      "POST /projects/{project}/connections/{connection}/syncs/{sync}/cancel",
      "POST /projects/{project}/connections/{connection}/syncs/{sync}/continue",
      "POST /projects/{project}/segments",
      "POST /projects/{project}/segments/preview",
      "POST /projects/{project}/variables",
      "POST /set-aside/replay",
      "POST /set-aside/{id}/replay",
      "PUT /projects/{project}/connections/{connection}/mappings",
      "PUT /projects/{project}/segments/{segment}",
      "PUT /projects/{project}/users"
    ]
    "#);
    // Whatever is referred to is there.
    let mut named = Vec::new();
    references(&document, &mut named);
    assert!(!named.is_empty());
    for reference in named {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    assert_eq!(
        masked(document["servers"].clone()),
        json!([{"url": "/api/v1"}])
    );
}

fn references<'a>(json: &'a Value, into: &mut Vec<&'a str>) {
    match json {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}
