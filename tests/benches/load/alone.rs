//! What single steps cost by themselves, where threads do not tell them apart:
//! the host's own functions, on the same deliveries, in this process.

use std::{hint::black_box, time::Duration};

use harness::{
    bare::{CLIENT_SECRET, config},
    engine,
    seed::World,
};
use jimo_connect::{
    clock::Clock,
    hubspot::signature,
    pipeline::routing::Routing,
    plugin::{BodyKind, Element, Pass, join, split},
    secrets::Secret,
};

use crate::{
    deliveries::{Maker, Shape},
    process, seed,
};

/// Bytes that the pipeline takes from the log at once.
const BATCH_BYTES: usize = 8 << 20;

/// How often each step is done; the fastest counts.
const ROUNDS: usize = 5;

/// What steps take for one event.
pub struct Alone {
    /// Checking the signature of its delivery.
    pub signature: Duration,
    /// Splitting its delivery.
    pub split: Duration,
    /// Its pass: parsed and converted in a fresh instance, and checked.
    pub pass: Duration,
}

impl Alone {
    /// Measures the steps on as many deliveries as the pipeline takes at once.
    pub fn measure(world: World, shape: Shape) -> Self {
        let directory = seed::directory(world);
        let url = "http://127.0.0.1:1".parse().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clock = Clock::system();
        let opened = engine::open(config(directory.path()), url, clock.clone());
        let host = runtime.block_on(opened).unwrap();
        let routing = runtime.block_on(host.store.read(Routing::load)).unwrap();
        let account = World::portal(0).to_string().as_str().into();
        let route = routing.account("hubspot", &account).unwrap();
        let plugin = host.plugins.active("hubspot").expect("a version");

        let mut maker = Maker::at(world, "http://127.0.0.1:1");
        let mut bodies = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let body = maker.body(shape, 0);
            bytes += body.len();
            bodies.push(body);
        }
        let now = clock.now();
        let target = "http://127.0.0.1:1/webhooks/hubspot";
        let secret = Secret::from(CLIENT_SECRET);
        let stamp = now.0.to_string();
        let signatures: Vec<String> = bodies
            .iter()
            .map(|body| hubspot_sim::sign_v3(CLIENT_SECRET, "POST", target, body.as_bytes(), now.0))
            .collect();
        let at = &plugin.description().delivery;
        let elements: Vec<_> = bodies
            .iter()
            .flat_map(|body| split(body.as_bytes(), at).unwrap())
            .collect();
        let events = u32::try_from(elements.len()).unwrap();
        let passes = passes(&elements, plugin.elements_bytes_max());
        Self {
            signature: fastest(|| {
                for (body, signature) in bodies.iter().zip(&signatures) {
                    let body = body.as_bytes();
                    let good =
                        signature::verify_v3(&secret, "POST", target, body, &stamp, signature, now);
                    good.unwrap();
                }
            }) / events,
            split: fastest(|| {
                for body in &bodies {
                    black_box(split(body.as_bytes(), at).unwrap());
                }
            }) / events,
            pass: fastest(|| {
                for (elements, count) in &passes {
                    let output = plugin.run(&Pass {
                        body: BodyKind::Delivery,
                        elements,
                        element_count: *count,
                        received_at: now,
                        interests: &route.interests,
                        conversions: &route.conversions,
                        rules: &[],
                    });
                    black_box(output.unwrap());
                }
            }) / events,
        }
    }
}

/// Elements as passes take them: as many as fit one, and how many they are.
fn passes(elements: &[Element<'_>], bytes_max: usize) -> Vec<(Vec<u8>, usize)> {
    let mut passes = Vec::new();
    let mut rest = elements;
    while !rest.is_empty() {
        // The array's brackets, then each element with its comma.
        let mut bytes = 2;
        let fits = rest.iter().take_while(|element| {
            bytes += element.bytes.len() + 1;
            bytes <= bytes_max
        });
        let (pass, after) = rest.split_at(fits.count());
        passes.push((join(pass.iter().map(|element| element.bytes)), pass.len()));
        rest = after;
    }
    passes
}

/// The CPU time of the round that took least: what else the machine does is no
/// part of it.
fn fastest(mut step: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let before = process::own_cpu();
        step();
        process::own_cpu() - before
    });
    rounds.min().unwrap_or_default()
}
