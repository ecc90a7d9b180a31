//! The HubSpot client against the simulator: consent and tokens, reads, limits.

use std::time::Duration;

use harness::engine;
use hubspot_sim::{
    Account, AccountSpec, Config, FaultRule, Limits, Link, Route, Simulator, Trouble,
};
use jimo_connect::{
    clock::Clock,
    hubspot::{
        self, Caller, Client, Error, Priority,
        oauth::{App, Consent, GrantError, SCOPES, Verifier, authorize_url},
        objects::{AssociationInput, Associations, Missing, Records},
    },
    model::{ObjectType, PropertyName, RecordId, Timestamp},
    secrets::Secret,
    telemetry::HubspotMetrics,
};
use reqwest::Url;

const PORTAL: u64 = 48_975_575;
const REDIRECT: &str = "http://localhost/oauth/hubspot/callback";

/// A simulated account that has our app installed, and a client for it.
struct World {
    sim: Simulator,
    account: Account,
    client: Client,
    clock: Clock,
    refresh_token: Secret,
    caller: Caller,
}

impl World {
    async fn new() -> Self {
        Self::with(Config::default(), Clock::system()).await
    }

    async fn with(config: Config, clock: Clock) -> Self {
        Self::of(AccountSpec::new(PORTAL), config, clock).await
    }

    async fn of(account: AccountSpec, config: Config, clock: Clock) -> Self {
        let sim = Simulator::start(config).await.expect("simulator");
        let account = sim.add_account(account);
        let tokens = account.install(&SCOPES);
        let config = hubspot::Config {
            api: sim.url().parse().expect("address"),
            ..hubspot::Config::default()
        };
        let client = Client::new(config, clock.clone(), HubspotMetrics::default()).expect("client");
        let caller = Caller {
            account: PORTAL.to_string().into(),
            token: tokens.access_token.into(),
            region: None,
            priority: Priority::Live,
        };
        Self {
            sim,
            account,
            client,
            clock,
            refresh_token: tokens.refresh_token.into(),
            caller,
        }
    }

    fn app(&self) -> App {
        let app = self.sim.app();
        App {
            client_id: app.client_id,
            client_secret: app.client_secret.into(),
            app_id: Some(app.id),
        }
    }

    /// Goes through the consent as an admin's browser would.
    async fn consent(&self, verifier: &Verifier) -> Secret {
        self.sim.set_app(|app| app.auto_approve = Some(PORTAL));
        let state = Secret::from("the state");
        let consent = Consent {
            state: &state,
            redirect_uri: &REDIRECT.parse().expect("address"),
            scopes: &SCOPES,
            optional_scopes: &[],
            account: None,
            verifier,
        };
        let base: Url = self.sim.authorize_url().parse().expect("address");
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let page = browser
            .build()
            .expect("browser")
            .get(authorize_url(&base, &self.app(), &consent))
            .send();
        let page = page.await.expect("page");
        let back = page.headers()["location"].to_str().expect("text");
        let back: Url = back.parse().expect("address");
        let value = |wanted: &str| {
            let mut pairs = back.query_pairs();
            let pair = pairs.find(|(name, _)| name == wanted);
            pair.expect("it comes back").1.into_owned()
        };
        assert_eq!(value("state"), "the state");
        value("code").into()
    }

    async fn exchange(
        &self,
        code: &Secret,
        verifier: &Verifier,
    ) -> Result<hubspot::oauth::Grant, GrantError> {
        let redirect = REDIRECT.parse().expect("address");
        self.client
            .exchange_code(&self.app(), code, &redirect, Some(verifier))
            .await
    }

    async fn read(&self, ids: &[&str]) -> Result<Records, Error> {
        let properties = ["email", "firstname"].map(PropertyName::from);
        self.client
            .read_records(&self.caller, &"contacts".into(), ids, &properties, None)
            .await
    }

