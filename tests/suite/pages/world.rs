//! A running host with the demo's pages, an account of a simulated HubSpot
//! connected to it, and a browser.

use std::{sync::Arc, time::Duration};

use harness::{engine, settled::settle};
use hubspot_sim::{Account, Link, PropertySpec, Simulator};
use jimo_connect::{
    clock::Clock,
    config::{
        AddressConfig, AlertsConfig, Config, ConnectorsConfig, DataConfig, HubspotConfig,
        JournalUse, SyncConfig,
    },
    host::{self, Host},
    hubspot::oauth::{Grant, SCOPES},
    model::{
        AccountKey, FieldId, FieldMapping, MappingId, MatchingRule, ObjectMapping, ObjectType,
        ProjectId, PropertyDefinition, PropertyName, Selection, SelectionRule, Shown, Status,
        Timestamp, UserId, UserIdentifier, Value, VariableId, VariableType,
    },
    pipeline::{
        arrivals::{Arrivals, UserItem, Written},
        mapping::{self, NewMappings},
    },
    secrets::Secret,
    store::projects::Role,
    web::{pages::demo, session},
};
use reqwest::{Client, Response, StatusCode, Url, header, redirect::Policy};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const PORTAL: u64 = 48_975_575;

/// How long anything may take that should happen within a moment.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub host: Arc<Host>,
    pub sim: Simulator,
    pub account: Account,
    pub project: ProjectId,
    pub ana: UserId,
    /// Ana's contact.
    pub contact: u64,
    pub company: u64,
    pub stop: CancellationToken,
    pub running: JoinHandle<Result<(), host::Error>>,
    base: Url,
    _directory: tempfile::TempDir,
}

