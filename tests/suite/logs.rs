//! What the host's log says of requests and of work, and what it never says.

use harness::{
    components::misbehaving_as,
    program::{Program, printed},
    world::World,
};
use hubspot_sim::{FaultRule, Route, Trouble};
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use serde_json::{Value, json};

/// A project with a mapped connection, and the program itself in the place of
/// its host.
struct Logged {
    world: World,
    program: Program,
    connection: String,
    http: Client,
}

impl Logged {
    async fn start() -> Self {
        let mut world = World::start().await;
        let connection = world.connect(1_001).await;
        world
            .put_users(json!([{"email": "ana@example.com", "external_id": "customer-7"}]))
            .await;
        let fields = json!([
            {"property": "jobtitle", "variable": "job_title"},
            {"property": "city", "variable": "city"},
        ]);
        world
            .map(&connection, json!({"contacts": {"fields": fields}}))
            .await;
        world.stop().await;
        let app = world.sim.app();
        let program = Program::start(
            world.directory.path(),
            &[
                ("HUBSPOT_CLIENT_ID", &app.client_id),
                ("HUBSPOT_CLIENT_SECRET", &app.client_secret),
                ("HUBSPOT_API_URL", &world.sim.url()),
                ("JIMO_LOG", "jimo_connect=trace"),
            ],
        );
        let webhooks = format!("{}/webhooks/hubspot", program.url);
        world.sim.set_webhook_target(&webhooks);
        let http = Client::builder().no_proxy().redirect(Policy::none());
        Self {
            world,
            program,
            connection,
            http: http.build().unwrap(),
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.program.url);
        self.http.get(url).bearer_auth(&self.world.token)
    }

    /// The line of a request's answer.
    async fn answered(&self, id: &str) -> Value {
        let says = |line: &Value| {
            line["fields"]["message"] == "answered" && line["span"]["request_id"] == id
        };
        self.program.line(says).await
    }
}

async fn id_of(request: RequestBuilder) -> String {
    id(&request.send().await.unwrap())
}

