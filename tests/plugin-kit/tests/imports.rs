//! What the component imports: nothing that could have an effect, and no more than it did.

use plugin_kit::Kit;

use crate::kit;

/// The HubSpot component's imports: what Rust's standard library drags in, none of which is called on the good path, and
/// the contract's own types. A new one means that new code can do something new: find out what before adding it here.
const IMPORTS: [&str; 14] = [
    "jimo:connect/types@0.1.0",
    "wasi:cli/environment@0.2.6",
    "wasi:cli/exit@0.2.6",
    "wasi:cli/stderr@0.2.6",
    "wasi:cli/stdin@0.2.6",
    "wasi:cli/stdout@0.2.6",
    "wasi:cli/terminal-input@0.2.6",
    "wasi:cli/terminal-output@0.2.6",
    "wasi:cli/terminal-stderr@0.2.6",
    "wasi:cli/terminal-stdin@0.2.6",
    "wasi:cli/terminal-stdout@0.2.6",
    "wasi:io/error@0.2.6",
    "wasi:io/poll@0.2.6",
    "wasi:io/streams@0.2.6",
];

#[test]
fn the_component_imports_no_more_than_is_listed() {
    for import in kit().imports() {
        assert!(IMPORTS.contains(&&*import), "{import} is new");
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
