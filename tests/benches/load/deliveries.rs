//! Deliveries as HubSpot sends them, signed before the clock runs.

use std::fmt::Write;

use harness::{
    bare::{APP_ID, CLIENT_SECRET},
    seed::{FIELDS, FIRST_CONTACT, PORTAL, property, seeded_at},
};
use jimo_connect::{clock::Clock, intake};

/// What deliveries look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A hundred changes of random contacts' random properties.
    Random,
    /// Twenty contacts, five properties of each, as an import makes them.
    Import,
    /// One change of a random contact.
    Single,
}

/// Whole requests, ready to be written to a connection.
pub struct Deliveries {
    /// The host and port that they go to.
    pub address: String,
    /// The requests.
    pub requests: Vec<Vec<u8>>,
    /// The events in all of them.
    pub events: usize,
}

impl Deliveries {
    /// Makes deliveries of so many events in all, each of which changes a value.
    pub fn make(shape: Shape, users: u64, events: u64, url: &str) -> Self {
        let per_delivery = if shape == Shape::Single { 1 } else { 100 };
        let address = url.trim_start_matches("http://").to_owned();
        let target = format!("{url}{}", intake::PATH);
        let mut random = Random(0x5eed_5eed_5eed_5eed);
        let mut requests = Vec::new();
        let first = seeded_at().0 + 3_600_000;
        let mut made = 0;
        while made < events {
            let import = random.below(users);
            let mut body = String::from("[");
            for index in 0..per_delivery {
                let (contact, field) = match shape {
                    Shape::Import => ((import + index / 5) % users, index % 5),
                    Shape::Random | Shape::Single => {
                        (random.below(users), random.below(FIELDS as u64))
                    }
                };
                let comma = if index == 0 { "" } else { "," };
                write!(
                    body,
                    r#"{comma}{{"eventId":{},"subscriptionId":6527601,"portalId":{PORTAL},"appId":{APP_ID},"occurredAt":{},"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":{},"propertyName":"{}","propertyValue":"changed by event {made}","changeSource":"CRM_UI","sourceId":"userId:69531640","isSensitive":false}}"#,
                    1_000_000 + made,
                    // One a millisecond: no two of a property share a stamp.
                    first + made as i64,
                    FIRST_CONTACT + contact,
                    property(usize::try_from(field).unwrap()),
                )
                .unwrap();
                made += 1;
            }
            body.push(']');
            requests.push(request(&target, &address, &body));
        }
        Self {
            address,
            requests,
            events: usize::try_from(made).unwrap(),
        }
    }
}

fn request(target: &str, address: &str, body: &str) -> Vec<u8> {
    let now = Clock::system().now().0;
    let signature = hubspot_sim::sign_v3(CLIENT_SECRET, "POST", target, body.as_bytes(), now);
    format!(
        "POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-HubSpot-Request-Timestamp: {now}\r\n\
         X-HubSpot-Signature-v3: {signature}\r\n\r\n{body}",
        intake::PATH,
        body.len(),
    )
    .into_bytes()
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
