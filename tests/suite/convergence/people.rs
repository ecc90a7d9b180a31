//! The users of a project, and what they should have.

use std::{collections::BTreeMap, fmt::Write as _};

use harness::world::World;
use serde_json::{Value, json};

use super::{
    history::{Field, address},
    oracle::expected,
    portal::Portal,
};

/// A project's users, by slots.
#[derive(Default)]
pub struct People {
    /// The id and the address of each.
    users: BTreeMap<usize, (String, usize)>,
}

impl People {
    /// What is written of a user who has an address, in Jimo's own spelling.
    pub fn item(user: usize, number: usize) -> Value {
        let email = address(number).to_uppercase();
        json!({"external_id": format!("u-{user}"), "email": email})
    }

    /// A user was written, and has this id and address.
    pub fn came(&mut self, user: usize, number: usize, id: String) {
        self.users.insert(user, (id, number));
    }

    /// A user is to be deleted: the id, where there is one.
    pub fn went(&mut self, user: usize) -> Option<String> {
        self.users.remove(&user).map(|(id, _)| id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.users.len()
    }

    /// Compares the users of the world's project with what an account says of
    /// the fields that are mapped: nothing, where all have that and no more.
    pub async fn wrong(&self, world: &World, portal: &Portal, fields: &[Field]) -> String {
        let truth = portal.account.truth().unwrap();
        let mut wrong = String::new();
        for (user, (id, number)) in &self.users {
            let profile = world.user(id).await;
            let held = |variable: &str| {
                let held = profile["variables"].get(variable)?;
                let record = held["source"]["record_id"].as_str().unwrap();
                let value = match held["value"].as_f64() {
                    Some(number) => json!(number),
                    None => held["value"].clone(),
                };
                Some((value, record.parse::<u64>().unwrap()))
            };
            for (variable, mut allowed) in expected(&truth, &portal.texts, &address(*number)) {
                if !fields.iter().any(|field| field.2 == variable) {
                    allowed = vec![None];
                }
                let held = held(variable);
                if !allowed.contains(&held) {
                    let _ = writeln!(
                        wrong,
                        "user {user}: {variable} is {held:?}, expected {allowed:?}"
                    );
                }
            }
        }
        wrong
    }
}