fn id(answer: &Response) -> String {
    answer.headers()["x-request-id"].to_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_named_by_its_id_in_the_log_and_in_the_answer() {
    let logged = Logged::start().await;
    let project = &logged.world.project;

    let asked = logged.get(&format!("/api/v1/projects/{project}/users"));
    let asked = asked.header("X-Request-Id", "proxy-0af7.65:1_x");
    assert_eq!(id_of(asked).await, "proxy-0af7.65:1_x");
    let line = logged.answered("proxy-0af7.65:1_x").await;
    assert_eq!(line["span"]["name"], "request");
    assert_eq!(line["span"]["method"], "GET");
    assert_eq!(line["span"]["route"], "/api/v1/projects/{project}/users");
    assert_eq!(line["fields"]["status"], 200);
    assert!(line["fields"]["milliseconds"].is_u64(), "{line}");

    let made = id_of(logged.get("/health/live")).await;
    assert_eq!(made.len(), 36);
    assert_ne!(made, id_of(logged.get("/health/live")).await);
    assert_eq!(
        logged.answered(&made).await["span"]["route"],
        "/health/live"
    );

    let unknown = id_of(logged.get("/nothing/like@this.example")).await;
    let line = logged.answered(&unknown).await;
    assert_eq!(line["fields"]["status"], 404);
    assert_eq!(line["span"]["route"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_not_well_formed_is_replaced() {
    let logged = Logged::start().await;
    let long = "x".repeat(65);
    for given in [
        "",
        "two words",
        "ana@example.com",
        "\u{1b}[31m",
        "a\"b",
        &long,
    ] {
        let Ok(value) = reqwest::header::HeaderValue::from_bytes(given.as_bytes()) else {
            continue;
        };
        let asked = logged.get("/health/live").header("X-Request-Id", value);
        assert_eq!(id_of(asked).await.len(), 36, "{given}");
    }
    let twice = logged.get("/health/live");
    let twice = twice
        .header("X-Request-Id", "one")
        .header("X-Request-Id", "two");
    let answer = twice.send().await.unwrap();
    assert_eq!(answer.headers().get_all("x-request-id").iter().count(), 1);
    assert_eq!(id(&answer).len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_could_not_do_names_the_request_and_other_problems_do_not() {
    let logged = Logged::start().await;
    let unavailable = hubspot_sim::FaultRule::by_chance(hubspot_sim::Trouble::Status(503), 1.0);
    logged.world.sim.inject(unavailable);
    let properties = format!(
        "/api/v1/projects/{}/connections/{}/properties?object_type=contacts",
        logged.world.project, logged.connection
    );
    let asked = logged.get(&properties).header("X-Request-Id", "the-one");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["request_id"], "the-one");
    let says = |line: &Value| line["fields"]["message"] == "a request could not be done";
    let line = logged.program.line(says).await;
    assert_eq!(line["span"]["request_id"], "the-one");

    let answer = logged.get("/api/v1/nothing").send().await.unwrap();
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["request_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_names_its_account_and_connection() {
    let logged = Logged::start().await;
    let account = logged.world.account(1_001);
    let contact = account.create("contacts", &[("email", "ana@example.com")]);
    let of_connection = |line: &Value| line["span"]["connection"] == logged.connection;

    let says = |line: &Value| line["fields"]["message"] == "records are applied";
    let line = logged.program.line(says).await;
    assert!(of_connection(&line), "{line}");
    let reads = &line["spans"][0];
    assert_eq!(
        (&reads["name"], &reads["account"]),
        (&"reads".into(), &"1001".into())
    );

    account
        .patch("contacts", contact.unwrap(), &[("jobtitle", "Cook")])
        .unwrap();
    let says = |line: &Value| line["fields"]["message"] == "changes are applied";
    let line = logged.program.line(says).await;
    assert!(of_connection(&line), "{line}");
    assert_eq!(line["span"]["account"], "1001");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_for_tokens_and_of_the_journal_have_a_line_each_answered_or_not() {
    let logged = Logged::start().await;
    let says = |message: &'static str, call: &'static str| {
        move |line: &Value| {
            let fields = &line["fields"];
            fields["message"] == message && fields["call"] == call
        }
    };
    for call in ["token", "journal subscriptions"] {
        let line = logged.program.line(says("HubSpot answered", call)).await;
        assert_eq!(line["fields"]["status"], 200, "{line}");
    }
    let closed = FaultRule::by_chance(Trouble::ResetBefore, 1.0);
    logged.world.sim.inject(closed.on(Route::Journal));
    let unanswered = says("HubSpot did not answer", "journal");
    logged.program.line(unanswered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_never_has_a_query_a_token_an_address_or_a_value() {
    let logged = Logged::start().await;
    let project = &logged.world.project;
    let users = format!("/api/v1/projects/{project}/users?email=ana%40example.com");
    logged
        .get(&users)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    let link = "/sign-in?token=a-one-time-token-of-43-characters-0123456789";
    logged.get(link).send().await.unwrap();
    let state = "/oauth/hubspot/callback?state=a-secret-state&code=a-secret-code";
    logged.get(state).send().await.unwrap();
    let account = logged.world.account(1_001);
    let values = [
        ("email", "ana@example.com"),
        ("jobtitle", "Cook of the King"),
    ];
    account.create("contacts", &values).unwrap();
    let says = |line: &Value| line["fields"]["message"] == "records are applied";
    logged.program.line(says).await;
    let last = id_of(logged.get("/health/live")).await;
    logged.answered(&last).await;

    let log = logged.program.log();
    // The one line that has a link: it tells whoever starts the host how to come in.
    let (owners, others): (Vec<_>, Vec<_>) = log
        .lines()
        .partition(|line| line.contains("nobody has an account yet"));
    assert_eq!(owners.len(), 1, "{log}");
    let log = others.join("\n");
    let app = logged.world.sim.app();
    for secret in [
        "ana",
        "example.com",
        "customer-7",
        "Cook",
        "one-time",
        "a-secret",
        "?",
        "Bearer",
        &logged.world.token,
        &app.client_secret,
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_a_plugin_fails_on_is_told_with_the_version_that_did_and_counted() {
    let logged = Logged::start().await;
    let directory = logged.world.directory.path();
    let component = directory.join("refuses.wasm");
    std::fs::write(&component, misbehaving_as("hubspot", "refuse cities")).unwrap();
    let installed = printed(
        directory,
        &["plugin", "install", component.to_str().unwrap()],
    );
    let digest = installed.rsplit(' ').next().unwrap();
    printed(directory, &["plugin", "activate", "--force", digest]);
    let contact = [("email", "ana@example.com"), ("city", "Lyon")];
    let account = logged.world.account(1_001);
    account.create("contacts", &contact).unwrap();
    let failed = |line: &Value| line["fields"]["message"] == "a call failed";
    let line = logged.program.line(failed).await;
    assert_eq!(line["fields"]["digest"], digest, "{line}");
    let metrics = format!("{}/metrics", logged.program.url);
    let metrics = logged.http.get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let counted = r#"jimo_connect_plugin_faults_total{connector="hubspot",kind="refused"} "#;
    assert!(metrics.contains(counted), "{metrics}");
}
