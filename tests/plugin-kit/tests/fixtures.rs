//! Recorded bodies and what becomes of them, in files that a person can read. `UPDATE_EXPECTED=1` rewrites them.

use crate::{fixtures, run};

#[test]
fn recorded_bodies_give_what_is_written_beside_them() {
    let mut differing = Vec::new();
    for fixture in fixtures() {
        let expected = fixture.file.with_extension("expected.txt");
        let answered = run(&fixture);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, answered).expect("the expected file is writable");
            continue;
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        if answered != written {
            differing.push(format!(
                "{}\n--- expected\n{written}--- answered\n{answered}",
                expected.display()
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
