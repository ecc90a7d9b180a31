//! Tokens: how they are got, refreshed, looked at and ended.

use std::time::Duration;

use hubspot_sim::{AccountSpec, Config};
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, PORTAL, World, answer};

async fn token(world: &World, path: &str, form: &[(&str, &str)]) -> Answer {
    let app = world.sim.app();
    let mut fields = vec![
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.client_secret.as_str()),
    ];
    fields.retain(|(name, _)| form.iter().all(|(given, _)| given != name));
    fields.extend(form);
    answer(
        world
            .http
            .post(format!("{}{path}", world.sim.url()))
            .form(&fields),
    )
    .await
}

/// Follows the consent page as far as the redirect; answers with its query.
async fn consent(world: &World, extra: &str) -> url::Url {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let address = format!(
        "{}?client_id={}&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&scope=oauth%20crm.objects.contacts.read&state=s1{extra}",
        world.sim.authorize_url(),
        world.sim.app().client_id
    );
    let response = client.get(address).send().await.unwrap();
    assert_eq!(response.status(), 302);
    response.headers()["location"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn parameter(address: &url::Url, name: &str) -> Option<String> {
    address
        .query_pairs()
        .find(|(held, _)| held == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_code_is_exchanged_once_for_tokens_that_work() {
    let world = World::with(|config: &mut Config| config.app.auto_approve = Some(PORTAL)).await;
    let back = consent(&world, "").await;
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    let code = parameter(&back, "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://localhost/cb"),
    ];
    let issued = token(&world, "/oauth/2026-09/token", &form).await;
    assert_eq!(issued.status, 200);
    assert_eq!(issued.body["expires_in"], 1800);
    assert_eq!(issued.body["hub_id"], PORTAL);
    let access = issued.body["access_token"].as_str().unwrap();
    let details = answer(
        world
            .http
            .get(format!("{}/account-info/2026-09/details", world.sim.url()))
            .bearer_auth(access),
    )
    .await;
    assert_eq!(details.body["portalId"], PORTAL);
    let again = token(&world, "/oauth/2026-09/token", &form).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.body["status"], "BAD_AUTH_CODE");
}

#[tokio::test]
async fn the_consent_page_lists_accounts_and_can_be_refused() {
    let world = World::new().await;
    let _ = world
        .sim
        .add_account(AccountSpec::new(62_515).domain("acme.example"));
    let page = world
        .http
        .get(format!(
            "{}?client_id={}&redirect_uri=http://localhost/cb&scope=oauth",
            world.sim.authorize_url(),
            world.sim.app().client_id
        ))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("acme.example (62515)"));
    let refused = consent(&world, "&deny=true").await;
    assert_eq!(
        parameter(&refused, "error").as_deref(),
        Some("access_denied")
    );
    let chosen = consent(&world, "&approve=true&portal=62515").await;
    assert!(parameter(&chosen, "code").is_some());
}

#[tokio::test]
async fn an_optional_scope_is_granted_where_the_app_lists_it_and_refused_where_it_does_not() {
    let world = World::with(|config: &mut Config| config.app.auto_approve = Some(PORTAL)).await;
    let listed = "&optional_scope=crm.objects.owners.read";
    assert!(parameter(&consent(&world, listed).await, "code").is_some());
    world.sim.set_app(|app| app.optional_scopes.clear());
    let address = format!(
        "{}?client_id={}&redirect_uri=http://localhost/cb&scope=oauth{listed}",
        world.sim.authorize_url(),
        world.sim.app().client_id
    );
    let refused = world.http.get(address).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("don't match"));
}

#[tokio::test]
async fn pkce_is_checked() {
    let world = World::with(|config: &mut Config| config.app.auto_approve = Some(PORTAL)).await;
    // RFC 7636, appendix B.
    let challenge =
        "&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let code = parameter(&consent(&world, challenge).await, "code").unwrap();
    let exchange = async |verifier: &str| {
        token(
            &world,
            "/oauth/2026-09/token",
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", "http://localhost/cb"),
                ("code_verifier", verifier),
            ],
        )
        .await
    };
    assert_eq!(exchange("wrong").await.body["status"], "BAD_CODE_VERIFIER");
    let good = exchange("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").await;
    assert_eq!(good.status, 200);
}

