//! Segments over the API.

use harness::world::World;
use reqwest::Method;
use serde_json::{Value, json};

/// Variables of every type, and users who differ in each.
async fn world() -> World {
    let world = World::start().await;
    for (name, of) in [
        ("plan", "text"),
        ("seats", "number"),
        ("trial", "boolean"),
        ("renewal", "date"),
        ("seen", "datetime"),
        ("roles", "list"),
    ] {
        let body = json!({"name": name, "type": of});
        assert_eq!(world.post("/variables", body).await.status, 201);
    }
    world
        .put_users(json!([
            {"external_id": "A-1", "email": "Ana@North.example", "name": "Ana", "variables": {
                "plan": "Pro", "seats": 12.5, "trial": false, "renewal": "2027-01-31",
                "seen": "2026-09-30T23:30:00Z", "roles": ["Owner", "editor"]}},
            {"external_id": "B-2", "email": "bo@south.example", "name": "Bo", "variables": {
                "plan": "professional", "seats": 3, "trial": true, "renewal": "2026-12-01",
                "seen": "2026-10-01T00:30:00Z", "roles": ["viewer"]}},
            {"external_id": "C-3"},
        ]))
        .await;
    world
}

/// Whom a preview of conditions names, by the first letter of their ids.
async fn previewed(world: &World, conditions: &Value) -> String {
    let body = json!({ "conditions": conditions });
    let preview = world.post("/segments/preview", body).await.good();
    let users = preview["users"].as_array().unwrap();
    assert_eq!(preview["count"], users.len(), "{conditions}");
    let ids = users
        .iter()
        .map(|user| user["external_id"].as_str().unwrap());
    ids.map(|id| &id[..1]).collect()
}

async fn make(world: &World, name: &str, conditions: Value) -> String {
    let body = json!({"name": name, "conditions": conditions});
    let made = world.post("/segments", body).await;
    assert_eq!(made.status, 201, "{:?}", made.json);
    made.json["id"].as_str().unwrap().to_owned()
}

