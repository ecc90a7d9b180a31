//! The guide to writing a connector in `wit/README.md`: its commands, run as they
//! stand there, in a folder that has nothing else.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use harness::components;
use jimo_connect::sources::check;
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

/// Where a reader of the guide stands.
enum Reader<'a> {
    /// In a folder of their own, and says where the repository is.
    Elsewhere(&'a Path),
    /// In the repository, and says nothing.
    InRepository,
}

/// Follows the guide in a folder that is removed in the end; returns what was told,
/// and the component. What only a reader in the repository meets ends with the
/// component: the kit would be built for that copy anew.
fn follow(guide: &str, repository: &Path, reader: &Reader<'_>) -> (String, Vec<u8>) {
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
    let script = script(guide).replacen(
        "cargo build",
        "cp -r --no-dereference ../prepared/. .\ncargo build",
        1,
    );
    let kit = "\"$JIMO_CONNECT/tests/run\" kit";
    assert!(script.contains(kit), "{script}");
    let standing = at.join("standing");
    let (script, says) = match reader {
        Reader::Elsewhere(says) => {
            fs::create_dir(&standing).expect("a folder");
            // The kit is built already, and where this very test is.
            let target = components::target_dir().with_file_name("");
            let kept = format!("CARGO_TARGET_DIR={} {kit}", target.display());
            (script.replace(kit, &kept), Some(says))
        }
        Reader::InRepository => {
            copy(repository, &standing);
            let given = "sh -c 'test -f \"$PLUGIN\" && test -d \"$FIXTURES\"'";
            (script.replace(kit, given), None)
        }
    };

    let mut bash = Command::new("bash");
    bash.current_dir(&standing).args(["-c", &script]);
    match says {
        Some(says) => bash.env("JIMO_CONNECT", says),
        None => bash.env_remove("JIMO_CONNECT"),
    };
    for name in components::OF_THE_TESTS {
        bash.env_remove(name);
    }
    let output = bash.output().expect("bash");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{errors}");
    if says.is_none() {
        // Nothing of the repository is touched.
        for name in ["Cargo.toml", "Cargo.lock"] {
            let [now, before] =
                [&standing, repository].map(|of| fs::read(of.join(name)).expect(name));
            assert!(now == before, "{name} differs");
        }
    }
    let built = at
        .join(CRATE)
        .join("target/wasm32-wasip2/plugin/my_connector.wasm");
    (told, fs::read(built).expect("a component"))
}

/// Copies of the repository what the guide asks of it, and what makes it a workspace.
fn copy(repository: &Path, to: &Path) {
    for folder in ["wit", "wit/example"] {
        fs::create_dir_all(to.join(folder)).expect("a folder");
        for entry in fs::read_dir(repository.join(folder)).expect("a folder") {
            let from = entry.expect("an entry").path();
            if from.is_file() {
                let name = from.file_name().expect("a name");
                fs::copy(&from, to.join(folder).join(name)).expect("a copy");
            }
        }
    }
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        fs::copy(repository.join(name), to.join(name)).expect("a copy");
    }
}

fn repository() -> (PathBuf, String) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository");
    let guide = fs::read_to_string(repository.join("wit/README.md")).expect("the guide");
    (repository, guide)
}

#[test]
fn the_guide_leads_from_nothing_to_a_component_that_is_tested_and_that_a_host_installs() {
    let (repository, guide) = repository();
    let (told, component) = follow(&guide, &repository, &Reader::Elsewhere(&repository));
    assert!(told.contains("recorded_bodies_give"), "{told}");
    let version = check(super::plugin::engine(), &component).expect("it is installed");
    assert_eq!(version.connector(), "my-source");
}

#[test]
fn the_guide_leads_out_of_the_repository_where_its_reader_stands_in_it() {
    let (repository, guide) = repository();
    let (_, component) = follow(&guide, &repository, &Reader::InRepository);
    check(super::plugin::engine(), &component).expect("it is installed");
}