#[tokio::test]
async fn errors_are_of_three_kinds_and_two_spellings() {
    let world = World::new().await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "gone")];
    let dated = token(&world, "/oauth/2026-09/token", &refresh).await;
    assert_eq!(dated.status, 400);
    assert_eq!(dated.body["error"], "invalid_grant");
    assert_eq!(dated.body["status"], "BAD_REFRESH_TOKEN");
    let legacy = token(&world, "/oauth/v1/token", &refresh).await;
    assert!(legacy.body.get("error").is_none());
    assert_eq!(legacy.body["status"], "BAD_REFRESH_TOKEN");
    let secret = token(
        &world,
        "/oauth/2026-09/token",
        &[
            ("client_secret", "no"),
            ("grant_type", "refresh_token"),
            ("refresh_token", &world.tokens.refresh_token),
        ],
    )
    .await;
    assert_eq!(secret.body["error"], "invalid_client");
    assert_eq!(secret.body["status"], "BAD_CLIENT_SECRET");
}

#[tokio::test]
async fn a_revoked_refresh_token_leaves_access_tokens_and_an_uninstall_does_not() {
    let world = World::new().await;
    let path = "/crm/v3/objects/contacts";
    let held = world.tokens.refresh_token.clone();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &held)];
    let renewed = token(&world, "/oauth/2026-09/token", &refresh).await;
    assert_eq!(renewed.body["refresh_token"], held);
    let revoked = token(&world, "/oauth/2026-09/token/revoke", &[("token", &held)]).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(
        token(&world, "/oauth/2026-09/token", &refresh).await.body["status"],
        "BAD_REFRESH_TOKEN"
    );
    let look = [("token", held.as_str())];
    let looked = token(&world, "/oauth/2026-09/token/introspect", &look).await;
    assert_eq!(looked.body["active"], false);
    assert_eq!(world.get(path).await.status, 200);
    let left = answer(world.request(Method::DELETE, "/appinstalls/2026-09/external-install")).await;
    assert_eq!(left.status, 204);
    assert_eq!(world.get(path).await.status, 401);
    assert!(!world.account.is_installed());
}

#[tokio::test]
async fn rotation_ends_the_refresh_token_before() {
    let world = World::with(|config: &mut Config| config.app.rotate_refresh_tokens = true).await;
    let held = world.tokens.refresh_token.clone();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &held)];
    let renewed = token(&world, "/oauth/2026-09/token", &refresh).await;
    assert_ne!(renewed.body["refresh_token"], held);
    assert_eq!(
        token(&world, "/oauth/2026-09/token", &refresh).await.status,
        400
    );
}

#[tokio::test]
async fn an_access_token_ends_after_half_an_hour_and_scopes_are_needed() {
    let world = World::new().await;
    let path = "/crm/v3/objects/contacts";
    world.account.drop_scope("crm.objects.contacts.read");
    let missing = world.get(path).await;
    assert_eq!(missing.status, 403);
    assert_eq!(missing.body["category"], "MISSING_SCOPES");
    assert_eq!(
        missing.body["errors"][0]["context"]["requiredGranularScopes"],
        json!(["crm.objects.contacts.read"])
    );
    world.sim.turn(Duration::from_secs(1_800));
    let expired = world.get(path).await;
    assert_eq!(expired.status, 401);
    assert_eq!(expired.body["category"], "EXPIRED_AUTHENTICATION");
    assert!(expired.body["correlationId"].is_string());
}

#[tokio::test]
async fn a_call_to_another_region_is_told_the_right_one() {
    let world = World::new().await;
    let account = world
        .sim
        .add_account(AccountSpec::new(PORTAL + 1).hosting("eu1"));
    let tokens = account.install(&["oauth"]);
    let address = format!("{}/account-info/2026-09/details", world.sim.url());
    let details = || answer(world.http.get(&address).bearer_auth(&tokens.access_token));
    account.misroute(true).unwrap();
    let refused = details().await;
    assert_eq!(refused.status, 488);
    assert_eq!(refused.headers["x-hubspot-correct-hublet"], "eu1");
    assert_eq!(refused.body["correctHublet"], "eu1");
    assert_eq!(refused.body["status"], "error");
    assert!(refused.body["correlationId"].is_string());
    account.misroute(false).unwrap();
    assert_eq!(details().await.status, 200);
}
