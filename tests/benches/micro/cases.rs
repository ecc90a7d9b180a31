//! The cases, each of one function.

use divan::{Bencher, counter::BytesCount};
use harness::bare::CLIENT_SECRET;
use jimo_connect::{
    clock::Clock,
    hubspot::signature,
    plugin::{EMBEDDED, Engine, Limits, split},
    secrets::{Keys, Secret},
};

use crate::input::{DELIVERY, EVENTS, PLUGIN, native, pass};

/// A fresh instance, and nothing to do for it.
#[divan::bench]
fn pass_of_nothing() {
    pass(b"[]", 0, false);
}

/// A pass that parses a delivery of 100 events.
#[divan::bench]
fn pass_parse(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| pass(&DELIVERY, EVENTS, false));
}

/// A pass that converts it, too: what the pipeline runs.
#[divan::bench]
fn pass_parse_and_convert(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| pass(&DELIVERY, EVENTS, true));
}

/// The plugin's own code on this machine, parsing the same.
#[divan::bench]
fn native_parse(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| native(&DELIVERY, false));
}

/// The plugin's own code on this machine, converting it, too.
#[divan::bench]
fn native_parse_and_convert(bencher: Bencher) {
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| native(&DELIVERY, true));
}

/// The host's own reading of the same delivery.
#[divan::bench]
fn split_delivery(bencher: Bencher) {
    let at = &PLUGIN.description().delivery;
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| split(&DELIVERY, at).unwrap().len());
}

/// The signature of the same delivery.
#[divan::bench]
fn verify_signature(bencher: Bencher) {
    let secret = Secret::from(CLIENT_SECRET);
    let target = "https://jimo.example/webhooks/hubspot";
    let now = Clock::system().now();
    let stamp = now.0.to_string();
    let signed = hubspot_sim::sign_v3(CLIENT_SECRET, "POST", target, &DELIVERY, now.0);
    bencher
        .counter(BytesCount::of_slice(&DELIVERY[..]))
        .bench(|| {
            signature::verify_v3(&secret, "POST", target, &DELIVERY, &stamp, &signed, now).unwrap();
        });
}

/// Sealing a token.
#[divan::bench]
fn seal_token(bencher: Bencher) {
    let keys = Keys::derive(&[7; 32]);
    let token = [b'a'; 200];
    bencher.bench(|| keys.seal("account/acc_1/refresh_token", &token));
}

/// Opening a sealed token.
#[divan::bench]
fn open_token(bencher: Bencher) {
    let keys = Keys::derive(&[7; 32]);
    let sealed = keys.seal("account/acc_1/refresh_token", &[b'a'; 200]);
    bencher.bench(|| {
        keys.open("account/acc_1/refresh_token", &sealed)
            .unwrap()
            .len()
    });
}

/// The plugin, compiled and run for the first time, as at every start.
#[divan::bench(sample_count = 10)]
fn load_plugin(bencher: Bencher) {
    // One that has compiled it has no more to do.
    bencher
        .with_inputs(|| Engine::new(&Limits::default()).unwrap())
        .bench_refs(|engine| engine.load(EMBEDDED).unwrap());
}
