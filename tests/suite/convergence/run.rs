//! A history, done to a simulated HubSpot and a real host, and what came of it.

use std::{fmt::Write as _, time::Duration};

use harness::world::World;
use hubspot_sim::{ApiKnobs, Config, FaultRule, WebhookKnobs};
use jimo_connect::{clock::Clock, config::JournalUse, model::Timestamp};
use serde_json::json;

use super::{
    history::{FIELDS, History, Step, Weather},
    people::People,
    portal::Portal,
    together,
};

const PORTAL: u64 = 1_001;

/// Where the clocks stand at first, in milliseconds since 1970.
pub const START: i64 = 1_790_000_000_000;

/// More than the longest time in which searches do not know of a change.
const INDEXED: Duration = Duration::from_secs(120);

/// Runs a history; an error says which users have what they should not.
pub fn to_the_end(history: &History) -> Result<(), String> {
    // One thread: what a step does at once, nobody sees the half of.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut run = Run::start(&history.weather).await;
        for step in &history.steps {
            run.step(step).await;
        }
        together::settle(&run.world).await;
        // Live alone does, where nothing was lost by both ways and nothing calculated.
        let needs_no_more = (history.weather.loss == 0.0 || history.weather.journal)
            && !history
                .steps
                .iter()
                .any(|step| matches!(step, Step::Calculate { .. }));
        if needs_no_more {
            run.check().await?;
        }
        together::turn(&run.world, INDEXED);
        run.catch_up().await;
        together::settle(&run.world).await;
        run.check().await
    })
}

struct Run {
    world: World,
    portal: Portal,
    connection: String,
    people: People,
    /// Whether nothing but HubSpot had a turn since its last change.
    same_moment: bool,
}

impl Run {
    async fn start(weather: &Weather) -> Self {
        let hubspot = Config {
            seed: weather.seed,
            clock: hubspot_sim::Clock::manual(START),
            webhooks: WebhookKnobs {
                loss: weather.loss,
                repeats: weather.repeats,
                disorder: weather.disorder,
                hold: weather.hold,
                coalesce_ms: 0,
                batch_max: weather.batch_max,
                ..WebhookKnobs::default()
            },
            api: ApiKnobs {
                creation_lag_ms: weather.creation_lag_ms,
                search_lag_ms: weather.search_lag_ms,
                associations_page: weather.associations_page,
                missing_batch_is_404: weather.missing_batch_is_404,
                ..ApiKnobs::default()
            },
            ..Config::default()
        };
        let journal = match weather.journal {
            true => JournalUse::On,
            false => JournalUse::Off,
        };
        let clock = Clock::manual(Timestamp(START));
        let world = World::start_from(hubspot, clock, journal).await;
        let connection = world.connect(PORTAL).await;
        // Before there is any record: whatever happens to a field counts.
        world.map(&connection, together::mappings(&FIELDS)).await;
        if weather.journal {
            together::told_by_the_journal(&world, &connection).await;
        }
        let portal = Portal::new(world.account(PORTAL));
        Self {
            world,
            portal,
            connection,
            people: People::default(),
            same_moment: false,
        }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Set { at_once: true, .. } if self.same_moment => {}
            _ => together::turn(&self.world, Duration::from_millis(1)),
        }
        match step {
            Step::PutUser { .. } | Step::DeleteUser { .. } => self.in_jimo(step).await,
            Step::Fail {
                route,
                trouble,
                times,
            } => {
                self.world
                    .sim
                    .inject(FaultRule::once(*route, trouble.clone()).times(*times));
            }
            Step::ExpireToken => self.portal.account.expire_access(),
            Step::Wait { milliseconds } => {
                together::turn(&self.world, Duration::from_millis(*milliseconds))
            }
            Step::Deliver => {
                self.world.sim.settle().await;
            }
            Step::Apply => self.apply().await,
            Step::Settle => together::settle(&self.world).await,
            Step::CatchUp => self.catch_up().await,
            Step::Restart => self.world.restart().await,
            _ => {
                let _refused = self.portal.happen(step);
                self.same_moment = true;
                return;
            }
        }
        self.same_moment = false;
    }

    async fn catch_up(&self) {
        let path = format!("/connections/{}/syncs", self.connection);
        let asked = self.world.post(&path, json!({"kind": "catch_up"})).await;
        assert!(matches!(asked.status, 202 | 409), "{:?}", asked.json);
    }

    async fn in_jimo(&mut self, step: &Step) {
        match *step {
            Step::PutUser { user, address } => {
                let items = json!([People::item(user, address)]);
                let id = self.world.put_users(items).await.remove(0);
                self.people.came(user, address, id);
            }
            Step::DeleteUser { user } => {
                if let Some(id) = self.people.went(user) {
                    let deleted = self.world.delete(&format!("/users/{id}")).await;
                    assert_eq!(deleted.status, 204);
                }
            }
            _ => {}
        }
    }

    /// Waits until what is logged is applied; what it asks for may not be read.
    async fn apply(&self) {
        self.world.sim.settle().await;
        let host = self.world.host();
        let tail = *host.log.tail().borrow();
        let mut applied = host.pipeline.applied();
        applied.wait_for(|place| *place >= tail).await.unwrap();
    }

    /// Compares every user with the oracle.
    async fn check(&self) -> Result<(), String> {
        let mut wrong = self.people.wrong(&self.world, &self.portal, &FIELDS).await;
        wrong += &together::wrong(&self.world).await;
        let given_up = self.world.sim.settled().given_up;
        if given_up > 0 {
            let _ = writeln!(wrong, "{given_up} events were never taken");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let _ = writeln!(wrong, "{:#?}", self.portal.records);
        Err(wrong)
    }
}
