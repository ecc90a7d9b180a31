//! Measures a component: its size, a fresh instance, and a delivery of 100 property changes. `PLUGIN` names its file.
//!
//! Run it alone on its machine: `cargo bench --package plugin-kit --bench measure`.

use std::time::{Duration, Instant};

use plugin_kit::contract::exports::jimo::connect::parse::{BodyKind, Interest};
use plugin_kit::contract::exports::jimo::connect::transform::{FieldMapping, Shown};
use plugin_kit::contract::jimo::connect::types::VariableType;
use plugin_kit::{Kit, locate, settings};

const ROUNDS: usize = 15;
const CALLS: usize = 100;

fn main() {
    let file = locate::component();
    let kit = Kit::load(file).expect("the component loads");
    let size = std::fs::metadata(file)
        .expect("the component is there")
        .len();
    println!("size {size} bytes, {} imports", kit.imports().len());

    let delivery = delivery();
    println!(
        "delivery of 100 events, {} bytes; min / median of {ROUNDS} rounds",
        delivery.len()
    );
    let interests = [Interest {
        object_type: "contacts".to_owned(),
        properties: (0..10)
            .map(|property| format!("property_{property}"))
            .collect(),
    }];
    let fields: Vec<FieldMapping> = (0..3)
        .map(|property| FieldMapping {
            object_type: "contacts".to_owned(),
            property: settings::property(&format!("property_{property} string text"))
                .expect("a property"),
            target: VariableType::Text,
            show: Shown::InternalValue,
            options: None,
        })
        .collect();

    measure("fresh instance, empty array", || {
        let mut instance = kit.instance().expect("an instance");
        instance
            .parse(&BodyKind::Delivery, b"[]")
            .expect("no fault")
            .expect("an array");
    });
    measure("fresh instance, parse", || {
        let mut instance = kit.instance().expect("an instance");
        instance
            .parse(&BodyKind::Delivery, &delivery)
            .expect("no fault")
            .expect("an array");
    });
    measure("fresh instance, parse, refusals, changes, convert", || {
        let mut instance = kit.instance().expect("an instance");
        let mut pass = instance
            .parse(&BodyKind::Delivery, &delivery)
            .expect("no fault")
            .expect("an array");
        pass.refusals().expect("no fault");
        assert_eq!(pass.changes(&interests).expect("no fault").len(), 100);
        assert_eq!(pass.convert(&fields, &[]).expect("no fault").len(), 30);
    });
    let mut instance = kit.instance().expect("an instance");
    measure("used instance, parse", || {
        let pass = instance
            .parse(&BodyKind::Delivery, &delivery)
            .expect("no fault")
            .expect("an array");
        pass.end().expect("no fault");
    });
    measure("used instance, parse, changes", || {
        let mut pass = instance
            .parse(&BodyKind::Delivery, &delivery)
            .expect("no fault")
            .expect("an array");
        assert_eq!(pass.changes(&interests).expect("no fault").len(), 100);
        pass.end().expect("no fault");
    });
}

fn measure(what: &str, mut call: impl FnMut()) {
    call();
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed() / CALLS as u32
        })
        .collect();
    rounds.sort();
    let micros = |round: Duration| round.as_nanos() as f64 / 1_000.0;
    println!(
        "{what}: {:.1} / {:.1} µs",
        micros(rounds[0]),
        micros(rounds[ROUNDS / 2])
    );
}

/// A delivery as large as HubSpot sends: 100 property changes, some 32 KB.
fn delivery() -> Vec<u8> {
    let event = |at: u64| {
        format!(
            r#"{{"eventId":{},"subscriptionId":6527601,"portalId":48975575,"appId":39522895,"occurredAt":{},"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":{},"propertyName":"property_{}","propertyValue":"a value of some length {at}","changeSource":"INTEGRATION","sourceId":"39522895","isSensitive":false}}"#,
            2_147_210_845 + at,
            1_782_371_969_536 + at,
            508_369_434_347 + at,
            at % 10,
        )
    };
    let events: Vec<String> = (0..100).map(event).collect();
    format!("[{}]", events.join(",")).into_bytes()
}
