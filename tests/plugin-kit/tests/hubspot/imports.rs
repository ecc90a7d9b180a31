//! What the HubSpot component imports: no more than it did.

use crate::kit;

/// The HubSpot component's imports: what Rust's standard library drags in, none of which is called on the good path, and
/// the contract's own types. A new one means that new code can do something new: find out what before adding it here.
const IMPORTS: [&str; 14] = [
    "jimo:connect/types@",
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
        let known = IMPORTS.iter().any(|known| import.starts_with(known));
        assert!(known, "{import} is new");
    }
}
