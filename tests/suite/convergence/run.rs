//! A history, done to a simulated HubSpot and a real host, and what came of it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use harness::world::World;
use hubspot_sim::{Account, ApiKnobs, Config, Error, FaultRule, Link, ObjectType, WebhookKnobs};
use jimo_connect::{clock::Clock, model::Timestamp};
use serde_json::{Value, json};

use super::{
    history::{ADDRESSES, FIELDS, History, RECORDS, Step, Weather},
    oracle::{Texts, expected},
};

const PORTAL: u64 = 1_001;

/// Where the clocks stand at first, in milliseconds since 1970.
const START: i64 = 1_790_000_000_000;

/// How far the clocks are turned when nothing moves.
const TURN: Duration = Duration::from_millis(500);

/// How long nothing moves before the clocks are turned.
const QUIET: Duration = Duration::from_millis(4);

/// More than the longest time in which searches do not know of a change.
const INDEXED: Duration = Duration::from_secs(120);

/// More than a delivery that was not taken waits at first.
const RETRY: Duration = Duration::from_secs(60);

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
        run.settle().await;
        // Live alone does, where nothing was lost and nothing calculated.
        let needs_no_more = history.weather.loss == 0.0
            && !history
                .steps
                .iter()
                .any(|step| matches!(step, Step::Calculate { .. }));
        if needs_no_more {
            run.check().await?;
        }
        run.turn(INDEXED);
        run.catch_up().await;
        run.settle().await;
        run.check().await
    })
}

