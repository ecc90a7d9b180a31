//! Deliveries of real changes, out of order and repeated, and the values that
//! users must have once some of them were taken in.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use harness::{
    bare::{APP_ID, config},
    engine,
    seed::{World, fill, seeded_at, seeded_text},
};
use jimo_connect::{
    clock::Clock,
    host::Host,
    log::{EventLog, Position},
    model::{ProjectId, UserId, Value},
    store::users::{Source, UserFilter},
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::random::Random;

/// Mapped properties of each contact.
const FIELDS: u64 = 10;

/// Of four deliveries of several accounts three are of the first: the others' are
/// worked on before what waits of it.
const FLOODED: u64 = 3;

/// Milliseconds that all changes happen within: few for the number of changes
/// that there are, so that later ones are often sent first.
const SPAN: u64 = 3_600_000;

/// One delivery in so many is an earlier one again.
const REPEATED: u64 = 20;

/// What users hold: by contact and property.
pub type Values = BTreeMap<(u64, String), String>;

/// Users of so many accounts whose contacts change.
pub fn world(users: u64, accounts: u64) -> World {
    World {
        connections: accounts,
        ..World::of(users, FIELDS)
    }
}

/// Fills a data directory with users of one account whose contacts change. Returns
/// their project.
pub async fn seed(directory: &Path, users: u64) -> ProjectId {
    fill(directory, world(users, 1)).await[0]
}

/// Makes deliveries without end.
pub struct Changes {
    random: Random,
    world: World,
    events: u64,
    first: i64,
    made: Vec<String>,
}

impl Changes {
    /// Changes of so many seeded users of one account, so many a delivery.
    pub fn new(random: Random, users: u64, events: u64) -> Self {
        Self::of(random, world(users, 1), events)
    }

    /// Changes of seeded users, so many of one account a delivery.
    pub fn of(random: Random, world: World, events: u64) -> Self {
        Self {
            random,
            world,
            events,
            first: seeded_at().0 + 3_600_000,
            made: Vec::new(),
        }
    }

    /// The next deliveries.
    pub fn take(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.delivery()).collect()
    }

    fn delivery(&mut self) -> String {
        if !self.made.is_empty() && self.random.below(REPEATED) == 0 {
            let again = self.random.below(self.made.len() as u64);
            return self.made[again as usize].clone();
        }
        let account = match self.random.below(4) {
            drawn if drawn < FLOODED => 0,
            _ => self.random.below(self.world.connections),
        };
        let users = self.world.users_of(account);
        let mut body = String::from("[");
        for event in 0..self.events {
            let comma = if event == 0 { "" } else { "," };
            let stamp = self.first + self.random.below(SPAN) as i64;
            write!(
                body,
                r#"{comma}{{"eventId":{},"subscriptionId":6527601,"portalId":{},"appId":{APP_ID},"occurredAt":{stamp},"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":{},"propertyName":"{}","propertyValue":"said at {stamp}","changeSource":"CRM_UI"}}"#,
                // Tells one delivery from another that has the same changes.
                self.made.len(),
                World::portal(account),
                World::contact(users.start + self.random.below(users.end - users.start)),
                World::property(self.random.below(FIELDS)),
            )
            .unwrap();
        }
        body.push(']');
        self.made.push(body.clone());
        body
    }
}

/// What users must hold once these bodies are applied: of each property the
/// newest by its stamp, whatever order they came in.
pub fn expected(bodies: &[Vec<u8>], users: u64) -> Values {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        occurred_at: i64,
        object_id: u64,
        property_name: String,
        property_value: String,
    }
    let mut newest = BTreeMap::new();
    for user in 0..users {
        for field in 0..FIELDS {
            let key = (World::contact(user), World::property(field));
            newest.insert(key, (0, seeded_text(user)));
        }
    }
    for body in bodies {
        for event in serde_json::from_slice::<Vec<Event>>(body).unwrap() {
            let held = newest.get_mut(&(event.object_id, event.property_name));
            let held = held.unwrap();
            *held = (event.occurred_at, event.property_value).max(held.clone());
        }
    }
    newest
        .into_iter()
        .map(|(key, (_, text))| (key, text))
        .collect()
}

/// What a data directory comes to.
pub struct Outcome {
    /// All that is in its log.
    pub logged: Vec<Vec<u8>>,
    /// What its users hold once all of that is applied.
    pub held: Values,
}

/// Opens a host on a data directory, lets it apply all that waits, and looks.
pub async fn outcome(directory: &Path, projects: &[ProjectId]) -> Outcome {
    let url = "http://127.0.0.1:1".parse().unwrap();
    let host = engine::open(config(directory), url, Clock::system())
        .await
        .unwrap();
    let (tail, place) = (
        *host.log.tail().borrow(),
        host.store.read(|tx| tx.log_position()).await.unwrap(),
    );
    assert!(
        place <= tail,
        "the store is at {place:?}, the log at {tail:?}"
    );
    let stop = CancellationToken::new();
    let (pipeline, until) = (host.pipeline.clone(), stop.clone());
    let working = tokio::spawn(async move { pipeline.run(until).await });
    host.pipeline
        .applied()
        .wait_for(|place| *place >= tail)
        .await
        .unwrap();
    stop.cancel();
    working.await.unwrap();
    Outcome {
        logged: logged(&host.log).await,
        held: values(&host, projects).await,
    }
}

/// The values of all users.
async fn values(host: &Host, projects: &[ProjectId]) -> Values {
    let projects = projects.to_vec();
    host.store
        .read(move |tx| {
            let mut values = Values::new();
            let everyone = UserFilter::default();
            for project in projects {
                for user in tx.users(project, &everyone, UserId(0), usize::MAX)? {
                    for value in tx.profile(user.id)? {
                        let Source::Record { record, .. } = &value.source else {
                            continue;
                        };
                        let Value::Text(text) = value.value else {
                            panic!("{:?}", value.value);
                        };
                        let contact = record.as_str().parse().unwrap();
                        values.insert((contact, value.variable), text);
                    }
                }
            }
            Ok(values)
        })
        .await
        .unwrap()
}

/// All bodies in a log.
pub async fn logged(log: &EventLog) -> Vec<Vec<u8>> {
    let all = log.read(Position(0), usize::MAX, usize::MAX).await;
    all.unwrap().into_iter().map(|entry| entry.body).collect()
}

impl Outcome {
    /// What is wrong with it, where deliveries with these bodies were answered
    /// 204.
    pub fn fault(&self, answered: &[&String], users: u64) -> Option<String> {
        let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
        for body in &self.logged {
            *left.entry(body).or_default() += 1;
        }
        let lost = answered
            .iter()
            .filter(|body| match left.get_mut(body.as_bytes()) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    false
                }
                _ => true,
            })
            .count();
        if lost > 0 {
            return Some(format!("{lost} of {} answered are lost", answered.len()));
        }
        let expected = expected(&self.logged, users);
        if self.held == expected {
            return None;
        }
        let wrong = expected
            .iter()
            .filter(|(key, text)| self.held.get(key) != Some(text));
        let first = wrong.clone().next().map(|(key, text)| {
            let held = self.held.get(key);
            format!("{key:?} must be {text:?} and is {held:?}")
        });
        Some(format!("{} values are wrong: {first:?}", wrong.count()))
    }
}
