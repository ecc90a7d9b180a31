//! What every user store must do with examples of where plugin versions differ.

use jimo_connect::{
    model::Timestamp,
    store::{
        Tx,
        plugins::PluginVersion,
        shadows::{Difference, Found, Kind},
    },
};

use super::store::Kept;

fn found(kind: Kind, name: &str) -> Found {
    Found {
        difference: Difference {
            kind,
            object_type: None,
            name: name.to_owned(),
        },
        connection: None,
        field: None,
        record: None,
        position: None,
        active: None,
        candidate: None,
        tells: false,
    }
}

#[tokio::test]
async fn however_much_differs_the_faults_are_shown() {
    let kept = Kept::new().await;
    let begin = |tx: &Tx<'_>| {
        tx.add_plugin_version(&PluginVersion {
            contract: None,
            description: None,
            digest: "candidate".into(),
            connector: "hubspot".into(),
            label: "HubSpot".into(),
            version: "1.0.0".into(),
            size_bytes: 1,
            file: Some("it.wasm".into()),
            installed_by: "a test".into(),
            installed_at: Timestamp(1),
        })?;
        tx.start_shadow("hubspot", "candidate", None, "a test", Timestamp(1))?;
        Ok(tx.shadow("hubspot")?.expect("a shadow").id)
    };
    let id = kept.write(begin).await;
    // More than are kept, and more than are looked at in one transaction.
    let places: Vec<String> = (0..40).map(|place| format!("place_{place}")).collect();
    let mut all: Vec<Found> = Vec::new();
    for place in &places {
        all.extend((0..10).map(|_| found(Kind::Value, place)));
    }
    all.push(found(Kind::FaultAdded, "delivery"));
    let first = all.clone();
    kept.write(move |tx| tx.add_shadow_examples(id, &first))
        .await;
    let faults = async || {
        let examples = kept.write(move |tx| tx.shadow_examples(id)).await;
        let all = examples.len();
        let faults = examples
            .iter()
            .filter(|example| example.difference.kind == Kind::FaultAdded);
        (faults.count(), all)
    };
    assert_eq!(faults().await, (1, 101));
    // Later ones are shown too, up to a bound of their own.
    let many: Vec<Found> = (0..30)
        .map(|_| found(Kind::FaultAdded, "delivery"))
        .collect();
    kept.write(move |tx| tx.add_shadow_examples(id, &many))
        .await;
    assert_eq!(faults().await, (10, 110));
}