struct Run {
    world: World,
    account: Account,
    connection: String,
    /// Ids by slot.
    records: BTreeMap<(ObjectType, usize), u64>,
    /// The slots and ids of deleted records.
    deleted: Vec<((ObjectType, usize), u64)>,
    /// The id and the address of each user.
    users: BTreeMap<usize, (String, usize)>,
    texts: Texts,
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
        let world = World::start_with(hubspot, Clock::manual(Timestamp(START))).await;
        let connection = world.connect(PORTAL).await;
        let fields = |object_type: ObjectType| -> Value {
            let fields = FIELDS.iter().filter(|field| field.0 == object_type);
            fields
                .map(|(_, property, variable, _)| json!({"property": property, "variable": variable}))
                .collect()
        };
        // Before there is any record: whatever happens to a field counts.
        let mappings = json!({
            "contacts": {"fields": fields(ObjectType::Contacts)},
            "companies": {"selection": {"rule": "primary"}, "fields": fields(ObjectType::Companies)},
            "deals": {"selection": {"rule": "latest_modified"}, "fields": fields(ObjectType::Deals)},
        });
        world.map(&connection, mappings).await;
        let account = world.account(PORTAL);
        Self {
            world,
            account,
            connection,
            records: BTreeMap::new(),
            deleted: Vec::new(),
            users: BTreeMap::new(),
            texts: Texts::new(),
            same_moment: false,
        }
    }

    fn turn(&self, by: Duration) {
        self.world.clock.turn(by);
        self.world.sim.turn(by);
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Set { at_once: true, .. } if self.same_moment => {}
            _ => self.turn(Duration::from_millis(1)),
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
            Step::ExpireToken => self.account.expire_access(),
            Step::Wait { milliseconds } => self.turn(Duration::from_millis(*milliseconds)),
            Step::Deliver => {
                self.world.sim.settle().await;
            }
            Step::Apply => self.apply().await,
            Step::Settle => self.settle().await,
            Step::CatchUp => self.catch_up().await,
            Step::Restart => self.world.restart().await,
            _ => {
                // Refused where the record is not there or an address is taken:
                // then nothing happened.
                let _refused = self.in_hubspot(step);
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
                // Jimo's own spelling of it.
                let email = ADDRESSES[address].to_uppercase();
                let item = json!([{"external_id": format!("u-{user}"), "email": email}]);
                let id = self.world.put_users(item).await.remove(0);
                self.users.insert(user, (id, address));
            }
            Step::DeleteUser { user } => {
                if let Some((id, _)) = self.users.remove(&user) {
                    let deleted = self.world.delete(&format!("/users/{id}")).await;
                    assert_eq!(deleted.status, 204);
                }
            }
            _ => {}
        }
    }

    /// Does it all at once: nobody else has a turn before this returns.
    fn in_hubspot(&mut self, step: &Step) -> Result<(), Error> {
        let account = self.account.clone();
        match step {
            Step::Set {
                record,
                field,
                text,
                ..
            } => {
                let id = self.ensure(*record)?;
                let (object_type, property, ..) = FIELDS[*field];
                account.patch(object_type.name(), id, &[(property, text)])?;
                let id = account.record(object_type.name(), id)?.id;
                self.texts
                    .entry((object_type, id, property))
                    .or_default()
                    .push(text.clone());
            }
            Step::Calculate {
                record,
                field,
                text,
            } => {
                let (object_type, property, ..) = FIELDS[*field];
                if let Some(id) = self.held(*record) {
                    account.recalculate(object_type.name(), id, property, text)?;
                    let texts = self.texts.entry((object_type, id, property));
                    texts.or_default().push(text.clone());
                }
            }
            Step::Readdress {
                contact,
                own,
                additional,
            } => {
                let id = self.ensure((ObjectType::Contacts, *contact))?;
                let own = own.map_or("", |own| ADDRESSES[own]);
                // Additional ones alone are told by no event.
                if account
                    .record("contacts", id)?
                    .value("email")
                    .unwrap_or_default()
                    != own
                {
                    account.patch("contacts", id, &[("email", own)])?;
                    let additional: Vec<_> = additional.iter().map(|one| ADDRESSES[*one]).collect();
                    let additional = additional.join(";");
                    account.recalculate("contacts", id, "hs_additional_emails", &additional)?;
                }
            }
            Step::Associate {
                contact,
                to,
                primary,
            } => {
                let link = match to.0 {
                    ObjectType::Companies if *primary => Link::Primary,
                    _ => Link::Plain,
                };
                let (contact, other) = (
                    self.ensure((ObjectType::Contacts, *contact))?,
                    self.ensure(*to)?,
                );
                account.associate(("contacts", contact), (to.0.name(), other), link)?;
            }
            Step::Dissociate { contact, to } => {
                if let (Some(contact), Some(other)) =
                    (self.held((ObjectType::Contacts, *contact)), self.held(*to))
                {
                    account.dissociate(("contacts", contact), (to.0.name(), other))?;
                }
            }
            Step::Delete { record } => {
                if let Some(id) = self.held(*record) {
                    account.delete(record.0.name(), id)?;
                    self.records.remove(record);
                    self.deleted.push((*record, id));
                }
            }
            Step::Restore { of } => {
                let last = self.deleted.iter().rposition(|(record, _)| record.0 == *of);
                if let Some((record, id)) = last.map(|index| self.deleted.remove(index)) {
                    account.restore(of.name(), id)?;
                    self.records.insert(record, id);
                }
            }
            Step::Erase { contact } => {
                if let Some(id) = self.held((ObjectType::Contacts, *contact)) {
                    account.erase("contacts", id)?;
                    self.records.remove(&(ObjectType::Contacts, *contact));
                }
            }
            Step::Merge { of, primary, other } => {
                let slots = [*primary, *other].map(|slot| (*of, slot));
                if let [Some(primary), Some(other)] = slots.map(|slot| self.held(slot)) {
                    let into = account.merge(of.name(), primary, other)?;
                    self.records.remove(&slots[1]);
                    self.records.insert(slots[0], into);
                    let survivor = account.record(of.name(), into)?;
                    for (_, property, ..) in FIELDS.iter().filter(|field| field.0 == *of) {
                        let text = survivor.value(property).unwrap_or_default();
                        let texts = self.texts.entry((*of, into, property));
                        texts.or_default().push(text.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn held(&self, record: (ObjectType, usize)) -> Option<u64> {
        debug_assert!(record.1 < RECORDS);
        self.records.get(&record).copied()
    }

    fn ensure(&mut self, record: (ObjectType, usize)) -> Result<u64, Error> {
        if let Some(id) = self.held(record) {
            return Ok(id);
        }
        let id = self.account.create(record.0.name(), &[])?;
        self.records.insert(record, id);
        Ok(id)
    }

    /// Waits until what is logged is applied; what it asks for may not be read.
    async fn apply(&self) {
        self.world.sim.settle().await;
        let host = self.world.host();
        let tail = *host.log.tail().borrow();
        let mut applied = host.pipeline.applied();
        applied.wait_for(|place| *place >= tail).await.unwrap();
    }

    /// Waits until nothing is left to deliver, to apply or to read.
    async fn settle(&self) {
        loop {
            tokio::select! {
                () = self.world.settle() => {}
                () = self.let_time_pass() => {}
            }
            if self.world.sim.settled().waiting == 0 {
                return;
            }
            self.turn(RETRY);
        }
    }

    /// Turns the clocks whenever nothing moves: what waits for a moment does not
    /// make a test wait.
    async fn let_time_pass(&self) {
        let pipeline = &self.world.host().pipeline;
        let mut changed = pipeline.changed();
        loop {
            if tokio::time::timeout(QUIET, changed.changed())
                .await
                .is_err()
            {
                self.turn(TURN);
                // Who sleeps by the machine's clock looks at what is due by this one.
                pipeline.notify_changed();
                changed.mark_unchanged();
            }
        }
    }

    /// Compares every user with the oracle.
    async fn check(&self) -> Result<(), String> {
        let truth = self.account.truth().unwrap();
        let mut wrong = String::new();
        for (user, (id, address)) in &self.users {
            let profile = self.world.user(id).await;
            let held = |variable: &str| {
                let held = profile["variables"].get(variable)?;
                let record = held["source"]["record_id"]
                    .as_str()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap();
                let value = match held["value"].as_f64() {
                    Some(number) => json!(number),
                    None => held["value"].clone(),
                };
                Some((value, record))
            };
            for (variable, allowed) in expected(&truth, &self.texts, ADDRESSES[*address]) {
                let held = held(variable);
                if !allowed.contains(&held) {
                    let _ = writeln!(
                        wrong,
                        "user {user}: {variable} is {held:?}, expected {allowed:?}"
                    );
                }
            }
        }
        let set_aside = self
            .world
            .host()
            .store
            .read(|tx| tx.all_set_aside())
            .await
            .unwrap();
        for what in set_aside {
            let _ = writeln!(wrong, "set aside: {}", what.reason);
        }
        let given_up = self.world.sim.settled().given_up;
        if given_up > 0 {
            let _ = writeln!(wrong, "{given_up} events were never taken");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let _ = writeln!(wrong, "{:#?}", self.records);
        Err(wrong)
    }
}