/// A property mapped to a variable of a type.
type Field = (&'static str, &'static str, &'static str, VariableType);

const CONTACT_FIELDS: &[Field] = &[
    (
        "lifecyclestage",
        "enumeration",
        "lifecycle_stage",
        VariableType::Text,
    ),
    ("jobtitle", "string", "job_title", VariableType::Text),
    (
        "total_revenue",
        "number",
        "total_revenue",
        VariableType::Number,
    ),
    (
        "hs_buying_role",
        "enumeration",
        "buying_roles",
        VariableType::List,
    ),
    (
        "closedate",
        "datetime",
        "customer_since",
        VariableType::Datetime,
    ),
    (
        "hs_email_optout",
        "bool",
        "opted_out",
        VariableType::Boolean,
    ),
];

const COMPANY_FIELDS: &[Field] = &[
    ("name", "string", "company", VariableType::Text),
    (
        "industry",
        "enumeration",
        "company_industry",
        VariableType::Text,
    ),
    (
        "numberofemployees",
        "number",
        "company_size",
        VariableType::Number,
    ),
    (
        "renewal_date",
        "date",
        "company_renewal",
        VariableType::Date,
    ),
];

impl World {
    pub async fn new() -> Self {
        let sim = Simulator::start(hubspot_sim::Config::default())
            .await
            .expect("simulator");
        let account = sim.account(PORTAL);
        let renewal = PropertySpec::date("renewal_date").label("Renewal date");
        account.define("companies", renewal).expect("property");
        let directory = tempfile::tempdir().expect("directory");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let base = host::listening_url(&listener).expect("address");
        let app = sim.app();
        let config = Config {
            address: AddressConfig {
                listen: listener.local_addr().expect("address"),
                public_url: None,
            },
            data: DataConfig {
                directory: directory.path().to_owned(),
                secret_key: None,
            },
            hubspot: HubspotConfig {
                client_id: Some(app.client_id),
                client_secret: Some(Secret::from(app.client_secret)),
                app_id: None,
                api_url: Some(sim.url().parse().expect("address")),
                journal: JournalUse::Off,
                authorize_url: sim.authorize_url().parse().expect("address"),
                share: jimo_connect::hubspot::budget::SHARE,
            },
            connectors: ConnectorsConfig {
                secrets: Some(harness::webhook::secrets().parse().expect("secrets")),
            },
            // Tests say themselves when to look.
            sync: SyncConfig {
                look_every_minutes: 0,
                ..SyncConfig::default()
            },
            // What tests have alerts sent to is on this machine.
            alerts: AlertsConfig {
                to_private_networks: true,
                ..AlertsConfig::default()
            },
            log: "warn".into(),
            log_format: jimo_connect::telemetry::LogFormat::Text,
        };
        let host = engine::open(config, base.clone(), Clock::system()).await;
        let host = Arc::new(host.expect("host"));
        sim.set_webhook_target(host.url("/webhooks/hubspot").as_str());
        sim.subscribe_defaults();
        for (object, fields) in [("contact", CONTACT_FIELDS), ("company", COMPANY_FIELDS)] {
            for (property, ..) in fields {
                // Some are among the defaults.
                let _ = sim.subscribe(&format!("{object}.propertyChange"), Some(property));
            }
        }
        let (project, ana) = set_up(&host, &account).await;
        let stop = CancellationToken::new();
        let running = tokio::spawn(host::run_with(
            host.clone(),
            listener,
            demo::extra(account.clone()),
            stop.clone(),
        ));
        let company = account.create(
            "companies",
            &[
                ("name", "Northwind Traders"),
                ("domain", "northwind.example"),
                ("industry", "COMPUTER_SOFTWARE"),
                ("numberofemployees", "1250"),
                ("renewal_date", "2027-01-31"),
            ],
        );
        let contact = account.create(
            "contacts",
            &[
                ("email", "ana@northwind.example"),
                ("firstname", "Ana"),
                ("lastname", "Ruiz"),
                ("lifecyclestage", "opportunity"),
                ("jobtitle", "Head of Operations"),
                ("total_revenue", "48250.5"),
                ("hs_buying_role", "DECISION_MAKER;CHAMPION"),
                ("hs_email_optout", "false"),
            ],
        );
        let (company, contact) = (company.expect("company"), contact.expect("contact"));
        account
            .associate(("contacts", contact), ("companies", company), Link::Primary)
            .expect("association");
        let world = Self {
            host,
            sim,
            account,
            project,
            ana,
            contact,
            company,
            stop,
            running,
            base,
            _directory: directory,
        };
        world.wait_for("company_industry").await;
        // What it is of itself; what comes after it may be read as well.
        settle(&world.host, &world.sim).await;
        world.wait_for("lifecycle_stage").await;
        world
    }

    /// Waits until Ana has a value for a variable.
    pub async fn wait_for(&self, variable: &'static str) {
        let mut changed = self.host.pipeline.changed();
        let ana = self.ana;
        let waiting = async {
            loop {
                changed.mark_unchanged();
                let values = self.host.store.read(move |tx| tx.profile(ana)).await;
                let values = values.expect("profile");
                if values.iter().any(|value| value.variable == variable) {
                    return;
                }
                changed.changed().await.expect("pipeline");
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{variable} has no value"));
    }

    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("address")
    }

    /// A sign-in link.
    pub async fn link(&self, project: ProjectId, role: Role, link: session::Link) -> Url {
        let now = self.host.clock.now();
        let (store, public_url) = (&self.host.store, &self.host.public_url);
        let link = session::make_sign_in_link(store, public_url, (project, role), link, now);
        link.await.expect("link")
    }

    /// A browser that followed a sign-in link.
    pub async fn sign_in(&self, role: Role) -> Browser<'_> {
        self.sign_in_to(self.project, role).await
    }

    pub async fn sign_in_to(&self, project: ProjectId, role: Role) -> Browser<'_> {
        let link = self.link(project, role, session::Link::Again).await;
        let mut browser = Browser::new(self);
        let answer = browser.get(link.as_str()).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text");
        browser.cookie = cookie.split(';').next().map(str::to_owned);
        browser
    }
}

