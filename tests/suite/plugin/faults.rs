//! A component that does harm ends its pass, with its own reason, and nothing
//! else: the host goes on, and so do neighbours in passes of their own.

use jimo_connect::plugin::{BodyKind, Fault, Pass};

use super::{RECEIVED_AT, delivery, engine, limits, misbehaving};

const WELL: &str = r#"{"portalId":1,"objectId":2}"#;

fn told_to(misbehave: &str) -> Fault {
    let element = format!(r#"{{"portalId":1,"objectId":2,"misbehave":"{misbehave}"}}"#);
    let fault = delivery(&[WELL, &element]).expect_err(misbehave);
    let neighbour = delivery(&[WELL]).expect("a pass of its own");
    assert_eq!(neighbour.changes.len(), 1, "beside {misbehave}");
    assert!(!fault.is_retryable(), "{fault}");
    fault
}

#[test]
fn a_component_that_traps_ends_its_pass_alone() {
    let unreachable = Fault::Trap("wasm `unreachable` instruction executed".into());
    assert_eq!(told_to("trap"), unreachable);
    assert_eq!(told_to("divide"), unreachable);
}

#[test]
fn a_component_that_recurses_without_end_does_not_exhaust_the_hosts_stack() {
    let fault = told_to("recurse");
    assert!(matches!(fault, Fault::Trap(_)), "{fault}");
}

#[test]
fn a_component_that_spins_is_stopped_at_its_deadline() {
    let began = std::time::Instant::now();
    assert_eq!(told_to("spin"), Fault::Deadline(limits().pass_deadline));
    assert!(
        began.elapsed() >= limits().pass_deadline,
        "never before its deadline"
    );
}

#[test]
fn a_component_that_hoards_memory_is_stopped_at_its_cap() {
    assert_eq!(
        told_to("hoard"),
        Fault::Memory {
            bytes_max: limits().memory_bytes_max
        }
    );
}

#[test]
fn a_component_that_exits_ends_its_pass_alone() {
    assert_eq!(told_to("exit"), Fault::Trap("it exited".into()));
}

const PRINTS: &str = r#"{"portalId":1,"objectId":2,"misbehave":"print"}"#;
const READS: &str = r#"{"portalId":1,"objectId":2,"misbehave":"read"}"#;

#[test]
fn what_a_component_prints_is_dropped_and_there_is_nothing_to_read() {
    // So many that any wait would reach the deadline.
    let elements: Vec<&str> = [PRINTS, READS].into_iter().cycle().take(1000).collect();
    assert_eq!(delivery(&elements).expect("a pass").changes.len(), 1000);
}

#[test]
fn a_component_that_prints_or_reads_without_end_is_stopped_at_its_deadline() {
    for how in ["print without end", "read without end"] {
        assert_eq!(
            told_to(how),
            Fault::Deadline(limits().pass_deadline),
            "{how}"
        );
    }
}

/// What of a component reaches its imports: printing, reading, exiting, and
/// panicking, which prints. And installing it, which runs it.
fn reach_imports() {
    assert_eq!(delivery(&[PRINTS, READS]).expect("a pass").changes.len(), 2);
    assert_eq!(told_to("exit").as_str(), "trap");
    assert_eq!(told_to("trap").as_str(), "trap");
    let component = harness::components::misbehaving();
    engine().load(component).expect("a version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_component_that_prints_does_no_harm_to_a_worker_of_the_runtime() {
    let worker = tokio::spawn(async { reach_imports() });
    worker.await.expect("no panic");
    reach_imports();
    tokio::task::spawn_blocking(reach_imports)
        .await
        .expect("no panic");
}

#[tokio::test(flavor = "current_thread")]
async fn a_component_that_prints_does_no_harm_to_a_runtime_of_one_thread() {
    reach_imports();
    tokio::task::LocalSet::new()
        .run_until(async { reach_imports() })
        .await;
}

#[test]
fn a_component_that_refuses_everything_is_at_fault() {
    let fault = told_to("refuse all").to_string();
    assert_eq!(fault, "the plugin refused all elements: told to");
    assert!(matches!(told_to("do not read"), Fault::Refused(_)));
}

#[test]
fn a_component_that_answers_without_end_does_not_exhaust_the_hosts_memory() {
    for flood in ["flood", "flood of text"] {
        assert_eq!(told_to(flood).as_str(), "output", "{flood}");
    }
}

#[test]
fn more_elements_than_a_pass_may_have_are_never_handed_over() {
    let bytes_max = limits().elements_bytes_max;
    let elements = |bytes: usize| {
        let text = "x".repeat(bytes - 29);
        format!(r#"[{{"objectId":2,"text":"{text}"}}]   "#).into_bytes()
    };
    let run = |elements: &[u8]| {
        misbehaving().run(&Pass {
            body: BodyKind::Delivery,
            elements,
            element_count: 1,
            received_at: RECEIVED_AT,
            interests: &[],
            conversions: &[],
            rules: &[],
        })
    };
    let most = elements(bytes_max);
    assert_eq!(most.len(), bytes_max);
    run(&most).expect("the most there may be");
    let fault = run(&elements(bytes_max + 1)).expect_err("one byte more");
    assert_eq!(
        fault,
        Fault::Oversized {
            bytes: bytes_max + 1,
            bytes_max
        }
    );
}

#[test]
fn faults_on_several_threads_leave_passes_on_others_alone() {
    let well = || {
        for _ in 0..200 {
            assert_eq!(delivery(&[WELL]).expect("a pass").changes.len(), 1);
        }
    };
    let badly = |how: &'static str| {
        move || {
            told_to(how);
        }
    };
    std::thread::scope(|scope| {
        for how in ["trap", "spin", "hoard", "exit"] {
            scope.spawn(badly(how));
        }
        // More than the pool has instances: they wait for each other.
        for _ in 0..2 * limits().passes_max {
            scope.spawn(well);
        }
    });
}

#[test]
fn an_engine_that_is_gone_takes_its_thread_along() {
    // A few engines exhaust a process if each keeps what it reserved.
    let component = harness::components::misbehaving();
    let _ = engine();
    for _ in 0..3 {
        let engine = jimo_connect::plugin::Engine::new(&limits()).expect("an engine");
        let version = engine.load(component).expect("a version");
        drop(engine);
        assert_eq!(version.description().connector, "misbehaving");
    }
}
