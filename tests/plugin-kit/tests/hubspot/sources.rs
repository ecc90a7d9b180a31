//! Where HubSpot's recorded bodies come from.

use crate::{fixtures, fixtures_folder};

#[test]
fn every_fixture_names_its_source() {
    let readme = std::fs::read_to_string(fixtures_folder().join("README.md"))
        .expect("the fixtures have a README");
    for fixture in fixtures() {
        let name = fixture
            .file
            .strip_prefix(fixtures_folder())
            .expect("a fixture is in its folder");
        assert!(
            readme.contains(&format!("`{}`", name.display())),
            "{} has no source",
            name.display()
        );
    }
}
