//! Deliveries as HubSpot sends them, signed before the clock runs.

use std::fmt::Write;

use harness::{
    bare::{APP_ID, CLIENT_SECRET},
    program::Program,
    seed::{COMPANY, COMPANY_PROPERTY, World},
};
use jimo_connect::{clock::Clock, intake};

use crate::probes::Probe;

/// Of a connection's users, the last part is changed by nothing but probes, so
/// that what a probe waits for is not overwritten.
const PROBED_PART: u64 = 10;

/// No more users than this are kept for probes.
const PROBED_MAX: u64 = 1_000;

/// The time between the seeding and the first change that is sent.
const BEFORE_NOW_MS: i64 = 3 * 3_600_000;

/// What a delivery holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many changes of random contacts' random properties.
    Random(u64),
    /// Twenty contacts, five properties of each, as an import makes them.
    Import,
    /// So many changes, spread over contacts and properties so that none comes
    /// twice before all came once.
    Distinct(u64),
}

/// A whole request, ready to be written to a connection.
pub struct Request {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What to wait for, where somebody does.
    pub probe: Option<Probe>,
}

/// The value that event number so and so brings.
pub fn value(event: u64) -> String {
    format!("changed by event {event}")
}

/// One property that changes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    user: u64,
    field: u64,
}

/// Makes deliveries to one host. Each of its changes is newer than the one
/// before.
pub struct Maker {
    /// The host and port that they go to.
    pub address: String,
    target: String,
    world: World,
    random: Random,
    /// The number of the next event.
    next: u64,
    /// When the first event happened.
    first_at: i64,
    probes: u64,
}

impl Maker {
    /// Begins.
    pub fn new(world: World, program: &Program) -> Self {
        Self::at(world, &program.url)
    }

    /// Begins, for a host at an address.
    pub fn at(world: World, url: &str) -> Self {
        Self {
            address: url.trim_start_matches("http://").to_owned(),
            target: format!("{url}{}", intake::PATH),
            world,
            random: Random(0x5eed_5eed_5eed_5eed),
            next: 0,
            first_at: now() - BEFORE_NOW_MS,
            probes: 0,
        }
    }

    /// Deliveries of so many events in all, each of which changes a value. They
    /// go to all connections, each delivery to one.
    pub fn some(&mut self, shape: Shape, events: u64) -> Vec<Request> {
        let until = self.next + events;
        let mut requests = Vec::new();
        while self.next < until {
            let connection = self.random.below(self.world.connections);
            requests.push(self.one(shape, connection));
        }
        requests
    }

    /// A delivery to a connection.
    pub fn one(&mut self, shape: Shape, connection: u64) -> Request {
        let body = self.body(shape, connection);
        self.sign(body, None)
    }

    /// A delivery to a connection, whose last change is waited for.
    pub fn probed(&mut self, changes: u64, connection: u64) -> Request {
        let mut slots = self.slots(Shape::Random(changes - 1), connection);
        let users = self.world.users_of(connection);
        let kept = users.end - self.changed(connection);
        let slot = Slot {
            user: users.end - 1 - self.probes % kept,
            field: self.probes / kept % self.world.fields,
        };
        self.probes += 1;
        slots.push(slot);
        let body = self.contacts_body(&slots, connection);
        let probe = Probe {
            users: [World::user_id(slot.user); 2],
            variable: self.world.variable_id(connection, slot.field),
            value: value(self.next - 1),
        };
        self.sign(body, Some(probe))
    }

    /// A delivery of one change of the company, which is waited for on all
    /// users that it reaches.
    pub fn company(&mut self) -> Request {
        let body = format!("[{}]", self.event("company", COMPANY, COMPANY_PROPERTY, 0));
        let probe = Probe {
            users: [
                World::user_id(0),
                World::user_id(self.world.company_users - 1),
            ],
            variable: self.world.company_variable_id(),
            value: value(self.next - 1),
        };
        self.sign(body, Some(probe))
    }