/// Follows no redirects, and keeps one cookie.
pub struct Browser<'w> {
    world: &'w World,
    client: Client,
    pub cookie: Option<String>,
}

impl<'w> Browser<'w> {
    pub fn new(world: &'w World) -> Self {
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .build()
            .expect("client");
        Self {
            world,
            client,
            cookie: None,
        }
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, self.world.url(path));
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        let request = self.request(reqwest::Method::GET, path);
        request.send().await.expect("answer")
    }

    /// Goes to a path, as by an address typed in.
    pub async fn go(&self, path: &str) -> Response {
        let request = self.request(reqwest::Method::GET, path);
        let request = request.header(header::ACCEPT, "text/html,*/*;q=0.8");
        request.send().await.expect("answer")
    }

    /// The page at a path, which is there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("text")
    }

    /// The code that this session's forms carry.
    pub async fn csrf(&self) -> String {
        let page = self.page("/users").await;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("form");
        rest.split('"').next().expect("code").to_owned()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.request(reqwest::Method::POST, path);
        request.form(form).send().await.expect("answer")
    }

    /// Posts a form with one more header.
    pub async fn post_with(
        &self,
        path: &str,
        (name, value): (&str, &str),
        form: &[(&str, &str)],
    ) -> Response {
        let request = self.request(reqwest::Method::POST, path);
        let request = request.header(name, value).form(form);
        request.send().await.expect("answer")
    }

    /// The events of a live part of a page.
    pub async fn follow(&self, path: &str) -> Events {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        Events {
            answer,
            text: String::new(),
        }
    }
}

/// Server-sent events as they come.
pub struct Events {
    answer: Response,
    text: String,
}

impl Events {
    /// The next part's HTML; none at the stream's end.
    pub async fn next(&mut self) -> Option<String> {
        let next = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let event = event.to_owned();
                    self.text = rest.to_owned();
                    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                    if let Some(data) = data {
                        assert!(event.contains("event: part"), "{event}");
                        return Some(serde_json::from_str(data).expect("JSON"));
                    }
                } else {
                    let chunk = self.answer.chunk().await.ok().flatten()?;
                    self.text
                        .push_str(std::str::from_utf8(&chunk).expect("text"));
                }
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.expect("an event or the end")
    }

    /// The next part whose HTML has a text in it.
    pub async fn until(&mut self, text: &str) -> String {
        loop {
            let html = self.next().await.expect("a part");
            if html.contains(text) {
                return html;
            }
        }
    }
}

/// The value of a page's first hidden field of a name.
pub fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let from = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&from).expect(page);
    rest.split('"').next().unwrap()
}

