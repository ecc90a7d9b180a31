//! The client against answers written out here, one by one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};

use super::objects::{AssociationInput, Missing};
use super::*;
use crate::model::{PropertyName, RecordId, Timestamp};

/// What was asked: method, address, token, body.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) token: String,
    pub(super) body: serde_json::Value,
}

/// A server that gives its answers in turn, and a client for it.
pub(super) struct Stage {
    pub(super) client: Client,
    clock: Clock,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Response>>>,
}

impl Stage {
    pub(super) async fn new(answers: impl IntoIterator<Item = Response>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let app = axum::Router::new().fallback({
            let (asked, answers) = (asked.clone(), answers.clone());
            move |request: Request| async move {
                let line = format!("{} {}", request.method(), request.uri());
                let token = request.headers().get("authorization");
                let token = token.map(|value| value.to_str().expect("text").to_owned());
                let body = to_bytes(request.into_body(), usize::MAX).await;
                let body = body.expect("body");
                asked.lock().expect("asked").push(Asked {
                    line,
                    token: token.unwrap_or_default(),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                });
                let answer = answers.lock().expect("answers").pop_front();
                answer.expect("no answer is left")
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = Clock::system();
        let config = Config {
            api: format!("http://127.0.0.1:{port}/api{{-region}}")
                .parse()
                .expect("address"),
            answer_bytes_max: 4_096,
            ..Config::default()
        };
        let client = Client::new(config, clock.clone(), HubspotMetrics::default()).expect("client");
        Self {
            client,
            clock,
            asked,
            answers,
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("asked");
        asked.iter().map(|asked| asked.line.clone()).collect()
    }

    fn first_body(&self) -> serde_json::Value {
        self.asked.lock().expect("asked")[0].body.clone()
    }

    async fn read(&self, ids: &[&str]) -> Result<objects::Records, Error> {
        let properties = [PropertyName::from("email")];
        self.client
            .read_records(&caller(), &"contacts".into(), ids, &properties, None)
            .await
    }

    fn answers_left(&self) -> usize {
        self.answers.lock().expect("answers").len()
    }
}

fn caller() -> Caller {
    Caller {
        account: "62515".into(),
        token: "token".into(),
        region: None,
        priority: Priority::Live,
    }
}

pub(super) fn answer(status: u16, body: &str) -> Response {
    let builder = Response::builder().status(status);
    builder.body(Body::from(body.to_owned())).expect("answer")
}

fn answer_with(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut response = answer(status, body);
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("name");
        response
            .headers_mut()
            .insert(name, value.parse().expect("value"));
    }
    response
}

const PAGE: &str =
    r#"{"status":"COMPLETE","results":[{"id":"1","properties":{}}],"startedAt":"x"}"#;

#[tokio::test]
async fn a_batch_read_asks_as_documented_and_keeps_the_page_as_it_came() {
    let date = ("date", "Mon, 21 Sep 2026 14:13:20 GMT");
    let stage = Stage::new([answer_with(200, &[date], PAGE)]).await;
    let records = stage.read(&["1"]).await.expect("page");
    assert_eq!(records.body, PAGE);
    assert_eq!(records.missing, Missing::Named(vec![]));
    assert_eq!(records.answered_at, Timestamp(1_790_000_000_000));
    assert_eq!(
        stage.lines(),
        ["POST /api/crm/objects/2026-09/contacts/batch/read?archived=false"]
    );
    assert_eq!(
        stage.first_body(),
        serde_json::json!({"inputs": [{"id": "1"}], "properties": ["email"]})
    );
    assert_eq!(stage.asked.lock().expect("asked")[0].token, "Bearer token");
}

#[tokio::test]
async fn a_207_names_what_is_missing_and_what_was_refused() {
    let body = r#"{"status":"COMPLETE","results":[{"id":"1"}],"numErrors":2,"errors":[
        {"status":"error","category":"OBJECT_NOT_FOUND","message":"Could not get some CONTACT objects, they may be deleted or not exist.","context":{"ids":["3","9"]}},
        {"status":"error","category":"VALIDATION_ERROR","message":"x","context":{"ids":["4"]}},
        {"status":"error","category":"OBJECT_NOT_FOUND","message":"names none"}]}"#;
    let stage = Stage::new([answer(207, body)]).await;
    let records = stage.read(&["1", "2", "3", "4"]).await.expect("page");
    assert_eq!(records.missing, Missing::Named(vec![2]));
    assert_eq!(records.refused.len(), 2);
    assert_eq!(records.refused[0].inputs, [3]);
    assert!(records.refused[1].inputs.is_empty());
}

#[tokio::test]
async fn what_is_missing_by_a_property_is_known_whatever_its_case() {
    let body = r#"{"status":"COMPLETE","results":[],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["bo@example.com"]}}]}"#;
    let stage = Stage::new([answer(207, body)]).await;
    let inputs = ["ana@example.com", "Bo@Example.com"];
    let by = PropertyName::from("email");
    let records = stage
        .client
        .read_records(&caller(), &"contacts".into(), &inputs, &[], Some(&by))
        .await
        .expect("page");
    assert_eq!(records.missing, Missing::Named(vec![1]));
    assert_eq!(stage.first_body()["idProperty"], "email");
}

#[tokio::test]
async fn only_a_404_about_objects_says_that_all_are_missing() {
    let gone =
        r#"{"status":"error","message":"x","correlationId":"1","category":"OBJECT_NOT_FOUND"}"#;
    // What a path that is no longer served gives must not read as "gone".
    let no_path = r#"{"status":"error","message":"resource not found","correlationId":"1"}"#;
    let stage = Stage::new([
        answer(404, gone),
        answer(404, no_path),
        answer(404, "<html>"),
    ])
    .await;
    let records = stage.read(&["1", "2"]).await.expect("answer");
    assert_eq!(records.missing, Missing::WholeBatch);
    for _ in 0..2 {
        let error = stage.read(&["1", "2"]).await.expect_err("no answer");
        assert!(matches!(error, Error::NotFound(_)));
    }
}

#[tokio::test]
async fn a_page_that_is_not_whole_or_too_large_is_an_error() {
    let large = format!(r#"{{"results":["{}"]}}"#, "x".repeat(5_000));
    let stage = Stage::new([
        answer(200, r#"{"status":"PENDING","results":[]}"#),
        answer(200, "{}"),
        answer(200, &large),
    ])
    .await;
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(stage.read(&["1"]).await.expect_err("no page"));
    }
    assert!(matches!(errors[0], Error::Undecodable { .. }));
    assert!(matches!(errors[1], Error::Undecodable { .. }));
    assert!(matches!(errors[2], Error::TooLarge { bytes_max: 4_096 }));
}

#[tokio::test]
async fn associations_tell_where_to_go_on_and_who_has_none() {
    let body = r#"{"status":"COMPLETE","results":[
        {"from":{"id":"1"},"to":[{"toObjectId":7,"associationTypes":[]}],"paging":{"next":{"after":"abc","link":"x"}}},
        {"from":{"id":2},"to":[]}],
        "numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND","subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND","context":{"fromObjectId":["3"]}}]}"#;
    let stage = Stage::new([answer(207, body)]).await;
    let ids: Vec<RecordId> = ["1", "2", "3", "4"].map(RecordId::from).to_vec();
    let inputs: Vec<_> = ids
        .iter()
        .map(|record| AssociationInput {
            record,
            after: (record.as_str() == "2").then_some("p2"),
        })
        .collect();
    let (from, to) = ("contacts".into(), "companies".into());
    let caller = caller();
    let read = stage.client.read_associations(&caller, &from, &to, &inputs);
    let read = read.await.expect("page");
    assert_eq!(read.more, [("1".into(), "abc".to_owned())]);
    assert_eq!(read.without, Missing::Named(vec![2, 3]));
    assert!(read.refused.is_empty());
    assert_eq!(
        stage.lines(),
        ["POST /api/crm/associations/2026-09/contacts/companies/batch/read"]
    );
    assert_eq!(
        stage.first_body()["inputs"][1],
        serde_json::json!({"id": "2", "after": "p2"})
    );
}

