//! Power is cut while a record is being erased.

use std::path::Path;

use harness::{
    program::Program,
    seed::{World as Seeds, fill},
};
use jimo_connect::sync::erasures;

use super::{
    nowhere, somewhere,
    steps::{SECRET, append, apply, event, open, says},
};
use crate::durability::{Disk, Event, Root, Step, files, made, random::Random, serve};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_erased_whenever_power_is_cut_after_its_answer() {
    let mut random = Random::seeded_by("POWER_SEED");
    let root = Root::new();
    let data = root.disk.join("data");
    fill(&data, Seeds::of(20, 1)).await;
    // What she had is on disk, long since.
    let host = open(&data).await;
    append(&host, &[says(7, SECRET)]).await;
    apply(&host).await;
    drop(host);
    somewhere(&data, &[SECRET]);
    let mut disk = Disk::new(&root.disk, std::slice::from_ref(&data), files(&data));
    let bodies = [format!("[{}]", event(7, "privacyDeletion", ""))];
    let erased = async |program: &Program| {
        let says = "nothing is left of records";
        let is_said =
            |text: &serde_json::Value| text.as_str().is_some_and(|text| text.starts_with(says));
        program
            .line(|line| is_said(&line["fields"]["message"]))
            .await;
    };
    let mut is_told = false;
    let mut cuts = 0;
    for step in serve(&root, &data, &bodies, 1, erased).await {
        match step {
            Step::Answered(_) => is_told = true,
            Step::Disk(event) => {
                disk.happened(&event);
                // Before the next sync nothing else is left.
                if is_told && matches!(event, Event::Synced { .. }) {
                    for left in [disk.cut(), disk.cut_by_chance(&mut random)] {
                        let left = made(&left, &root.disk);
                        is_erased_on(&left.path().join("data")).await;
                    }
                    cuts += 1;
                }
            }
        }
    }
    assert!(cuts > 3, "{cuts}");
}

/// Goes on with what is left, and fails where anything of hers is left then.
async fn is_erased_on(data: &Path) {
    let host = open(data).await;
    apply(&host).await;
    while erasures::step(&host).await.unwrap() != erasures::Step::Nothing {}
    nowhere(data, &[SECRET]);
    // Which closes the files, and moves what their write-ahead logs have.
    drop(host);
    nowhere(data, &[SECRET]);
}