fn rule(variable: &str, operator: &str, value: Value) -> Value {
    match value {
        Value::Null => json!({"variable": variable, "operator": operator}),
        value => json!({"variable": variable, "operator": operator, "value": value}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operator_finds_whom_it_says_before_and_after_it_is_saved() {
    let world = world().await;
    let cases = [
        ("plan", "is", json!("PRO"), "A"),
        ("plan", "is_not", json!("pro"), "BC"),
        ("plan", "contains", json!("FESS"), "B"),
        ("plan", "starts_with", json!("pro"), "AB"),
        ("plan", "ends_with", json!("AL"), "B"),
        ("plan", "is_one_of", json!(["pro", "team"]), "A"),
        ("plan", "is_empty", Value::Null, "C"),
        ("seats", "=", json!(3), "B"),
        ("seats", "!=", json!(3), "AC"),
        ("seats", "<", json!(12.5), "B"),
        ("seats", "<=", json!(12.5), "AB"),
        ("seats", ">", json!(3), "A"),
        ("seats", ">=", json!(3), "AB"),
        ("seats", "between", json!([3, 12]), "B"),
        ("seats", "is_empty", Value::Null, "C"),
        ("trial", "is_true", Value::Null, "B"),
        ("trial", "is_false", Value::Null, "A"),
        ("trial", "is_empty", Value::Null, "C"),
        ("renewal", "<", json!("2027-01-31"), "B"),
        (
            "renewal",
            "between",
            json!(["2026-12-01", "2027-01-31"]),
            "AB",
        ),
        ("renewal", "!=", json!("2026-12-01"), "AC"),
        ("seen", "=", json!("2026-09-30"), "A"),
        ("seen", ">", json!("2026-09-30"), "B"),
        ("seen", "<=", json!("2026-09-30T23:30:00Z"), "A"),
        ("seen", "<=", json!("2026-10-01T01:29:59+02:00"), ""),
        ("roles", "contains_any", json!(["OWNER", "viewer"]), "AB"),
        ("roles", "contains_all", json!(["owner", "Editor"]), "A"),
        ("roles", "contains_none", json!(["owner"]), "BC"),
        ("roles", "is_empty", Value::Null, "C"),
        ("email", "ends_with", json!("@NORTH.example"), "A"),
        ("email", "is_empty", Value::Null, "C"),
        ("external_id", "is", json!("b-2"), "B"),
        ("name", "is_not", json!("bo"), "AC"),
        ("created_at", "in_last_days", json!(1), "ABC"),
        ("created_at", "in_next_days", json!(1), ""),
    ];
    for (variable, operator, value, expected) in &cases {
        let conditions = rule(variable, operator, value.clone());
        assert_eq!(
            previewed(&world, &conditions).await,
            *expected,
            "{conditions}"
        );
    }
    for (index, (variable, operator, value, expected)) in cases.iter().enumerate() {
        let conditions = rule(variable, operator, value.clone());
        let id = make(&world, &format!("Segment {index}"), conditions.clone()).await;
        let segment = world.get(&format!("/segments/{id}")).await.good();
        assert_eq!(segment["count"], expected.len(), "{conditions}");
        let written = segment["conditions"].clone();
        match written["value"].as_str() {
            // A moment is written in UTC.
            Some(moment) if moment.ends_with('Z') => {}
            _ => assert_eq!(written, conditions),
        }
        let again = previewed(&world, &conditions).await;
        assert_eq!(again, *expected, "{conditions}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_a_moment_is_one_of_the_projects_time_zone() {
    let world = world().await;
    world
        .patch("", json!({"time_zone": "Europe/Paris"}))
        .await
        .good();
    let first = rule("seen", "=", json!("2026-10-01"));
    assert_eq!(previewed(&world, &first).await, "AB");
    world
        .patch("", json!({"time_zone": "America/New_York"}))
        .await
        .good();
    assert_eq!(previewed(&world, &first).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_used_in_others_and_listed_for_users() {
    let world = world().await;
    let pro = make(&world, "Pro", rule("plan", "is", json!("pro"))).await;
    let groups = json!({"any": [
        {"segment": pro},
        {"all": [{"not": rule("trial", "is_empty", Value::Null)}, rule("seats", "<", json!(5))]},
    ]});
    let known = make(&world, "Known", groups.clone()).await;
    let strangers = make(&world, "Strangers", json!({"not": {"segment": known}})).await;
    assert_eq!(previewed(&world, &groups).await, "AB");

    let path = format!("/users?segment={known}&limit=1");
    let first = world.get(&path).await.good();
    assert_eq!(first["users"][0]["external_id"], "A-1");
    let next = first["next"].as_str().unwrap();
    let path = format!("/users?segment={known}&limit=1&cursor={next}");
    let second = world.get(&path).await.good();
    assert_eq!(second["users"][0]["external_id"], "B-2");
    assert_eq!(second["next"], Value::Null);
    let path = format!("/users?segment={known}&q=south");
    assert_eq!(world.get(&path).await.good()["users"][0]["name"], "Bo");
    let path = format!("/users?segment={known}&email=ANA@north.example");
    assert_eq!(world.get(&path).await.good()["users"][0]["name"], "Ana");
    let path = format!("/users?segment={pro}&external_id=B-2");
    assert_eq!(world.get(&path).await.good()["users"], json!([]));
    assert_eq!(world.get("/users?segment=seg_99").await.status, 404);

    // By name.
    assert_eq!(world.user("usr_1").await["segments"], json!([known, pro]));
    assert_eq!(world.user("usr_2").await["segments"], json!([known]));
    assert_eq!(world.user("usr_3").await["segments"], json!([strangers]));

    // What a segment is, whatever names it follows.
    let body = json!({"name": "Pro", "conditions": rule("plan", "contains", json!("x"))});
    let put = world.put(&format!("/segments/{pro}"), body).await.good();
    assert_eq!(
        (&put["count"], &put["used_by"]),
        (&json!(0), &json!([known]))
    );
    assert_eq!(world.user("usr_1").await["segments"], json!([strangers]));
    world
        .put_users(json!([{"external_id": "C-3", "variables": {"plan": "XL"}}]))
        .await;
    assert_eq!(world.user("usr_3").await["segments"], json!([known, pro]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_used_stays_and_none_contains_itself() {
    let world = world().await;
    let pro = make(&world, "Pro", rule("plan", "is", json!("pro"))).await;
    let known = make(&world, "Known", json!({"segment": pro})).await;
    let refused = world.delete(&format!("/segments/{pro}")).await;
    assert_eq!(refused.status, 409);
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.contains("“Known”"), "{detail}");
    for (of, through) in [(&pro, "“Known”"), (&known, "“Known”")] {
        let body = json!({"name": "Round", "conditions": {"not": {"segment": known}}});
        let refused = world.put(&format!("/segments/{of}"), body).await;
        assert_eq!(refused.status, 422);
        let error = &refused.json["errors"][0];
        assert_eq!(error["pointer"], "/conditions");
        assert!(
            error["detail"].as_str().unwrap().contains(through),
            "{error}"
        );
    }
    for id in [&known, &pro] {
        assert_eq!(world.delete(&format!("/segments/{id}")).await.status, 204);
        assert_eq!(world.get(&format!("/segments/{id}")).await.status, 404);
    }
    assert_eq!(world.count("SELECT count(*) FROM sought_values"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_one_whatever_their_case_and_other_projects_segments_are_not_there() {
    let world = world().await;
    let pro = make(&world, "Pro", rule("plan", "is", json!("pro"))).await;
    let body = json!({"name": " PRO ", "conditions": rule("plan", "is", json!("x"))});
    assert_eq!(world.post("/segments", body.clone()).await.status, 409);
    assert_eq!(
        world.put(&format!("/segments/{pro}"), body).await.status,
        200
    );

    let other = world.make_project("Other").await;
    let at = |path: &str| format!("/api/v1/projects/{other}{path}");
    let ask =
        |method, path: String, body| world.send(method, &path.leak()[..], &world.operator, body);
    let found = ask(Method::GET, at(&format!("/segments/{pro}")), None).await;
    assert_eq!(found.status, 404);
    let body = json!({"conditions": {"segment": pro}});
    let previewed = ask(Method::POST, at("/segments/preview"), Some(body)).await;
    assert_eq!(previewed.status, 422);
    let listed = ask(Method::GET, at(&format!("/users?segment={pro}")), None).await;
    assert_eq!(listed.status, 404);
    assert_eq!(
        ask(Method::DELETE, at(&format!("/segments/{pro}")), None)
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_conditions_is_said_where_it_is() {
    let world = world().await;
    let deep = (0..9).fold(
        rule("plan", "is", json!("x")),
        |part, _| json!({"all": [part]}),
    );
    let many: Vec<Value> = (0..101).map(|_| rule("plan", "is", json!("x"))).collect();
    let texts: Vec<Value> = (0..101).map(|n| json!(n.to_string())).collect();
    for (conditions, pointer, word) in [
        (json!({"all": []}), "/all", "one or more"),
        (json!("x"), "", "object"),
        (json!({"all": [], "any": []}), "", "object"),
        (json!({"segment": "seg_7"}), "/segment", "no such segment"),
        (
            json!({"any": [rule("planet", "is", json!("x"))]}),
            "/any/0/variable",
            "no such attribute",
        ),
        (rule("plan", "<", json!("x")), "/operator", "is_one_of"),
        (
            rule("roles", "contains", json!("x")),
            "/operator",
            "contains_any",
        ),
        (rule("plan", "is", json!("")), "/value", "is_empty"),
        (rule("plan", "is", Value::Null), "/value", "takes a value"),
        (rule("plan", "is", json!("x".repeat(701))), "/value", "700"),
        (
            rule("plan", "is_one_of", json!(["a", 3])),
            "/value/1",
            "a text",
        ),
        (
            rule("plan", "is_one_of", json!(texts)),
            "/value",
            "1 to 100",
        ),
        (rule("plan", "is_empty", json!("x")), "/value", "no value"),
        (rule("seats", "=", json!("3")), "/value", "A number"),
        (rule("seats", "between", json!([3])), "/value", "two values"),
        (
            rule("seats", "between", json!([3, 2])),
            "/value/1",
            "before the first",
        ),
        (
            rule("renewal", "=", json!("2026-13-01")),
            "/value",
            "2026-09-30",
        ),
        (rule("seen", "=", json!("yesterday")), "/value", "a moment"),
        (
            rule("seen", "in_last_days", json!(0)),
            "/value",
            "1 to 36500",
        ),
        (
            json!({"variable": "plan", "operator": "is", "value": "x", "x": 1}),
            "/x",
            "no part",
        ),
        (
            json!({"not": deep}),
            "/not/all/0/all/0/all/0/all/0/all/0/all/0/all/0/all/0",
            "nested",
        ),
        (json!({"all": many}), "", "at most 100"),
    ] {
        let body = json!({"name": "A segment", "conditions": conditions});
        let refused = world.post("/segments", body).await;
        assert_eq!(refused.status, 422, "{:?}", refused.json);
        let errors = refused.json["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(
            errors[0]["pointer"],
            format!("/conditions{pointer}"),
            "{errors:?}"
        );
        let detail = errors[0]["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{detail}");
    }
    let body = json!({"name": "", "conditions": {"any": [
        rule("x", "is", json!("x")), rule("seats", "is", json!("x"))]}});
    let refused = world.post("/segments", body).await;
    let errors = refused.json["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/name",
            "/conditions/any/0/variable",
            "/conditions/any/1/operator"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_those_it_uses_a_segment_stays_small() {
    let world = world().await;
    let hundred: Vec<Value> = (0..100)
        .map(|n| rule("plan", "is", json!(n.to_string())))
        .collect();
    let large = make(&world, "Large", json!({"any": hundred})).await;
    let four: Vec<Value> = (0..4).map(|_| json!({"segment": large})).collect();
    let four = make(&world, "Four times", json!({"any": four})).await;
    let body = json!({"name": "Eight times", "conditions": {"any": [{"segment": four}, {"segment": four}]}});
    let refused = world.post("/segments", body).await;
    assert_eq!(refused.status, 422);
    let mut last = make(&world, "Link", rule("plan", "is", json!("pro"))).await;
    for number in 0..10 {
        last = make(&world, &format!("Link {number}"), json!({"segment": last})).await;
    }
    let body = json!({"name": "One more", "conditions": {"segment": last}});
    assert_eq!(world.post("/segments", body).await.status, 422);
    // What others use may not grow beyond what they may be.
    let body = json!({"name": "Link", "conditions": {"segment": four}});
    let refused = world.put("/segments/seg_3", body).await;
    assert_eq!(refused.status, 422, "{:?}", refused.json);
    let listed = world.get(&format!("/users?segment={last}")).await.good();
    assert_eq!(listed["users"][0]["external_id"], "A-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_millions_that_are_wrong_a_hundred_are_said() {
    let world = world().await;
    for nonsense in [
        json!(vec![0; 200_000]),
        json!(vec![json!({"any": [0, 0]}); 50_000]),
    ] {
        let conditions = json!({ "all": nonsense });
        let answer = world
            .post("/segments/preview", json!({ "conditions": conditions }))
            .await;
        let errors = answer.problem(422)["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_look_and_preview_and_change_nothing() {
    let world = world().await;
    let pro = make(&world, "Pro", rule("plan", "is", json!("pro"))).await;
    let project = Some(world.project.as_str());
    let role = jimo_connect::store::projects::Role::Viewer;
    let viewer = world.make_token(project, role).await;
    let body = json!({"name": "X", "conditions": {"segment": pro}});
    let preview = json!({"conditions": {"segment": pro}});
    let one = format!("/segments/{pro}");
    for (method, path, body, status) in [
        (Method::GET, "/segments", None, 200),
        (Method::GET, one.as_str(), None, 200),
        (Method::POST, "/segments/preview", Some(preview), 200),
        (Method::POST, "/segments", Some(body.clone()), 403),
        (Method::PUT, one.as_str(), Some(body), 403),
        (Method::DELETE, one.as_str(), None, 403),
    ] {
        let path = world.path(path);
        let answer = world.send(method.clone(), &path, &viewer, body).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}
