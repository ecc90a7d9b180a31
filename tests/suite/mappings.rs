//! What is mapped: from HubSpot's definitions to a document that is saved
//! whole or not at all.

use std::time::Duration;

use harness::{answer::masked, world::World};
use hubspot_sim::{PropertySpec, Route};
use jimo_connect::clock::Clock;
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

const OTHER: u64 = 1_002;

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
async fn a_contact_feeds_the_user_who_has_its_email_and_says_from_where() {
    let (world, id, _) = connected().await;
    let fields = json!([
        {"property": "jobtitle", "variable": "job_title"},
        {"property": "lifecyclestage", "variable": "stage", "show": "label"},
    ]);
    world.map(&id, contacts(fields)).await;
    world
        .put_users(json!([{"external_id": "u-1", "email": "Ana@Example.com"}]))
        .await;
    let account = world.account(PORTAL);
    account
        .create(
            "contacts",
            &[
                ("email", "ana@example.com"),
                ("jobtitle", "Cook"),
                ("lifecyclestage", "opportunity"),
            ],
        )
        .unwrap();
    account
        .create(
            "contacts",
            &[("email", "nobody@example.com"), ("jobtitle", "Spy")],
        )
        .unwrap();
    world.settle().await;
    let ana = world.user_by_email("ana@example.com").await;
    insta::assert_json_snapshot!(masked(ana["variables"].clone()), @r#"
    {
      "job_title": {
        "changed_at": "[moment]",
        "source": {
          "connection": "con_1",
          "kind": "hubspot",
          "object_type": "contacts",
          "property": "jobtitle",
          "record_id": "[record]"
        },
        "type": "text",
        "value": "Cook",
        "written_at": "[moment]"
      },
      "stage": {
        "changed_at": "[moment]",
        "source": {
          "connection": "con_1",
          "kind": "hubspot",
          "object_type": "contacts",
          "property": "lifecyclestage",
          "record_id": "[record]"
        },
        "type": "text",
        "value": "Opportunity",
        "written_at": "[moment]"
      }
    }
    "#);
    // The integration makes no users.
    let listed = world.get("/users").await.good();
    assert_eq!(listed["users"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_back_in_full_and_can_be_sent_again() {
    let (world, _, path) = connected().await;
    assert_eq!(world.get(&path).await.good(), json!({}));
    let document = json!({
        "contacts": {"fields": [
            {"property": "lifecyclestage", "variable": "stage_name", "show": "label"},
            {"property": "total_revenue", "variable": "revenue", "type": "text"},
        ]},
        "companies": {"fields": [{"property": "industry", "variable": "company_industry"}]},
        "deals": {
            "selection": {"rule": "largest", "property": "amount"},
            "fields": [{"property": "dealstage", "variable": "deal_stage"}],
        },
    });
    let saved = world.put(&path, document).await.good();
    insta::assert_json_snapshot!(saved, @r#"
    {
      "companies": {
        "fields": [
          {
            "property": "industry",
            "type": "text",
            "variable": "company_industry"
          }
        ],
        "matching": {
          "through": "contacts"
        },
        "selection": {
          "rule": "primary"
        }
      },
      "contacts": {
        "fields": [
          {
            "property": "lifecyclestage",
            "show": "label",
            "type": "text",
            "variable": "stage_name"
          },
          {
            "property": "total_revenue",
            "type": "text",
            "variable": "revenue"
          }
        ],
        "matching": {
          "property": "email",
          "user": "email"
        }
      },
      "deals": {
        "fields": [
          {
            "property": "dealstage",
            "type": "text",
            "variable": "deal_stage"
          }
        ],
        "matching": {
          "through": "contacts"
        },
        "selection": {
          "property": "amount",
          "rule": "largest"
        }
      }
    }
    "#);
    let again = world.put(&path, saved.clone()).await.good();
    assert_eq!(again, saved);
    assert_eq!(world.get(&path).await.good(), saved);
    // A rule's name alone is enough, and what is left out is gone.
    let document = json!({
        "contacts": {"matching": {"property": "email", "user": "email"}},
        "deals": {"matching": {"through": "contacts"}, "selection": "latest_created"},
    });
    let saved = world.put(&path, document).await.good();
    assert_eq!(
        saved["deals"]["selection"],
        json!({"rule": "latest_created"})
    );
    assert_eq!(saved["companies"], Value::Null);
    assert_eq!(world.put(&path, json!({})).await.good(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_holds_values_is_taken_over_when_that_is_said() {
    let (world, id, path) = connected().await;
    let user = &world.put_users(json!([{"email": "ana@example.com"}])).await[0];
    world
        .post("/variables", json!({"name": "title", "type": "text"}))
        .await
        .good();
    let written = json!([{"email": "ana@example.com", "variables": {"title": "Own"}}]);
    world.put_users(written).await;
    let field = |take_over: bool| {
        contacts(json!([{"property": "jobtitle", "variable": "title", "take_over": take_over}]))
    };
    world.put(&path, field(false)).await.problem(422);
    let saved = world.map(&id, field(true)).await;
    assert_eq!(
        saved["contacts"]["fields"],
        json!([{"property": "jobtitle", "variable": "title", "type": "text"}])
    );
    // Nothing is backfilled, and nothing is lost until HubSpot says something.
    assert_eq!(world.values(user).await, json!({"title": "Own"}));
    world
        .account(PORTAL)
        .create(
            "contacts",
            &[("email", "ana@example.com"), ("jobtitle", "Cook")],
        )
        .unwrap();
    world.settle().await;
    assert_eq!(world.values(user).await, json!({"title": "Cook"}));
    // What is fed already is not taken over again.
    world.map(&id, field(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_field_that_is_removed_stay_unless_they_are_to_go() {
    let (world, id, path) = connected().await;
    let fields = json!([
        {"property": "jobtitle", "variable": "job_title"},
        {"property": "city", "variable": "city"},
    ]);
    world.map(&id, contacts(fields)).await;
    let user = &world.put_users(json!([{"email": "ana@example.com"}])).await[0];
    world
        .account(PORTAL)
        .create(
            "contacts",
            &[
                ("email", "ana@example.com"),
                ("jobtitle", "Cook"),
                ("city", "Lyon"),
            ],
        )
        .unwrap();
    world.settle().await;
    let left = contacts(json!([{"property": "city", "variable": "city"}]));
    world.put(&path, left).await.good();
    assert_eq!(
        world.values(user).await,
        json!({"job_title": "Cook", "city": "Lyon"})
    );
    let held = world.user(user).await;
    assert_eq!(held["variables"]["job_title"]["source"]["kind"], "jimo");
    assert_eq!(held["variables"]["city"]["source"]["kind"], "hubspot");
    world
        .put(&format!("{path}?removed=clear"), json!({}))
        .await
        .good();
    assert_eq!(world.values(user).await, json!({"job_title": "Cook"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_can_be_matched_by_external_id_or_by_a_variable() {
    let (world, id, _) = connected().await;
    let account = world.account(PORTAL);
    account
        .define("contacts", PropertySpec::number("customer_no"))
        .unwrap();
    account
        .define("contacts", PropertySpec::text("badge"))
        .unwrap();
    for (user_side, property, given) in [
        ("external_id", "customer_no", "42"),
        ("variable:badge_no", "badge", "B-7"),
    ] {
        if user_side != "external_id" {
            world
                .post("/variables", json!({"name": "badge_no", "type": "text"}))
                .await
                .good();
            let user = json!({"external_id": "42", "variables": {"badge_no": "B-7"}});
            world.put_users(json!([user])).await;
        } else {
            world.put_users(json!([{"external_id": "42"}])).await;
        }
        let document = json!({"contacts": {
            "matching": {"property": property, "user": user_side},
            "fields": [{"property": "jobtitle", "variable": "job_title"}],
        }});
        world
            .sim
            .subscribe("contact.propertyChange", Some(property))
            .unwrap();
        let saved = world.map(&id, document).await;
        assert_eq!(saved["contacts"]["matching"]["user"], user_side);
        let title = format!("by {property}");
        account
            .create("contacts", &[(property, given), ("jobtitle", &title)])
            .unwrap();
        world.settle().await;
        assert_eq!(world.values("usr_1").await["job_title"], *title);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_found_by_a_variable_already_stay_so_for_another_rule() {
    let (world, first, _) = connected().await;
    let second = world.connect(OTHER).await;
    world
        .sim
        .subscribe("contact.propertyChange", Some("badge"))
        .unwrap();
    for portal in [PORTAL, OTHER] {
        let badge = PropertySpec::text("badge");
        world.account(portal).define("contacts", badge).unwrap();
    }
    world
        .post("/variables", json!({"name": "badge_no", "type": "text"}))
        .await
        .good();
    let by_badge = |variable: &str, field: &str| {
        json!({"contacts": {
            "matching": {"property": "badge", "user": "variable:badge_no"},
            "fields": [{"property": field, "variable": variable}],
        }})
    };
    let user = json!({"external_id": "1", "variables": {"badge_no": "B-6"}});
    world.put_users(json!([user])).await;
    world.map(&first, by_badge("job_title", "jobtitle")).await;
    // Found by the one since then, for both.
    let user = json!({"external_id": "1", "variables": {"badge_no": "B-7"}});
    let user = world.put_users(json!([user])).await.remove(0);
    let unmade = "CREATE TRIGGER unmade BEFORE DELETE ON user_keys BEGIN
                    SELECT RAISE(ABORT, 'made anew');
                  END";
    world.tamper(unmade).await;
    world.map(&second, by_badge("city", "city")).await;
    world.tamper("DROP TRIGGER unmade").await;
    let contact = [("badge", "B-7"), ("jobtitle", "Cook"), ("city", "Lyon")];
    for portal in [PORTAL, OTHER] {
        world.account(portal).create("contacts", &contact).unwrap();
    }
    world.settle().await;
    let values = world.values(&user).await;
    assert_eq!(
        (&values["job_title"], &values["city"]),
        (&json!("Cook"), &json!("Lyon"))
    );
}

/// Calls to HubSpot that read records or their associations.
fn reads(world: &World) -> usize {
    let calls = world.sim.calls();
    let batch = |path: &str| path.contains("/batch/read");
    calls.iter().filter(|call| batch(&call.path)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_shows_labels_from_now_on_is_converted_again_without_a_read() {
    let (world, id, path) = connected().await;
    let stage = |show: &str| {
        contacts(json!([{"property": "lifecyclestage", "variable": "stage", "show": show}]))
    };
    world.map(&id, stage("internal_value")).await;
    let user = &world.put_users(json!([{"email": "ana@example.com"}])).await[0];
    let contact = [
        ("email", "ana@example.com"),
        ("lifecyclestage", "opportunity"),
    ];
    world.account(PORTAL).create("contacts", &contact).unwrap();
    world.settle().await;
    let before = world.user(user).await["variables"]["stage"].clone();
    assert_eq!(before["value"], "opportunity");

    let read = reads(&world);
    world.put(&path, stage("label")).await.good();
    world.settle().await;
    let after = world.user(user).await["variables"]["stage"].clone();
    assert_eq!(after["value"], "Opportunity");
    assert_eq!(after["source"], before["source"]);
    assert_eq!(after["changed_at"], before["changed_at"]);
    let activity = world
        .get(&format!("/connections/{id}/activity"))
        .await
        .good();
    assert_eq!(activity[0]["origin"], "mapping", "{activity:#}");
    assert_eq!(activity[0]["variables"], json!(["stage"]));

    world.put(&path, stage("internal_value")).await.good();
    world.settle().await;
    assert_eq!(world.values(user).await, json!({"stage": "opportunity"}));
    assert_eq!(reads(&world), read, "nothing is read for it");
}

/// More of them than one page holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_label_reaches_everybody_who_shows_it() {
    let (world, id, path) = connected().await;
    let stage = contacts(json!([
        {"property": "lifecyclestage", "variable": "stage", "show": "label"},
    ]));
    world.map(&id, stage.clone()).await;
    let emails: Vec<_> = (0..600).map(|n| format!("{n}@example.com")).collect();
    let users = emails.iter().map(|email| json!({"email": email}));
    let users = world.put_users(users.collect()).await;
    let account = world.account(PORTAL);
    for email in &emails {
        let contact = [("email", email.as_str()), ("lifecyclestage", "opportunity")];
        account.create("contacts", &contact).unwrap();
    }
    world.settle().await;
    let last = users.last().unwrap();
    assert_eq!(world.values(last).await, json!({"stage": "Opportunity"}));

    account
        .relabel("contacts", "lifecyclestage", "opportunity", "A chance")
        .unwrap();
    world.put(&path, stage).await.good();
    world.settle().await;
    for user in &users {
        assert_eq!(world.values(user).await, json!({"stage": "A chance"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_read_once_a_minute_however_often_they_are_looked_at() {
    let clock = Clock::system();
    let world = World::start_with(hubspot_sim::Config::default(), clock.clone()).await;
    let id = world.connect(PORTAL).await;
    let path = format!("/connections/{id}/properties?object_type=contacts");
    let look = async || world.get(&path).await.good();
    let reads = || {
        let calls = world.sim.calls();
        let reads = calls.iter().filter(|call| call.route == Route::Properties);
        reads.count()
    };
    let _ = tokio::join!(look(), look(), look());
    look().await;
    assert_eq!(reads(), 1);
    let made = PropertySpec::text("made_just_now");
    world.account(PORTAL).define("contacts", made).unwrap();
    // A mapping may name what was made since.
    let fields = json!([{"property": "made_just_now", "variable": "made"}]);
    world
        .map(&id, json!({"contacts": {"fields": fields}}))
        .await;
    assert_eq!(reads(), 2);
    let listed = look().await;
    let names = listed.as_array().unwrap().iter();
    assert_eq!(
        names.filter(|one| one["name"] == "made_just_now").count(),
        1
    );
    assert_eq!(reads(), 2);
    clock.turn(Duration::from_secs(61));
    look().await;
    assert_eq!(reads(), 3);
}
