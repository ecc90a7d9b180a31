//! The journal's calls against answers written out here, one by one.

use super::{
    Error,
    journal::{Entry, Wanted},
    oauth::{App, GrantError},
    tests::{Stage, answer},
};
use crate::secrets::Secret;

fn token() -> Secret {
    "app token".into()
}

fn app() -> App {
    App {
        client_id: "client".to_owned(),
        client_secret: "secret".into(),
        app_id: None,
    }
}

#[tokio::test]
async fn the_oldest_file_comes_first_then_each_after_the_one_before() {
    let entry = r#"{"url":"https://files.example.com/1","expiresAt":"2026-09-21T14:28:20Z","currentOffset":"3f6c/1"}"#;
    let stage = Stage::new([answer(200, entry), answer(204, "")]).await;
    let first = stage.client.journal_next(&token(), None).await;
    let first = first.expect("an answer").expect("a file");
    assert_eq!(first.url, "https://files.example.com/1");
    let offset = Some(first.current_offset.as_str());
    let next = stage.client.journal_next(&token(), offset).await;
    assert_eq!(next.expect("an answer"), None);
    let journal = "/webhooks-journal/journal/2026-09";
    let expected = [
        format!("GET /api{journal}/earliest"),
        format!("GET /api{journal}/offset/3f6c%2F1/next"),
    ];
    assert_eq!(stage.lines(), expected);
    assert_eq!(
        stage.asked.lock().expect("asked")[0].token,
        "Bearer app token"
    );
}

#[tokio::test]
async fn a_file_is_fetched_without_a_token_and_from_no_odd_address() {
    let stage = Stage::new([answer(200, "{}")]).await;
    let entry = |url: &str| Entry {
        url: url.to_owned(),
        current_offset: "1".to_owned(),
    };
    for odd in ["file:///etc/passwd", "ftp://example.com/1", "files/1", ""] {
        let refused = stage.client.journal_file(&entry(odd)).await;
        assert!(matches!(refused, Err(Error::Unsendable(_))), "{odd}");
    }
    let base = stage.client.inner.config.api.of(None, "/file?seal=a%20b");
    let body = stage.client.journal_file(&entry(&base)).await;
    assert_eq!(body.expect("a file"), "{}");
    assert_eq!(stage.lines(), ["GET /api/file?seal=a%20b"]);
    assert_eq!(stage.asked.lock().expect("asked")[0].token, "");
}

#[tokio::test]
async fn a_region_that_hubspot_names_is_called_and_a_refusal_is_final() {
    let wrong = r#"{"correctHublet":"eu1"}"#;
    let refused = r#"{"status":"error","category":"MISSING_SCOPES","message":"x"}"#;
    let stage = Stage::new([answer(488, wrong), answer(403, refused)]).await;
    let listed = stage.client.journal_subscriptions(&token()).await;
    assert!(
        matches!(listed, Err(Error::MissingScopes { .. })),
        "{listed:?}"
    );
    let path = "/webhooks-journal/subscriptions/2026-09";
    let expected = [format!("GET /api{path}"), format!("GET /api-eu1{path}")];
    assert_eq!(stage.lines(), expected);
}

#[tokio::test]
async fn a_call_that_hubspot_cannot_answer_now_is_made_again() {
    let stage = Stage::new([answer(503, ""), answer(200, r#"{"id":7}"#)]).await;
    let made = stage
        .client
        .journal_subscribe(&token(), &Wanted::uninstalls())
        .await;
    assert_eq!(made.expect("made"), 7);
    let bodies = stage.asked.lock().expect("asked");
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0].body, bodies[1].body);
    assert_eq!(bodies[0].body["eventTypeId"], "4-1916193");
}

#[tokio::test]
async fn what_is_gone_already_is_ended() {
    let stage = Stage::new([answer(404, "{}"), answer(403, "{}")]).await;
    let ended = stage.client.journal_unsubscribe(&token(), 7).await;
    ended.expect("ended");
    let refused = stage.client.journal_unsubscribe(&token(), 8).await;
    assert!(matches!(refused, Err(Error::Refused(_))));
    let path = "DELETE /api/webhooks-journal/subscriptions/2026-09";
    assert_eq!(stage.lines(), [format!("{path}/7"), format!("{path}/8")]);
}

#[tokio::test]
async fn a_token_of_the_app_is_of_no_account_and_may_be_refused() {
    let issued = r#"{"token_type":"bearer","access_token":"fresh","expires_in":1800}"#;
    let refused = r#"{"status":"BAD_SCOPES","error":"invalid_scope"}"#;
    let stage = Stage::new([answer(200, issued), answer(400, refused)]).await;
    let token = stage.client.app_token(&app(), &["a", "b"]).await;
    let token = token.expect("a token");
    assert_eq!(token.token.expose(), "fresh");
    assert_eq!(token.expires_at.since(token.issued_at).as_secs(), 1_800);
    let refused = stage.client.app_token(&app(), &["a"]).await;
    assert!(matches!(refused, Err(GrantError::Misconfigured { .. })));
}