#[tokio::test]
async fn silence_is_not_believed_when_errors_are_left_untold() {
    let body = r#"{"status":"COMPLETE","results":[],"numErrors":2,"errors":[{"category":"OBJECT_NOT_FOUND","context":{"fromObjectId":["1"]}}]}"#;
    let stage = Stage::new([answer(207, body)]).await;
    let ids = ["1", "2"].map(RecordId::from);
    let inputs = ids.each_ref().map(|record| AssociationInput {
        record,
        after: None,
    });
    let (from, to) = ("contacts".into(), "deals".into());
    let caller = caller();
    let read = stage.client.read_associations(&caller, &from, &to, &inputs);
    let read = read.await.expect("page");
    assert_eq!(read.without, Missing::Named(vec![0]));
    assert_eq!(read.refused[0].inputs, [1]);
}

#[tokio::test]
async fn a_488_is_followed_once_and_remembered() {
    let moved = r#"{"status":"error","correctHublet":"eu1"}"#;
    let back = r#"{"status":"error","correctHublet":"na2"}"#;
    let stage = Stage::new([
        answer(488, moved),
        answer(200, PAGE),
        answer(200, PAGE),
        answer(488, back),
        answer(488, moved),
    ])
    .await;
    stage.read(&["1"]).await.expect("page");
    stage.read(&["1"]).await.expect("page");
    let error = stage.read(&["1"]).await.expect_err("lost");
    assert!(matches!(error, Error::WrongRegion(_)));
    let places: Vec<_> = stage
        .lines()
        .iter()
        .map(|line| line.split('/').nth(1).expect("place").to_owned())
        .collect();
    assert_eq!(places, ["api", "api-eu1", "api-eu1", "api-eu1", "api-na2"]);
}

