//! What the component imports: nothing that could have an effect.

use plugin_kit::Kit;

use crate::kit;

/// What hosts link, inert: what Rust's standard library drags in, the last with its hash tables.
const INTERFACES: [&str; 14] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
];

#[test]
fn a_component_imports_what_hosts_link_and_the_contracts_own_types() {
    for import in kit().imports() {
        let (interface, version) = import.split_once('@').expect("a version");
        let allowed = INTERFACES.contains(&interface) && version.starts_with("0.2.");
        assert!(
            allowed || interface.starts_with("jimo:connect/"),
            "{import}"
        );
    }
}

#[test]
fn a_component_that_reaches_for_the_network_is_not_loaded() {
    let component =
        wat::parse_str(r#"(component (import "wasi:sockets/network@0.2.6" (instance)))"#)
            .expect("a component");
    let refused = Kit::from_bytes(&component)
        .map(|_| ())
        .expect_err("it is refused");
    assert!(refused.to_string().contains("wasi:sockets"), "{refused}");
}