    async fn associations(&self, inputs: &[AssociationInput<'_>]) -> Result<Associations, Error> {
        let (from, to) = ("contacts".into(), "companies".into());
        self.client
            .read_associations(&self.caller, &from, &to, inputs)
            .await
    }

    fn contact(&self, email: &str) -> String {
        let created = self.account.create("contacts", &[("email", email)]);
        created.expect("contact").to_string()
    }
}

fn input<'a>(record: &'a RecordId, after: Option<&'a str>) -> AssociationInput<'a> {
    AssociationInput { record, after }
}

fn results(body: &[u8]) -> Vec<serde_json::Value> {
    let page: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    page["results"].as_array().expect("results").clone()
}

#[tokio::test]
async fn a_consent_becomes_a_grant_that_reads_the_account() {
    let world = World::new().await;
    let verifier = Verifier::random();
    let code = world.consent(&verifier).await;
    let grant = world.exchange(&code, &verifier).await.expect("grant");
    assert_eq!(grant.account, PORTAL.to_string().into());
    assert_eq!(
        grant.expires_at.since(grant.issued_at),
        Duration::from_secs(1_800)
    );
    assert!(
        SCOPES
            .iter()
            .all(|scope| grant.scopes.iter().any(|held| held == scope))
    );
    let caller = Caller {
        token: grant.access_token.clone(),
        ..world.caller.clone()
    };
    let details = world
        .client
        .account_details(&caller)
        .await
        .expect("details");
    assert_eq!(details.account, grant.account);
    let contacts = ObjectType::from("contacts");
    let properties = world
        .client
        .properties(&caller, &contacts)
        .await
        .expect("properties");
    assert!(
        properties
            .iter()
            .any(|property| property.name.as_str() == "email" && property.unique)
    );
    let info = world
        .client
        .introspect(&world.app(), &grant.access_token)
        .await;
    assert_eq!(
        info.expect("answer").expect("active").account,
        grant.account
    );
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_asked() {
    let world = World::new().await;
    let verifier = Verifier::random();
    let code = world.consent(&verifier).await;
    let stolen = world.exchange(&code, &Verifier::random()).await;
    assert!(matches!(stolen, Err(GrantError::BadCode)));
    let code = world.consent(&verifier).await;
    world.exchange(&code, &verifier).await.expect("grant");
    let again = world.exchange(&code, &verifier).await;
    assert!(matches!(again, Err(GrantError::BadCode)));
}

#[tokio::test]
async fn a_refresh_gives_a_token_that_works_and_keeps_the_newest_refresh_token() {
    let world = World::new().await;
    world.sim.set_app(|app| app.rotate_refresh_tokens = true);
    let id = world.contact("ana@example.com");
    world.account.expire_access();
    assert!(matches!(world.read(&[&id]).await, Err(Error::Unauthorized)));
    let app = world.app();
    let first = world
        .client
        .refresh(&app, &world.refresh_token)
        .await
        .expect("refreshed");
    assert_ne!(first.refresh_token, world.refresh_token);
    let second = world
        .client
        .refresh(&app, &first.refresh_token)
        .await
        .expect("again");
    let caller = Caller {
        token: second.access_token,
        ..world.caller.clone()
    };
    let contacts = ObjectType::from("contacts");
    let read = world
        .client
        .read_records(&caller, &contacts, &[&id], &[], None)
        .await
        .expect("page");
    assert_eq!(results(&read.body).len(), 1);
}

#[tokio::test]
async fn the_customers_revocation_is_told_from_our_misconfiguration() {
    let world = World::new().await;
    let wrong = App {
        client_secret: "another".into(),
        ..world.app()
    };
    let unknown = App {
        client_id: "another".to_owned(),
        ..world.app()
    };
    for app in [&wrong, &unknown] {
        let error = world.client.refresh(app, &world.refresh_token).await;
        assert!(matches!(error, Err(GrantError::Misconfigured { .. })));
    }
    world.account.revoke_grant();
    let error = world.client.refresh(&wrong, &world.refresh_token).await;
    assert!(matches!(error, Err(GrantError::Misconfigured { .. })));
    let error = world
        .client
        .refresh(&world.app(), &world.refresh_token)
        .await;
    assert!(matches!(error, Err(GrantError::Revoked)));
}

#[tokio::test]
async fn giving_the_grant_back_ends_it_and_may_be_repeated() {
    let world = World::new().await;
    let app = world.app();
    for _ in 0..2 {
        world
            .client
            .revoke(&app, &world.refresh_token)
            .await
            .expect("revoked");
    }
    let error = world.client.refresh(&app, &world.refresh_token).await;
    assert!(matches!(error, Err(GrantError::Revoked)));
}

#[tokio::test]
async fn uninstalling_ends_the_installation() {
    let world = World::new().await;
    world
        .client
        .uninstall(&world.caller)
        .await
        .expect("uninstalled");
    assert!(!world.account.is_installed());
}

#[tokio::test]
async fn a_partial_answer_is_read_in_full() {
    let world = World::new().await;
    let (ana, bo) = (
        world.contact("ana@example.com"),
        world.contact("bo@example.com"),
    );
    let ids = [ana.as_str(), "404404", &bo, "505505"];
    let read = world.read(&ids).await.expect("page");
    assert_eq!(results(&read.body).len(), 2);
    assert_eq!(read.missing, Missing::Named(vec![1, 3]));
}

#[tokio::test]
async fn records_are_found_by_a_unique_property() {
    let world = World::new().await;
    world.contact("ana@example.com");
    let by = PropertyName::from("email");
    let inputs = ["Ana@Example.com", "nobody@example.com"];
    let contacts = ObjectType::from("contacts");
    let read = world
        .client
        .read_records(&world.caller, &contacts, &inputs, &[], Some(&by));
    let read = read.await.expect("page");
    assert_eq!(results(&read.body).len(), 1);
    assert_eq!(read.missing, Missing::Named(vec![1]));
}

#[tokio::test]
async fn a_batch_without_any_record_is_one_answer() {
    let world = World::new().await;
    world.sim.set_api(|api| api.missing_batch_is_404 = true);
    let read = world.read(&["404404", "505505"]).await.expect("answer");
    assert_eq!(read.missing, Missing::WholeBatch);
    assert!(results(&read.body).is_empty());
    let ana = world.contact("ana@example.com");
    let read = world.read(&["404404", &ana]).await.expect("page");
    assert_eq!(read.missing, Missing::Named(vec![0]));
}

#[tokio::test]
async fn associations_are_read_to_their_end() {
    let world = World::new().await;
    world.sim.set_api(|api| api.associations_page = 2);
    let (ana, bo) = (
        world.contact("ana@example.com"),
        world.contact("bo@example.com"),
    );
    let id: u64 = ana.parse().expect("number");
    let mut expected = Vec::new();
    for index in 0..5 {
        let name = format!("company {index}");
        let company = world.account.create("companies", &[("name", &name)]);
        let company = company.expect("company");
        let link = world
            .account
            .associate(("contacts", id), ("companies", company), Link::Plain);
        link.expect("linked");
        expected.push(company);
    }
    let (ana, bo) = (RecordId::from(ana), RecordId::from(bo));
    let mut read = world
        .associations(&[input(&ana, None), input(&bo, None)])
        .await
        .expect("page");
    assert_eq!(read.without, Missing::Named(vec![1]));
    let mut found = Vec::new();
    loop {
        for result in results(&read.body) {
            for to in result["to"].as_array().expect("list") {
                let id = &to["toObjectId"];
                let number = id.as_u64().or_else(|| id.as_str()?.parse().ok());
                found.push(number.expect("id"));
            }
        }
        let Some((record, after)) = read.more.first().cloned() else {
            break;
        };
        assert_eq!(record, ana);
        read = world
            .associations(&[input(&record, Some(&after))])
            .await
            .expect("page");
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_lost_scope_is_named() {
    let world = World::new().await;
    let id = world.contact("ana@example.com");
    world.account.drop_scope("crm.objects.contacts.read");
    let error = world.read(&[&id]).await.expect_err("refused");
    assert!(
        matches!(&error, Error::MissingScopes { scopes } if scopes.iter().any(|scope| scope == "crm.objects.contacts.read")),
        "{error}"
    );
}

/// One address serves all regions here, so going to the right one changes nothing.
#[tokio::test]
async fn an_account_in_another_region_is_sought_there_once() {
    let account = AccountSpec::new(PORTAL).hosting("eu1");
    let world = World::of(account, Config::default(), Clock::system()).await;
    let id = world.contact("ana@example.com");
    world.account.misroute(true).expect("misrouted");
    // The region is new to the first read, which tries it; the second knows it.
    for calls in [2, 1] {
        world.sim.clear_calls();
        let error = world.read(&[&id]).await.expect_err("lost");
        assert!(
            matches!(&error, Error::WrongRegion(region) if region.as_str() == "eu1"),
            "{error}"
        );
        let statuses: Vec<_> = world.sim.calls().iter().map(|call| call.status).collect();
        assert_eq!(statuses, vec![488; calls]);
    }
    world.account.misroute(false).expect("routed");
    assert_eq!(
        results(&world.read(&[&id]).await.expect("page").body).len(),
        1
    );
}

#[tokio::test]
async fn passing_troubles_are_tried_again() {
    let world = World::new().await;
    let id = world.contact("ana@example.com");
    for trouble in [
        Trouble::Status(502),
        Trouble::Status(521),
        Trouble::CutBody,
        Trouble::Reset,
        Trouble::ResetBefore,
    ] {
        world
            .sim
            .inject(FaultRule::once(Route::BatchRead, trouble.clone()));
        let read = world.read(&[&id]).await;
        assert!(read.is_ok(), "{trouble:?}: {read:?}");
    }
    world
        .sim
        .inject(FaultRule::by_chance(Trouble::Status(503), 1.0).on(Route::BatchRead));
    let error = world.read(&[&id]).await.expect_err("unavailable");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_429_is_waited_out_as_told() {
    let limits = Limits {
        retry_after_seconds: Some(4),
        ..Limits::marketplace()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let start = Timestamp(1_790_000_000_000);
    let world = World::with(config, Clock::manual(start)).await;
    let id = world.contact("ana@example.com");
    world
        .sim
        .inject(FaultRule::once(Route::BatchRead, Trouble::TooManyRequests));
    let ids = [id.as_str()];
    let mut read = std::pin::pin!(world.read(&ids));
    loop {
        let wait = Duration::from_millis(20);
        match tokio::time::timeout(wait, read.as_mut()).await {
            Ok(read) => {
                read.expect("page");
                break;
            }
            Err(_) => world.clock.turn(Duration::from_millis(500)),
        }
    }
    let waited = world.clock.now().since(start);
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    let statuses: Vec<_> = world.sim.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [429, 200]);
}

#[tokio::test]
async fn the_days_limit_goes_up_at_once() {
    let world = World::new().await;
    let id = world.contact("ana@example.com");
    world
        .sim
        .inject(FaultRule::once(Route::BatchRead, Trouble::DailyLimit));
    for _ in 0..2 {
        let error = world.read(&[&id]).await.expect_err("spent");
        assert!(matches!(error, Error::RateLimited { daily: true, .. }));
    }
    assert_eq!(world.sim.calls().len(), 1);
}

/// Sixty calls wished for at once, where twenty are allowed in ten seconds:
/// none is refused, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_keeps_within_the_accounts_limit() {
    let start = 1_790_000_000_000;
    let config = Config {
        clock: hubspot_sim::Clock::manual(start),
        limits: Limits {
            per_ten_seconds: Some(20),
            ..Limits::marketplace()
        },
        ..Config::default()
    };
    let world = World::with(config, Clock::manual(Timestamp(start))).await;
    let id = world.contact("ana@example.com");
    // The first answer tells the limit.
    world.read(&[&id]).await.expect("page");
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (client, caller, id) = (world.client.clone(), world.caller.clone(), id.clone());
        reads.spawn(async move {
            let contacts = ObjectType::from("contacts");
            let ids = [id.as_str()];
            let read = client.read_records(&caller, &contacts, &ids, &[], None);
            read.await.map(drop)
        });
    }
    let mut done = 0;
    while done < 60 {
        let next = tokio::time::timeout(Duration::from_millis(20), reads.join_next()).await;
        match next {
            Ok(read) => {
                read.expect("one is left").expect("runs").expect("page");
                done += 1;
            }
            Err(_) => {
                // The simulator's clock first: ours must not be ahead of it.
                world.sim.turn(Duration::from_secs(1));
                world.clock.turn(Duration::from_secs(1));
            }
        }
    }
    let calls = world.sim.calls();
    assert_eq!(calls.len(), 61);
    assert!(calls.iter().all(|call| call.status == 200));
}

#[tokio::test]
async fn the_share_that_is_set_is_the_share_of_each_limit_that_is_used() {
    let sim = Simulator::start(Config::default())
        .await
        .expect("simulator");
    for (share, allowed) in [(0.05, 5), (0.5, 50), (1.0, 100)] {
        let directory = tempfile::tempdir().expect("directory");
        let mut config = harness::host::config(&sim, directory.path());
        config.hubspot.share = share;
        let url = sim.url().parse().expect("address");
        let host = engine::open(config, url, Clock::system()).await;
        let budgets = host.expect("host").hubspot.budgets().clone();
        let (usage, _) = budgets.of(&PORTAL.to_string().into()).usage();
        assert_eq!(usage.allowed, allowed, "{share}");
    }
}