/// A project with users, connected to the account.
async fn set_up(host: &Arc<Host>, account: &Account) -> (ProjectId, UserId) {
    let now = host.clock.now();
    let tokens = account.install(&SCOPES);
    let key = AccountKey::from(PORTAL.to_string());
    let grant = host.grants.seal_grant(&Grant {
        access_token: Secret::from(tokens.access_token),
        refresh_token: Secret::from(tokens.refresh_token),
        issued_at: now,
        expires_at: now.plus(Duration::from_secs(1_800)),
        account: key.clone(),
        scopes: SCOPES.iter().map(|&scope| scope.to_owned()).collect(),
    });
    let version = host.plugins.active("hubspot").expect("a version");
    let keys = host.keys.clone();
    let set_up = host.store.transact(move |tx| {
        let project = tx.create_project("Northwind", "Europe/Paris", now)?.id;
        let plan = tx.create_variable(project, "plan", Some("Plan"), VariableType::Text, now)?;
        let variable = |fields: &[Field]| {
            let made = fields
                .iter()
                .map(|(_, _, name, of)| tx.create_variable(project, name, None, *of, now));
            made.collect::<Result<Vec<_>, _>>()
        };
        let (of_contacts, of_companies) = (variable(CONTACT_FIELDS)?, variable(COMPANY_FIELDS)?);
        let arrivals = Arrivals::new(tx, &keys, project, now)?;
        let ana = arrivals.put(&UserItem {
            external_id: Some("u_20481".into()),
            email: Some("ana@northwind.example".into()),
            name: Some("Ana Ruiz".into()),
            variables: vec![(plan, Some(Value::Text("Team".into())))],
        })?;
        let Ok(Written::Created(ana)) = ana else {
            panic!("{ana:?}")
        };
        for (id, name, email) in OTHERS {
            let put = arrivals.put(&UserItem {
                external_id: Some((*id).into()),
                email: email.map(str::to_owned),
                name: name.map(str::to_owned),
                variables: Vec::new(),
            })?;
            put.expect("user");
        }
        let connection = tx.create_connection(project, "hubspot", now)?;
        let account = tx.save_account("hubspot", &key, Some("northwind.example"), None, None)?;
        tx.save_grant(account, Some(&grant))?;
        tx.set_connection_account(connection, account)?;
        tx.set_connection_status(connection, Status::Active, None)?;
        let rule = MatchingRule {
            property: definition("email", "string"),
            identifier: UserIdentifier::Email,
        };
        let primary = Selection {
            rule: SelectionRule::Primary,
            property: None,
            prefer_open: false,
        };
        let mappings = vec![
            object_mapping(
                &version,
                "contacts",
                (Some(rule), None, CONTACT_FIELDS),
                &of_contacts,
                now,
            ),
            object_mapping(
                &version,
                "companies",
                (None, Some(primary), COMPANY_FIELDS),
                &of_companies,
                now,
            ),
        ];
        let new = NewMappings {
            mappings,
            options: Vec::new(),
            options_read_at: now,
        };
        mapping::save(tx, &keys, connection, &new, true, now)?;
        Ok((project, ana.id))
    });
    set_up.await.expect("project")
}

type Other = (&'static str, Option<&'static str>, Option<&'static str>);

const OTHERS: &[Other] = &[
    ("u_20482", Some("Jonas Weber"), Some("jonas@weber.example")),
    (
        "u_20483",
        Some("Mei Tanaka"),
        Some("mei.tanaka@harbor.example"),
    ),
    ("u_20484", None, Some("ops@lumen.example")),
    (
        "u_20485",
        Some("<script>alert(1)</script>"),
        Some("x\"onload=\"y@example.com"),
    ),
    ("u_20486", None, None),
];

fn definition(name: &str, property_type: &str) -> PropertyDefinition {
    PropertyDefinition {
        name: PropertyName::from(name),
        property_type: property_type.to_owned(),
        field_type: match property_type {
            "enumeration" if name == "hs_buying_role" => "checkbox",
            "enumeration" => "radio",
            "bool" => "booleancheckbox",
            "datetime" => "date",
            other => other,
        }
        .replace("string", "text"),
    }
}

fn object_mapping(
    version: &jimo_connect::plugin::Version,
    object_type: &str,
    (matching, selection, fields): (Option<MatchingRule>, Option<Selection>, &[Field]),
    variables: &[VariableId],
    now: Timestamp,
) -> ObjectMapping {
    let object_type = ObjectType::from(object_type);
    let needs = version
        .needs(&object_type, matching.as_ref(), selection.as_ref())
        .expect("plugin")
        .expect("rule");
    ObjectMapping {
        id: MappingId(0),
        through: matching.is_none().then(|| ObjectType::from("contacts")),
        object_type,
        matching,
        selection,
        fields: fields
            .iter()
            .zip(variables)
            .map(
                |((property, property_type, _, target), variable)| FieldMapping {
                    id: FieldId(0),
                    property: definition(property, property_type),
                    variable: Some(*variable),
                    target: *target,
                    show: Shown::InternalValue,
                    saved_at: now,
                },
            )
            .collect(),
        matching_properties: needs.matching,
        selection_properties: needs.selection,
        bookkeeping_properties: needs.bookkeeping,
    }
}
