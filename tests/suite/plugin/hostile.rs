//! What a hostile component can do to a delivery, through the real pipeline: the
//! body is set aside with its reason, everything beside it is applied, and the
//! operator is told. The table in `wit/README.md` says the same in words.

use harness::{
    bare::{BareHost, client},
    components::{misbehaving, misbehaving_as},
};
use jimo_connect::{
    model::VariableType,
    plugin::{
        BodyKind, Conversion, Engine, Fault, InstallError, Interest, Nonsense, Pass, digest, join,
    },
};

use super::{RECEIVED_AT, delivery, engine, field, limits, misbehaving as version, page};

/// What it is told to do, and what the reason says that its body is set aside for.
const DELIVERIES: [(&str, &str); 28] = [
    ("trap", "the plugin trapped"),
    ("divide", "the plugin trapped"),
    ("exit", "it exited"),
    ("sleep on nothing", "the plugin trapped"),
    ("recurse", "the plugin trapped"),
    ("spin", "the plugin was stopped after"),
    ("print without end", "the plugin was stopped after"),
    ("read without end", "the plugin was stopped after"),
    ("hoard", "of memory"),
    ("flood", "more or fewer outcomes"),
    ("flood of text", "longer than its element"),
    ("refuse all", "refused all elements"),
    ("do not read", "refused all elements"),
    ("refuse", "could not understand"),
    ("refuse and tell", "contradicts itself"),
    ("foreign element", "an element that was not handed in"),
    ("last element", "an element that was not handed in"),
    ("foreign type", "an object type that was not asked for"),
    ("foreign property", "a property that was not asked for"),
    ("foreign field", "a field mapping that was not handed in"),
    ("foreign record", "the element does not name"),
    ("no calendar", "outside the years 1 to 9999"),
    ("no outcome", "more or fewer outcomes"),
    ("outcome twice", "more or fewer outcomes"),
    ("other type", "another type than the variable's"),
    ("empty text", "no variable can hold"),
    ("text with a NUL", "no variable can hold"),
    ("long text", "no variable can hold"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_component_does_to_a_delivery_its_neighbours_are_applied_and_the_operator_sees_it()
 {
    let component = misbehaving_as("hubspot", "nothing");
    let host = BareHost::start(&component).await;
    let account = host.connect("1", "city").await;
    let other = host.connect("2", "city").await;
    for (done, (misbehave, reason)) in (1..).zip(DELIVERIES) {
        let bad = format!(
            r#"{{"portalId":1,"objectId":3,"misbehave":"{misbehave}","property":"city","text":"Lyon"}}"#
        );
        // Beside it in the same body another account's, and another body of its own.
        let beside = format!(r#"{{"portalId":2,"objectId":{}}}"#, 100 + done);
        let next = format!(r#"{{"portalId":1,"objectId":{}}}"#, 100 + done);
        assert_eq!(host.deliver(format!("[{bad},{beside}]")).await, 204);
        assert_eq!(host.deliver(format!("[{next}]")).await, 204);
        host.applied().await;
        let aside = host.set_aside().await;
        assert_eq!(aside.len(), done, "{misbehave}");
        let last = aside.last().expect("what was set aside");
        assert!(last.reason.contains(reason), "{misbehave}: {}", last.reason);
        assert_eq!(last.body, format!("[{bad}]").as_bytes(), "{misbehave}");
        assert_eq!(last.account, Some("1".into()), "{misbehave}");
        assert_eq!(last.plugin, Some(digest(&component)));
        let done = i64::try_from(done).expect("few");
        assert_eq!(host.waiting_reads(account).await, done, "{misbehave}");
        assert_eq!(host.waiting_reads(other).await, done, "{misbehave}");
    }
    let metrics = client().get(host.host.url("/metrics")).send().await;
    let metrics = metrics.expect("an answer").text().await.expect("a text");
    let counted = format!("jimo_connect_set_aside_total {}", DELIVERIES.len());
    assert!(metrics.contains(&counted), "{metrics}");
    for kind in ["trap", "deadline", "memory", "refused", "output"] {
        let faults =
            format!(r#"jimo_connect_plugin_faults_total{{connector="hubspot",kind="{kind}"}} "#);
        assert!(metrics.contains(&faults), "{kind}: {metrics}");
    }
    host.stop().await;
}

#[test]
fn a_record_is_never_matched_by_a_key_that_it_does_not_hold() {
    let record = |how: &str| {
        format!(r#"{{"id":"2","properties":{{"city":"ana@example.com"}},"misbehave":"{how}"}}"#)
    };
    assert_eq!(page(&[&record("nothing")]).expect("a page").keys.len(), 1);
    let fault = page(&[&record("another's key")]).expect_err("a fault");
    assert_eq!(fault, Fault::Output(Nonsense::ForeignKey));
}

#[test]
fn equal_calls_cannot_differ_for_there_is_nothing_to_differ_by() {
    let element = r#"{"portalId":1,"objectId":2,"property":"city","misbehave":"differ"}"#;
    let first = delivery(&[element]).expect("a pass");
    assert_eq!(first.changes.len(), 1);
    for _ in 0..20 {
        assert_eq!(delivery(&[element]).expect("a pass"), first);
    }
    // Another process would have an engine of its own.
    let engine = Engine::new(&limits()).expect("an engine");
    let version = engine.load(misbehaving()).expect("a version");
    let again = version.run(&Pass {
        body: BodyKind::Delivery,
        elements: &join([element.as_bytes()].into_iter()),
        element_count: 1,
        received_at: RECEIVED_AT,
        interests: &[Interest {
            object_type: "contacts".into(),
            properties: vec!["city".into(), "size".into()],
        }],
        conversions: &[Conversion {
            fields: vec![field("city", VariableType::Text)],
            tables: vec![],
        }],
        rules: &[],
    });
    assert_eq!(again.expect("a pass").changes, first.changes);
}

#[test]
fn properties_that_make_no_sense_keep_a_component_from_being_installed() {
    let refused = |always: &str| {
        let component = misbehaving_as("hubspot", always);
        engine().load(&component).expect_err(always)
    };
    let nonsense = refused("define nonsense");
    assert!(
        matches!(nonsense, InstallError::Description(_)),
        "{nonsense}"
    );
    let trap = refused("trap defining");
    assert!(
        matches!(trap, InstallError::Define(Fault::Trap(_))),
        "{trap}"
    );
    assert_eq!(version().definitions(), Some(&[][..]));
}
