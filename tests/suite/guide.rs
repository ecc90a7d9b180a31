//! The guide to writing a connector in `wit/README.md`: its commands, run as they
//! stand there, in a folder that has nothing else.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::Path, process::Command};

use harness::components;
use jimo_connect::plugin::conforms;
use tempfile::TempDir;

/// Where the guide has its crate.
const CRATE: &str = "my-connector";

/// A block of the guide that is marked for this test.
enum Block<'a> {
    Commands(&'a str),
    File { name: &'a str, content: &'a str },
}

fn blocks(guide: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    // Fences come in pairs: every second part is the inside of one.
    for inside in guide.split("\n```").skip(1).step_by(2) {
        let (mark, content) = inside.split_once('\n').expect("a line");
        match mark.split_once(" guide") {
            Some((_, "")) => blocks.push(Block::Commands(content)),
            Some((_, name)) => blocks.push(Block::File {
                name: name.strip_prefix('=').expect("a name"),
                content,
            }),
            None => {}
        }
    }
    blocks
}

/// All of the guide as one script.
fn script(guide: &str) -> String {
    let mut script = String::from("set -eu\n");
    for block in blocks(guide) {
        // Writing to a text never fails.
        let _ = match block {
            Block::Commands(commands) => writeln!(script, "{commands}"),
            Block::File { name, content } => writeln!(
                script,
                "mkdir -p \"$(dirname {name})\"\ncat > {name} <<'END_OF_FILE'\n{content}\nEND_OF_FILE"
            ),
        };
    }
    script
}

#[test]
fn the_guide_leads_from_nothing_to_a_component_that_is_tested() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository");
    let guide = fs::read_to_string(repository.join("wit/README.md")).expect("the guide");
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    // No network, the versions that this repository is tested with, and what is
    // built of them already: all that differs from a reader's own folder.
    fs::create_dir(at.join(".cargo")).expect("a folder");
    fs::write(at.join(".cargo/config.toml"), "net.offline = true\n").expect("a file");
    fs::create_dir(at.join("prepared")).expect("a folder");
    let target = components::target_dir();
    // Whichever test comes first makes it.
    fs::create_dir_all(&target).expect("a folder");
    symlink(target, at.join("prepared/target")).expect("a link");
    fs::copy(
        repository.join("Cargo.lock"),
        at.join("prepared/Cargo.lock"),
    )
    .expect("the versions");
    let script = script(&guide).replacen(
        "cargo build",
        "cp -r --no-dereference ../prepared/. .\ncargo build",
        1,
    );
    // The kit is built already, and where this very test is.
    let target = components::target_dir().with_file_name("");
    let kit = format!(
        "CARGO_TARGET_DIR={} \"$JIMO_CONNECT/tests/run\"",
        target.display()
    );
    assert!(script.contains("\"$JIMO_CONNECT/tests/run\""), "{script}");
    let script = script.replace("\"$JIMO_CONNECT/tests/run\"", &kit);

    let mut bash = Command::new("bash");
    bash.current_dir(at)
        .args(["-c", &script])
        .env("JIMO_CONNECT", &repository);
    for name in components::OF_THE_TESTS {
        bash.env_remove(name);
    }
    let output = bash.output().expect("bash");
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    assert!(told.contains("recorded_bodies_give"), "{told}");

    // And a host takes it.
    let built = at
        .join(CRATE)
        .join("target/wasm32-wasip2/plugin/my_connector.wasm");
    let component = fs::read(built).expect("a component");
    let version = super::plugin::engine().load(&component).expect("a version");
    assert_eq!(version.description().connector, "my-source");
    conforms(&version).expect("all cases");
}