    /// What a delivery holds, and nothing around it.
    pub fn body(&mut self, shape: Shape, connection: u64) -> String {
        let slots = self.slots(shape, connection);
        self.contacts_body(&slots, connection)
    }

    /// What the event of a number changes in [`Shape::Distinct`]: the store's
    /// numbers of the user and the variable.
    pub fn distinct(&self, connection: u64, event: u64) -> (i64, i64) {
        let slot = self.distinct_slot(connection, event);
        (
            World::user_id(slot.user),
            self.world.variable_id(connection, slot.field),
        )
    }

    /// The last user of a connection who is not kept for probes.
    fn changed(&self, connection: u64) -> u64 {
        let users = self.world.users_of(connection);
        let all = users.end - users.start;
        users.end - (all / PROBED_PART).clamp(1, PROBED_MAX)
    }

    fn slots(&mut self, shape: Shape, connection: u64) -> Vec<Slot> {
        let first = self.world.users_of(connection).start;
        let users = self.changed(connection) - first;
        let fields = self.world.fields;
        match shape {
            Shape::Random(changes) => (0..changes)
                .map(|_| Slot {
                    user: first + self.random.below(users),
                    field: self.random.below(fields),
                })
                .collect(),
            Shape::Import => {
                let from = self.random.below(users);
                let slot = |index: u64| Slot {
                    user: first + (from + index / 5) % users,
                    field: index % 5,
                };
                (0..100).map(slot).collect()
            }
            Shape::Distinct(changes) => (self.next..self.next + changes)
                .map(|event| self.distinct_slot(connection, event))
                .collect(),
        }
    }

    /// The place of an event in an order in which every property of every
    /// contact comes once, far from the one before.
    fn distinct_slot(&self, connection: u64, event: u64) -> Slot {
        let first = self.world.users_of(connection).start;
        let slots = (self.changed(connection) - first) * self.world.fields;
        // A prime that does not divide it: all places come before one repeats.
        const PRIME: u64 = 2_654_435_761;
        let place = u128::from(event) * u128::from(PRIME) % u128::from(slots);
        let place = u64::try_from(place).unwrap();
        Slot {
            user: first + place / self.world.fields,
            field: place % self.world.fields,
        }
    }

    fn contacts_body(&mut self, slots: &[Slot], connection: u64) -> String {
        let mut body = String::from("[");
        for (index, slot) in slots.iter().enumerate() {
            let property = World::property(slot.field);
            let contact = World::contact(slot.user);
            let comma = if index == 0 { "" } else { "," };
            let event = self.event("contact", contact, &property, connection);
            write!(body, "{comma}{event}").unwrap();
        }
        body.push(']');
        body
    }

    fn event(&mut self, object: &str, record: u64, property: &str, connection: u64) -> String {
        let event = self.next;
        self.next += 1;
        format!(
            r#"{{"eventId":{},"subscriptionId":6527601,"portalId":{},"appId":{APP_ID},"occurredAt":{},"subscriptionType":"{object}.propertyChange","attemptNumber":0,"objectId":{record},"propertyName":"{property}","propertyValue":"{}","changeSource":"CRM_UI","sourceId":"userId:69531640","isSensitive":false}}"#,
            1_000_000 + event,
            World::portal(connection),
            // One a millisecond, so that no two of a property share a stamp,
            // until they reach the present.
            (self.first_at + i64::try_from(event).unwrap()).min(now()),
            value(event),
        )
    }

    fn sign(&self, body: String, probe: Option<Probe>) -> Request {
        let now = now();
        let address = &self.address;
        let signature =
            hubspot_sim::sign_v3(CLIENT_SECRET, "POST", &self.target, body.as_bytes(), now);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\
             X-HubSpot-Signature-v3: {signature}\r\n\r\n",
            intake::PATH,
            body.len(),
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        Request { bytes, probe }
    }
}

fn now() -> i64 {
    Clock::system().now().0
}

/// The same numbers in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
