//! Weeks in a minute: three accounts, one of them connected to two projects, on
//! a host that is killed at random before a HubSpot and a network that fail at
//! random, with clocks that differ. Then every user is compared.

use std::{fmt::Write as _, time::Duration};

use harness::{
    program::{Program, Simulated},
    world::World,
};
use hubspot_sim::{ApiKnobs, Config, FaultRule, Route, Trouble, WebhookKnobs};
use jimo_connect::{clock::Clock, config::JournalUse, model::Timestamp, store::projects::Role};
use proptest::{
    strategy::{BoxedStrategy, Strategy, ValueTree},
    test_runner::{self, RngAlgorithm, TestRng, TestRunner},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    chance::{self, Cast},
    history::{FIELDS, Field, Step},
    people::People,
    portal::Portal,
    run::START,
    together,
    wire::Wire,
};
use crate::durability::random::Random;

/// How many days pass, where `CONVERGENCE_DAYS` does not say.
const DAYS: u64 = 14;

/// What happens in a day, about.
const EVENTS: u64 = 60;

/// The accounts.
const PORTALS: [u64; 3] = [1_001, 1_002, 1_003];

/// The account of each project, by its place, and what is mapped: all, or no
/// deals.
const PROJECTS: [(usize, &[Field]); 4] = [
    (0, &FIELDS),
    (0, FIELDS.split_at(4).0),
    (1, &FIELDS),
    (2, &FIELDS),
];

/// What there is in each account and project.
const CAST: Cast = Cast {
    records: 12,
    users: 15,
    addresses: 16,
};

/// The host's clock is off by at most so many milliseconds either way.
const SKEW_MAX: u64 = 45_000;

/// How far the clocks are turned at once at night.
const NIGHT_TURN: Duration = Duration::from_secs(600);

/// How long an answer of the API may take, and how often it is asked for.
const ANSWER: Duration = Duration::from_secs(10);
const ATTEMPTS: usize = 100;

/// More than the longest time in which searches do not know of a change.
const INDEXED: Duration = Duration::from_secs(900);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happened_for_weeks_every_user_has_what_hubspot_says() {
    let days = std::env::var("CONVERGENCE_DAYS").map_or(DAYS, |days| days.parse().unwrap());
    let mut weeks = Weeks::begin(Random::seeded_by("CONVERGENCE_SEED")).await;
    for _ in 0..days {
        weeks.day().await;
    }
    weeks.end(days).await;
}

struct Project {
    id: String,
    token: String,
    connection: String,
    /// The place of its account.
    portal: usize,
    fields: &'static [Field],
    people: People,
}

struct Weeks {
    world: World,
    random: Random,
    /// What steps are drawn with.
    runner: TestRunner,
    in_hubspot: BoxedStrategy<Step>,
    in_jimo: BoxedStrategy<Step>,
    portals: Vec<Portal>,
    projects: Vec<Project>,
    wire: Wire,
    client: Client,
    host: Option<Program>,
    /// By how many milliseconds the host's clock is ahead.
    skew: i64,
    kills: u64,
}

impl Weeks {
    /// Accounts are connected and mapped, and people are customers.
    async fn begin(mut random: Random) -> Self {
        let hubspot = Config {
            seed: random.below(u64::MAX),
            clock: hubspot_sim::Clock::manual(START),
            ..Config::default()
        };
        let clock = Clock::manual(Timestamp(START));
        let mut world = World::start_from(hubspot, clock, JournalUse::On).await;
        let portals = PORTALS.map(|portal| Portal::new(world.account(portal)));
        let mut projects = Vec::new();
        for (portal, fields) in PROJECTS {
            let id = world.make_project("Northwind").await;
            let token = world.make_token(Some(&id), Role::Admin).await;
            (world.project, world.token) = (id.clone(), token.clone());
            let connection = world.connect(PORTALS[portal]).await;
            world.map(&connection, together::mappings(fields)).await;
            projects.push(Project {
                id,
                token,
                connection,
                portal,
                fields,
                people: People::default(),
            });
        }
        world.stop().await;
        let mut seed = [0; 32];
        seed.fill_with(|| random.below(256) as u8);
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let wire = Wire::start(random.next_seed()).await;
        world
            .sim
            .set_webhook_target(&format!("{}{}", wire.url, jimo_connect::intake::PATH));
        let mut weeks = Self {
            world,
            random,
            runner: TestRunner::new_with_rng(test_runner::Config::default(), rng),
            in_hubspot: chance::in_hubspot(CAST).boxed(),
            in_jimo: chance::in_jimo(CAST).boxed(),
            portals: portals.into(),
            projects,
            wire,
            client: harness::bare::client(),
            host: None,
            skew: 0,
            kills: 0,
        };
        for step in chance::customers(CAST) {
            match &step {
                Step::PutUser { .. } => {
                    for project in 0..PROJECTS.len() {
                        weeks.jimo(project, &step).await;
                    }
                }
                _ => {
                    for portal in &mut weeks.portals {
                        let _refused = portal.happen(&step);
                    }
                }
            }
            weeks.pass(Duration::from_millis(50)).await;
        }
        weeks
    }