#[tokio::test]
async fn a_429_is_waited_out_and_made_again() {
    let headers = [("retry-after", "2")];
    let body = r#"{"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#;
    let stage = Stage::new([answer_with(429, &headers, body), answer(200, PAGE)]).await;
    let read = stage.read(&["1"]);
    let turn = async {
        while stage.answers_left() == 2 {
            tokio::task::yield_now().await;
        }
        // Until the pause is known, there is nothing to be turned over.
        while stage
            .client
            .budgets()
            .of(&"62515".into())
            .usage()
            .0
            .resets_at
            <= stage.clock.now().plus(Duration::from_secs(1))
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(stage.answers_left(), 1);
        stage.clock.turn(Duration::from_secs(4));
    };
    let (records, ()) = tokio::join!(read, turn);
    records.expect("page");
    assert_eq!(stage.answers_left(), 0);
}

#[tokio::test]
async fn a_spent_day_goes_up_and_no_further_call_is_made() {
    let stage = Stage::new([answer(429, r#"{"policyName":"DAILY"}"#)]).await;
    for _ in 0..2 {
        let error = stage.read(&["1"]).await.expect_err("spent");
        assert!(matches!(error, Error::RateLimited { daily: true, .. }));
    }
}

#[tokio::test]
async fn a_5xx_is_tried_again_a_few_times() {
    let stage = Stage::new([answer(502, "<html>"), answer(200, PAGE)]).await;
    stage.read(&["1"]).await.expect("page");
    let stage = Stage::new((0..3).map(|_| answer(503, ""))).await;
    let error = stage.read(&["1"]).await.expect_err("unavailable");
    assert!(error.is_retryable());
    assert_eq!(stage.answers_left(), 0);
}

#[tokio::test]
async fn what_cannot_be_a_good_call_is_not_sent() {
    let stage = Stage::new([]).await;
    let many = ["1"; 101];
    for ids in [&many[..], &[]] {
        let error = stage.read(ids).await.expect_err("unsendable");
        assert!(matches!(error, Error::Unsendable(_)));
    }
    for name in ["", "..", "contacts/../deals", "a?b", "ä", "a b"] {
        let error = stage.client.properties(&caller(), &name.into()).await;
        assert!(matches!(error, Err(Error::Unsendable(_))), "{name}");
    }
    assert!(stage.lines().is_empty());
}

#[tokio::test]
async fn properties_are_read_with_their_choices() {
    let body = r#"{"results":[{"name":"lifecyclestage","label":"Lifecycle Stage","description":"d","type":"enumeration","fieldType":"radio","groupName":"g","options":[{"label":"Lead","value":"lead","displayOrder":1,"hidden":false}],"displayOrder":-1,"hasUniqueValue":false,"hidden":false,"hubspotDefined":true,"calculated":false,"dataSensitivity":"non_sensitive"},
        {"name":"ssn","label":"SSN","type":"string","dataSensitivity":"highly_sensitive"}]}"#;
    let stage = Stage::new([answer(200, body)]).await;
    let properties = stage.client.properties(&caller(), &"contacts".into()).await;
    let properties = properties.expect("properties");
    assert_eq!(properties[0].options[0].value, "lead");
    assert!(!properties[0].is_sensitive());
    assert!(properties[1].is_sensitive());
    assert_eq!(
        stage.lines(),
        ["GET /api/crm/properties/2026-09/contacts?archived=false"]
    );
}

#[tokio::test]
async fn an_account_tells_its_zone_and_region() {
    let body = r#"{"portalId":62515,"accountType":"STANDARD","timeZone":"Europe/Paris","companyCurrency":"EUR","uiDomain":"app-eu1.hubspot.com","dataHostingLocation":"eu1","additionalCurrencies":[]}"#;
    let stage = Stage::new([answer(200, body), answer(204, "")]).await;
    let details = stage
        .client
        .account_details(&caller())
        .await
        .expect("details");
    assert_eq!(details.account, "62515".into());
    assert_eq!(details.region.expect("region").as_str(), "eu1");
    stage
        .client
        .uninstall(&caller())
        .await
        .expect("uninstalled");
    assert_eq!(
        stage.lines(),
        [
            "GET /api/account-info/2026-09/details",
            "DELETE /api/appinstalls/2026-09/external-install"
        ]
    );
}

mod oauth_calls {
    use super::*;
    use crate::hubspot::oauth::{App, GrantError, Verifier};
    use crate::secrets::Secret;

    fn app() -> App {
        App {
            client_id: "id".to_owned(),
            client_secret: "secret".into(),
            app_id: Some(7),
        }
    }

    async fn exchange(stage: &Stage) -> Result<oauth::Grant, GrantError> {
        let redirect = "https://connect.example.com/cb".parse().expect("address");
        let verifier = Verifier::random();
        stage
            .client
            .exchange_code(&app(), &"code".into(), &redirect, Some(&verifier))
            .await
    }

    #[tokio::test]
    async fn a_code_becomes_a_grant_and_introspection_fills_what_is_not_told() {
        let whole = r#"{"token_type":"bearer","access_token":"a","refresh_token":"r","expires_in":1800,"hub_id":62515,"scopes":["oauth"]}"#;
        let old =
            r#"{"token_type":"bearer","access_token":"a","refresh_token":"r","expires_in":1800}"#;
        let info = r#"{"active":true,"hub_id":62516,"hub_domain":"example.com","scopes":["oauth"],"app_id":7}"#;
        let stage = Stage::new([answer(200, whole), answer(200, old), answer(200, info)]).await;
        let grant = exchange(&stage).await.expect("grant");
        assert_eq!(grant.account, "62515".into());
        assert_eq!(
            grant.expires_at.since(grant.issued_at),
            Duration::from_secs(1_800)
        );
        assert_eq!(
            exchange(&stage).await.expect("grant").account,
            "62516".into()
        );
        assert_eq!(
            stage.lines(),
            [
                "POST /api/oauth/2026-09/token",
                "POST /api/oauth/2026-09/token",
                "POST /api/oauth/2026-09/token/introspect"
            ]
        );
    }

    #[tokio::test]
    async fn an_exchange_is_never_repeated_and_a_refresh_after_an_answer_is() {
        let stage = Stage::new([answer(503, "")]).await;
        assert!(matches!(
            exchange(&stage).await,
            Err(GrantError::Unavailable(_))
        ));
        let token = r#"{"access_token":"a","expires_in":1800}"#;
        let stage = Stage::new([answer(503, ""), answer(200, token)]).await;
        let kept = Secret::from("r");
        let refreshed = stage
            .client
            .refresh(&app(), &kept)
            .await
            .expect("refreshed");
        // HubSpot sent no other one.
        assert_eq!(refreshed.refresh_token, kept);
    }

    #[tokio::test]
    async fn a_488_is_followed_even_with_a_code() {
        let moved = r#"{"status":"error","correctHublet":"eu1"}"#;
        let whole =
            r#"{"access_token":"a","refresh_token":"r","expires_in":1800,"hub_id":1,"scopes":[]}"#;
        let stage = Stage::new([answer(488, moved), answer(200, whole)]).await;
        exchange(&stage).await.expect("grant");
        assert_eq!(stage.lines()[1], "POST /api-eu1/oauth/2026-09/token");
        let stage = Stage::new([answer(488, moved), answer(488, moved)]).await;
        let error = exchange(&stage).await.expect_err("lost");
        assert!(error.is_retryable());
    }

    #[tokio::test]
    async fn a_429_is_waited_out_without_a_budget() {
        let limited = || answer_with(429, &[("retry-after", "3")], "{}");
        let stage = Stage::new([limited(), answer(200, r#"{"active":false}"#)]).await;
        let app = app();
        let token = Secret::from("t");
        let started = stage.clock.now();
        let mut info = std::pin::pin!(stage.client.introspect(&app, &token));
        loop {
            let wait = Duration::from_millis(20);
            match tokio::time::timeout(wait, info.as_mut()).await {
                Ok(info) => {
                    assert!(info.expect("answer").is_none());
                    break;
                }
                Err(_) => stage.clock.turn(Duration::from_millis(500)),
            }
        }
        assert!(stage.clock.now().since(started) >= Duration::from_secs(3));
    }

    #[tokio::test]
    async fn another_apps_token_and_a_revoked_one_are_told_apart() {
        let other = r#"{"active":true,"hub_id":1,"scopes":[],"app_id":8}"#;
        let stage = Stage::new([answer(200, other), answer(200, r#"{"active":false}"#)]).await;
        let info = stage.client.introspect(&app(), &"t".into()).await;
        assert!(matches!(info, Err(GrantError::OtherApp)));
        let info = stage.client.introspect(&app(), &"t".into()).await;
        assert!(info.expect("answer").is_none());
    }

    #[tokio::test]
    async fn giving_back_what_is_gone_is_no_error() {
        let gone = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
        let ours = r#"{"error":"invalid_client","status":"BAD_CLIENT_SECRET"}"#;
        let stage = Stage::new([answer(200, ""), answer(400, gone), answer(400, ours)]).await;
        let revoke = || async { stage.client.revoke(&app(), &"r".into()).await };
        revoke().await.expect("revoked");
        revoke().await.expect("was revoked before");
        assert!(matches!(
            revoke().await,
            Err(GrantError::Misconfigured { .. })
        ));
    }
}
