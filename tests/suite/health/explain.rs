//! Why did this record not reach this user?

use hubspot_sim::Link;
use serde_json::{Value, json};

use super::{Fed, PORTAL};

impl Fed {
    async fn explain(&self, question: &str) -> Value {
        let request = self
            .world
            .request(reqwest::Method::GET, &self.path("/explain"))
            .query(&[("q", question)]);
        self.world.answer(request).await.good()
    }
}

/// How each step of a story stands.
fn standings(story: &Value) -> Vec<String> {
    let steps = story["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let word = |name: &str| step[name].as_str().unwrap().to_owned();
            format!("{} {}", word("stage"), word("standing"))
        })
        .collect()
}

fn stops_at<'a>(story: &'a Value, stage: &str) -> &'a str {
    let steps = story["steps"].as_array().unwrap();
    let stopped = steps
        .iter()
        .find(|step| step["standing"] == "stopped")
        .unwrap_or_else(|| panic!("{story:#}"));
    assert_eq!(stopped["stage"], stage, "{story:#}");
    stopped["detail"].as_str().unwrap()
}

const DONE: [&str; 6] = [
    "received done",
    "parsed done",
    "matched done",
    "selected done",
    "mapped done",
    "written done",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_reached_a_user_is_told_step_by_step_by_whatever_they_are_asked_for() {
    let fed = Fed::start().await;
    let contact = fed.contact.to_string();
    let by_page = format!("https://app.hubspot.com/contacts/1001/record/0-1/{contact}?x=y");
    for question in ["ANA@example.com", "u_1", &fed.user, &contact, &by_page] {
        let told = fed.explain(question).await;
        let stories = told["stories"].as_array().unwrap();
        let story = stories
            .iter()
            .find(|story| story["object_type"] == "contacts")
            .unwrap_or_else(|| panic!("{question}: {told:#}"));
        assert_eq!(standings(story), DONE, "{question}: {told:#}");
        assert_eq!(story["record_id"], contact);
        assert_eq!(story["user"], fed.user);
        let field = &story["fields"][0];
        assert_eq!(field["variable"], "job_title");
        assert_eq!(field["value"], "Cook");
        assert!(field["written_at"].is_string() && field["changed_at"].is_string());
    }
    let told = fed.explain(&format!("company {}", fed.company)).await;
    assert_eq!(standings(&told["stories"][0]), DONE, "{told:#}");
    let answer = told["answer"].as_str().unwrap();
    assert!(
        answer.starts_with("It reached ana@example.com:"),
        "{answer}"
    );
    let matched = told["stories"][0]["steps"][2]["detail"].as_str().unwrap();
    assert!(
        matched.contains("It is associated with this user’s contact"),
        "{matched}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_id_may_look_like_a_number_or_an_address() {
    let fed = Fed::start().await;
    let number = fed.company.to_string();
    let users = json!([{"external_id": "tom@shop"}, {"external_id": number}]);
    let ids = fed.world.put_users(users).await;
    fed.world.settle().await;
    let told = fed.explain("tom@shop").await;
    assert_eq!(told["stories"][0]["user"], ids[0], "{told:#}");
    // The number is a company's of HubSpot, too.
    let told = fed.explain(&number).await;
    let stories = told["stories"].as_array().unwrap();
    assert_eq!(stories[0]["user"], ids[1], "{told:#}");
    let of_company = stories.iter().find(|story| story["record_id"] == number);
    assert_eq!(of_company.unwrap()["user"], fed.user, "{told:#}");
    let told = fed.explain(&format!("company {number}")).await;
    assert_eq!(told["stories"].as_array().unwrap().len(), 1, "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_understood_of_a_record_is_told_until_it_is_read() {
    let fed = Fed::start().await;
    let contact = fed.contact.to_string();
    let app = fed.world.sim.app();
    // It names the company in its text alone.
    let event = json!({
        "portalId": PORTAL, "appId": app.id, "objectId": fed.contact, "subscriptionType": "contact.propertyChange",
        "occurredAt": "never", "propertyName": "jobtitle", "propertyValue": fed.company.to_string(),
    });
    let url = fed.world.host().url(jimo_connect::intake::PATH);
    let body = json!([event]).to_string().into();
    let status = harness::bare::deliver(url.as_str(), &app.client_secret, body).await;
    assert_eq!(status.unwrap(), 204);
    fed.world.applied().await;
    assert_eq!(fed.world.count("SELECT count(*) FROM set_aside"), 1);
    let told = fed.explain(&contact).await;
    let detail = stops_at(&told["stories"][0], "parsed");
    assert!(detail.contains("could not be understood"), "{detail}");
    let told = fed.explain(&format!("company {}", fed.company)).await;
    assert_eq!(standings(&told["stories"][0]), DONE, "{told:#}");

    // What is read since then says all that it said.
    let full = json!({"kind": "full"});
    fed.world.post(&fed.path("/syncs"), full).await.good();
    fed.world.settle().await;
    let over = async || {
        let open = "SELECT count(*) FROM runs WHERE status IN ('running', 'braked')";
        fed.world.count(open) == 0
    };
    fed.world.until(over).await;
    let told = fed.explain(&contact).await;
    assert_eq!(standings(&told["stories"][0]), DONE, "{told:#}");
    assert_eq!(fed.world.count("SELECT count(*) FROM set_aside"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stranger_only_that_they_are_known_is_told() {
    let fed = Fed::start().await;
    let account = fed.world.account(PORTAL);
    let values = [("email", "eve@example.com"), ("jobtitle", "Spy")];
    let stranger = account.create("contacts", &values).unwrap();
    fed.world.settle().await;
    for question in [stranger.to_string(), "Eve@Example.com".into()] {
        let told = fed.explain(&question).await;
        let detail = stops_at(&told["stories"][0], "matched");
        assert!(
            detail.contains("Known to HubSpot, matches no user"),
            "{detail}"
        );
        let all = told.to_string();
        assert!(!all.contains("Spy"), "{all}");
    }
    let told = fed.explain("nobody@example.com").await;
    assert_eq!(told["stories"], json!([]));
    assert!(
        told["answer"]
            .as_str()
            .unwrap()
            .contains("HubSpot has told us of no record")
    );
    let told = fed.explain("99999").await;
    assert!(stops_at(&told["stories"][0], "received").contains("told us nothing"));
    // Without an address nobody can be matched.
    let nameless = account.create("contacts", &[("jobtitle", "Spy")]).unwrap();
    fed.world.settle().await;
    let told = fed.explain(&nameless.to_string()).await;
    assert!(stops_at(&told["stories"][0], "matched").contains("is empty in HubSpot"));
    fed.world
        .get(&fed.path("/explain?q=%20"))
        .await
        .problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_record_learns_why() {
    let fed = Fed::start().await;
    fed.world
        .put_users(json!([{"email": "tom@example.com"}, {"external_id": "u_3"}]))
        .await;
    fed.world.settle().await;
    let told = fed.explain("tom@example.com").await;
    let detail = stops_at(&told["stories"][0], "received");
    assert!(detail.contains("no contact that matches"), "{told:#}");
    let told = fed.explain("u_3").await;
    let detail = stops_at(&told["stories"][0], "received");
    assert!(detail.contains("The user has no email"), "{told:#}");
    let detail = stops_at(&told["stories"][1], "received");
    assert!(detail.contains("no contact yet"));
    let steps = told["stories"][1]["steps"].to_string();
    assert!(!steps.contains("Associate"), "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_not_selected_or_not_readable_says_so() {
    let fed = Fed::start().await;
    let account = fed.world.account(PORTAL);
    // Another company is the primary one now.
    let other = account.create("companies", &[("name", "Other")]).unwrap();
    account
        .associate(
            ("contacts", fed.contact),
            ("companies", other),
            Link::Primary,
        )
        .unwrap();
    fed.world.settle().await;
    let told = fed.explain(&format!("companies/{}", fed.company)).await;
    let detail = stops_at(&told["stories"][0], "selected");
    assert!(detail.contains(&format!("company {other}")), "{detail}");
    assert!(detail.contains("the primary one"), "{detail}");

    let long = "x".repeat(701);
    account
        .patch("contacts", fed.contact, &[("jobtitle", &long)])
        .unwrap();
    fed.world.settle().await;
    let contact = fed.contact.to_string();
    let told = fed.explain(&contact).await;
    assert!(
        stops_at(&told["stories"][0], "written").contains("700 characters"),
        "{told:#}"
    );
    assert_eq!(
        told["stories"][0]["fields"][0]["value"], "Cook",
        "the last readable one"
    );

    account.delete("contacts", fed.contact).unwrap();
    fed.world.settle().await;
    let told = fed.explain(&contact).await;
    assert!(
        stops_at(&told["stories"][0], "matched").contains("deleted in HubSpot"),
        "{told:#}"
    );
    account.erase("contacts", fed.contact).unwrap();
    fed.world.settle().await;
    let told = fed.explain(&contact).await;
    assert!(
        stops_at(&told["stories"][0], "matched").contains("deleted for privacy"),
        "{told:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_record_leads_to_what_it_became() {
    let fed = Fed::start().await;
    let account = fed.world.account(PORTAL);
    let twin = account
        .create("contacts", &[("email", "ana2@example.com")])
        .unwrap();
    let survivor = account.merge("contacts", fed.contact, twin).unwrap();
    fed.world.settle().await;
    let told = fed.explain(&twin.to_string()).await;
    let detail = stops_at(&told["stories"][0], "matched");
    assert!(
        detail.contains(&format!("merged into contact {survivor}")),
        "{detail}"
    );
}
