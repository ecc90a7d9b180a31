//! Gives the component its initial memory, for every build of it alike.

/// Bytes. What a full delivery needs, so that parsing it never grows the memory: growing costs a call to the host and
/// fresh pages (3 to 5 % of a pass, measured).
const INITIAL_MEMORY_BYTES: u32 = 2 * 1024 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A link argument given here, unlike one in a configuration file or a variable, reaches whoever builds the crate.
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=--initial-memory={INITIAL_MEMORY_BYTES}");
    }
}