    /// A day with its night.
    async fn day(&mut self) {
        self.weather();
        for _ in 0..EVENTS {
            self.event().await;
            let by = Duration::from_millis(1 + self.random.below(10_000));
            self.pass(by).await;
        }
        for _ in 0..86_400 / NIGHT_TURN.as_secs() {
            self.host();
            self.pass(NIGHT_TURN).await;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }

    /// How network and API behave today.
    fn weather(&mut self) {
        let random = &mut self.random;
        self.wire.set_bad([0, 5, 30][random.below(3) as usize]);
        let sim = &self.world.sim;
        sim.clear_faults();
        let rarely = [0.0, 0.02, 0.15][random.below(3) as usize];
        for trouble in [
            Trouble::TooManyRequests,
            Trouble::Status(503),
            Trouble::Status(500),
            Trouble::CutBody,
            Trouble::Reset,
            Trouble::ResetBefore,
            Trouble::SlowMs(20),
        ] {
            sim.inject(FaultRule::by_chance(trouble, rarely));
        }
        if random.below(3) == 0 {
            // It is answered tomorrow.
            sim.inject(FaultRule::once(Route::BatchRead, Trouble::Held));
        }
        sim.set_webhooks(|knobs| {
            *knobs = WebhookKnobs {
                loss: [0.0, 0.1, 1.0][random.below(3) as usize],
                repeats: [0.0, 0.3][random.below(2) as usize],
                disorder: [0.0, 0.5][random.below(2) as usize],
                mix_accounts: random.below(2) == 0,
                batch_max: [100, 3, 1][random.below(3) as usize],
                coalesce_ms: 1,
                timeout_ms: 200,
                ..WebhookKnobs::default()
            }
        });
        sim.set_api(|knobs| {
            *knobs = ApiKnobs {
                search_lag_ms: [0, 600_000][random.below(2) as usize],
                search_disorder_ms: [0, 60_000][random.below(2) as usize],
                creation_lag_ms: [0, 2_000][random.below(2) as usize],
                missing_batch_is_404: random.below(2) == 0,
                associations_page: [500, 1][random.below(2) as usize],
                dates_as_ms: random.below(2) == 0,
                // A day for catch-ups alone, now and then.
                journal_refused: random.below(4) == 0,
                ..ApiKnobs::default()
            }
        });
    }

    /// Something happens somewhere.
    async fn event(&mut self) {
        match self.random.below(100) {
            0..70 => {
                let step = draw(&self.in_hubspot, &mut self.runner);
                let portal = self.random.below(PORTALS.len() as u64) as usize;
                let _refused = self.portals[portal].happen(&step);
            }
            70..86 => {
                let step = draw(&self.in_jimo, &mut self.runner);
                let project = self.random.below(PROJECTS.len() as u64) as usize;
                self.jimo(project, &step).await;
            }
            86..91 => self.kill(),
            91..94 => {
                let kind = ["full", "catch_up"][self.random.below(2) as usize];
                let project = self.random.below(PROJECTS.len() as u64) as usize;
                self.ask_for_sync(project, kind).await;
            }
            94..96 => {
                let portal = self.random.below(PORTALS.len() as u64) as usize;
                self.portals[portal].account.expire_access();
            }
            _ => {
                for _ in 0..self.random.below(120) {
                    self.pass(Duration::from_secs(60)).await;
                }
            }
        }
    }

    /// Time passes, for HubSpot and for the host if it runs.
    async fn pass(&mut self, by: Duration) {
        self.world.sim.turn(by);
        let moment = self.moment();
        if let Some(host) = &mut self.host {
            host.turn_to(moment);
        }
        tokio::time::sleep(Duration::from_millis(self.random.below(3))).await;
    }

    /// What the host's clock shows.
    fn moment(&self) -> i64 {
        self.world.sim.clock().now_ms() + self.skew
    }

    /// The host, which is started where it does not run.
    fn host(&mut self) -> &Program {
        if self.host.is_none() {
            self.skew = self.random.below(2 * SKEW_MAX) as i64 - SKEW_MAX as i64;
            let hubspot = Simulated::of(&self.world.sim);
            let mut settings = hubspot.settings().to_vec();
            settings.push(("JIMO_PUBLIC_URL", &self.wire.url));
            let directory = self.world.directory.path();
            let host = Program::start_at(self.moment(), directory, &settings);
            let address = host.url.strip_prefix("http://").unwrap();
            self.wire.lead_to(Some(address.parse().unwrap()));
            self.host = Some(host);
        }
        self.host.as_ref().unwrap()
    }

    fn kill(&mut self) {
        if let Some(host) = self.host.take() {
            self.wire.lead_to(None);
            host.kill();
            self.kills += 1;
        }
    }

    /// Asks a project's API until it answers.
    async fn call(&mut self, project: usize, method: Method, path: &str, body: &Value) -> Value {
        for _ in 0..ATTEMPTS {
            let Project { id, token, .. } = &self.projects[project];
            let (path, token) = (format!("/api/v1/projects/{id}{path}"), token.clone());
            let url = format!("{}{path}", self.host().url);
            let request = self.client.request(method.clone(), url).bearer_auth(token);
            let sent = request.json(body).timeout(ANSWER).send().await;
            if let Ok(answer) = sent
                && !answer.status().is_server_error()
                && let Ok(text) = answer.text().await
            {
                return serde_json::from_str(&text).unwrap_or_default();
            }
            self.pass(Duration::from_millis(100)).await;
        }
        panic!("{path} is not answered");
    }

    async fn jimo(&mut self, project: usize, step: &Step) {
        match *step {
            Step::PutUser { user, address } => {
                let body = json!({"users": [People::item(user, address)]});
                let answer = self.call(project, Method::PUT, "/users", &body).await;
                let id = answer["users"][0]["id"].as_str();
                let id = id.unwrap_or_else(|| panic!("{answer}")).to_owned();
                self.projects[project].people.came(user, address, id);
            }
            Step::DeleteUser { user } => {
                if let Some(id) = self.projects[project].people.went(user) {
                    let path = format!("/users/{id}");
                    self.call(project, Method::DELETE, &path, &json!({})).await;
                }
            }
            _ => unreachable!("{step:?} happens in HubSpot"),
        }
    }

    async fn ask_for_sync(&mut self, project: usize, kind: &str) {
        let path = format!("/connections/{}/syncs", self.projects[project].connection);
        let body = json!({ "kind": kind });
        self.call(project, Method::POST, &path, &body).await;
    }

    /// Everything works again, and one catch-up runs.
    async fn end(mut self, days: u64) {
        self.kill();
        let world = &mut self.world;
        world.sim.clear_faults();
        world
            .sim
            .set_webhooks(|knobs| *knobs = WebhookKnobs::default());
        world.sim.set_api(|knobs| *knobs = ApiKnobs::default());
        let now = Timestamp(world.sim.clock().now_ms());
        world.clock.turn(now.since(world.clock.now()));
        world.go_on().await;
        together::settle(world).await;
        together::turn(world, INDEXED);
        let mut wrong = String::new();
        for project in &self.projects {
            (world.project, world.token) = (project.id.clone(), project.token.clone());
            let path = format!("/connections/{}", project.connection);
            let held = world.get(&path).await.good();
            if held["status"] != "active" || held["problem"] != Value::Null {
                let _ = writeln!(wrong, "{held:#}");
            }
            let body = json!({"kind": "catch_up"});
            let asked = world.post(&format!("{path}/syncs"), body).await;
            assert!(matches!(asked.status, 202 | 409), "{:?}", asked.json);
        }
        together::settle(world).await;
        let mut users = 0;
        for project in &self.projects {
            (world.project, world.token) = (project.id.clone(), project.token.clone());
            let portal = &self.portals[project.portal];
            let found = project.people.wrong(world, portal, project.fields).await;
            if !found.is_empty() {
                let _ = writeln!(wrong, "project {}:\n{found}", project.id);
            }
            users += project.people.count();
        }
        wrong += &together::wrong(world).await;
        let of_runs = |condition: &str| {
            let sql = format!("SELECT count(*) FROM runs WHERE {condition}");
            world.count(&sql)
        };
        let caught_up = of_runs("kind = 'catch_up' AND status = 'completed'");
        println!(
            "{days} days, {} kills, {caught_up} catch-ups, {} full syncs, {users} users compared",
            self.kills,
            of_runs("kind = 'full' AND status = 'completed'"),
        );
        assert!(self.kills >= days && caught_up >= days as i64);
        if !wrong.is_empty() {
            let kept = self.world.directory.keep();
            panic!("{wrong}in {}", kept.display());
        }
    }
}

fn draw(of: &BoxedStrategy<Step>, runner: &mut TestRunner) -> Step {
    of.new_tree(runner).unwrap().current()
}
