//! Jimo's own side: users written, and those who are new to the source filled
//! at once.
//!
//! What an arrival needs is asked for in the transaction that writes the user.

use std::collections::HashMap;

use super::{
    feeding::Feeder,
    report::{Origin, RecordReport},
    routing::ConnectionRoute,
};
use crate::{
    model::{
        Cause, Existence, KeyKind, ProjectId, Timestamp, UserId, UserIdentifier, Value, VariableId,
    },
    secrets::Keys,
    store::{self, Tx, users::User, variables::Variable},
};

/// Where arrivals come from, in the activity list.
const ORIGIN: Origin = Origin {
    word: "arrival",
    plugin: None,
};

/// A user to be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserItem {
    /// The customer's own id.
    pub external_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// Values by variable; none clears it.
    pub variables: Vec<(VariableId, Option<Value>)>,
}

/// Why a user could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither identifier is there.
    #[error("a user needs an external_id or an email")]
    Unidentified,
    /// Several users have the e-mail address.
    #[error("several users have this email: name one by its external_id")]
    Ambiguous,
}

/// What came of writing a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The user is new.
    Created(User),
    /// The user was there.
    Updated(User),
}

/// Writes users of one project, and asks for what those who arrive need.
pub struct Arrivals<'t, 'c> {
    tx: &'t Tx<'c>,
    keys: &'t Keys,
    project: ProjectId,
    routes: Vec<ConnectionRoute>,
    now: Timestamp,
}

impl<'t, 'c> Arrivals<'t, 'c> {
    /// Begins.
    pub fn new(
        tx: &'t Tx<'c>,
        keys: &'t Keys,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<Self, store::Error> {
        let mut routes = Vec::new();
        for connection in tx.connections(project)? {
            if let Some((account, _)) = &connection.account {
                routes.push(ConnectionRoute::of_account(tx, &connection, *account)?);
            }
        }
        Ok(Self {
            tx,
            keys,
            project,
            routes,
            now,
        })
    }

    /// Writes a user: who has the external id, else who has the e-mail address,
    /// else a new one. What an item does not name is left as it is.
    pub fn put(&self, item: &UserItem) -> Result<Result<Written, Refusal>, store::Error> {
        let found = match self.find(item)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (mut user, created) = match found {
            Some(user) => (user, false),
            None => (self.create(item)?, true),
        };
        if !created {
            let before = user.clone();
            user.external_id = item.external_id.clone().or(user.external_id);
            user.email = item.email.clone().or(user.email);
            user.name = item.name.clone().or(user.name);
            if user != before {
                self.tx.update_user(&user, self.now)?;
            }
        }
        for (variable, value) in &item.variables {
            self.tx
                .set_jimo_value(user.id, *variable, value.as_ref(), self.now)?;
        }
        self.identify(user.id, UserIdentifier::Email, user.email.as_deref())?;
        self.identify(
            user.id,
            UserIdentifier::ExternalId,
            user.external_id.as_deref(),
        )?;
        for (variable, value) in &item.variables {
            if self.is_matched(*variable) {
                let text = value.as_ref().and_then(key_text);
                self.identify(
                    user.id,
                    UserIdentifier::Variable(*variable),
                    text.as_deref(),
                )?;
            }
        }
        Ok(Ok(if created {
            Written::Created(user)
        } else {
            Written::Updated(user)
        }))
    }

    fn find(&self, item: &UserItem) -> Result<Result<Option<User>, Refusal>, store::Error> {
        if let Some(external_id) = &item.external_id {
            let filter = store::users::UserFilter {
                external_id: Some(external_id.clone()),
                ..Default::default()
            };
            return Ok(Ok(self
                .tx
                .users(self.project, &filter, UserId(0), 1)?
                .pop()));
        }
        let Some(email) = &item.email else {
            return Ok(Err(Refusal::Unidentified));
        };
        let filter = store::users::UserFilter {
            email: Some(email.clone()),
            ..Default::default()
        };
        let mut found = self.tx.users(self.project, &filter, UserId(0), 2)?;
        Ok(if found.len() > 1 {
            Err(Refusal::Ambiguous)
        } else {
            Ok(found.pop())
        })
    }

    fn create(&self, item: &UserItem) -> Result<User, store::Error> {
        let id = self.tx.create_user(
            self.project,
            item.external_id.as_deref(),
            item.email.as_deref(),
            item.name.as_deref(),
            self.now,
        )?;
        self.tx.user(self.project, id)
    }

    /// Whether a rule of the project names a variable: users are found by it then, and
    /// its keys are kept as values are written.
    pub fn is_matched(&self, variable: VariableId) -> bool {
        self.routes
            .iter()
            .flat_map(|route| &route.mappings)
            .any(|mapping| {
                mapping
                    .matching
                    .as_ref()
                    .is_some_and(|rule| rule.identifier == UserIdentifier::Variable(variable))
            })
    }

    /// A user is found by this text from now on. Records that it matches, by
    /// the match index, are linked, and read; where none is known, the source is
    /// asked.
    fn identify(
        &self,
        user: UserId,
        identifier: UserIdentifier,
        text: Option<&str>,
    ) -> Result<(), store::Error> {
        let (keys, changed) = self
            .tx
            .set_user_keys(self.project, user, identifier, text)?;
        if !changed {
            return Ok(());
        }
        for route in &self.routes {
            for mapping in &route.mappings {
                if mapping
                    .matching
                    .as_ref()
                    .is_some_and(|rule| rule.identifier == identifier)
                {
                    self.match_user(route, &mapping.object_type, user, &keys)?;
                }
            }
        }
        Ok(())
    }

    fn match_user(
        &self,
        route: &ConnectionRoute,
        object_type: &crate::model::ObjectType,
        user: UserId,
        keys: &[(KeyKind, String)],
    ) -> Result<(), store::Error> {
        let context = route.id.to_string();
        let mut wanted = HashMap::new();
        for (kind, key) in keys {
            let digest = self.keys.digest_match_key(&context, *kind, key);
            for (record, id, rank) in self.tx.records_by_digest(route.id, object_type, digest)? {
                let best = wanted.entry(record).or_insert((id, rank));
                best.1 = best.1.min(rank);
            }
        }
        // Jimo's own side has said who the user is.
        let mut feeder = Feeder::new(self.tx, route, Cause::ARRIVAL, self.now).unbraked();
        for (record, id) in self.tx.links_of_user(route.id, object_type, user)? {
            if !wanted.contains_key(&record) {
                self.tx.unlink(record, user)?;
                let state = self.tx.ensure_record(route.id, object_type, &id)?;
                feeder.links_changed(object_type, &state, &id, &[user])?;
            }
        }
        let mut is_known = false;
        for (record, (id, rank)) in wanted {
            let state = self.tx.ensure_record(route.id, object_type, &id)?;
            is_known |= matches!(state.existence, Existence::Unknown | Existence::Exists);
            self.tx.link(record, user, rank)?;
            feeder.links_changed(object_type, &state, &id, &[user])?;
            if !route.is_read {
                // What is pushed of it next fills what it feeds.
                continue;
            }
            let mut told = RecordReport::default();
            told.read();
            feeder.read_record(object_type, &id, Timestamp::default())?;
            feeder
                .report
                .record(&ORIGIN, object_type, &id, told, self.now);
        }
        if is_known || keys.is_empty() || !route.is_read {
            self.tx.drop_lookup(route.id, object_type, user)?;
        } else {
            let cause = Cause::ARRIVAL;
            self.tx
                .request_lookup(route.id, object_type, user, cause, self.now)?;
        }
        feeder.finish()?.save(self.tx, route.id, self.now)
    }

    /// Forgets a user. What nobody else reaches any more is let go.
    pub fn delete(&self, user: UserId) -> Result<(), store::Error> {
        self.tx.user(self.project, user)?;
        for identifier in [UserIdentifier::Email, UserIdentifier::ExternalId] {
            self.identify(user, identifier, None)?;
        }
        for route in &self.routes {
            for mapping in &route.mappings {
                if let Some(UserIdentifier::Variable(_)) =
                    mapping.matching.as_ref().map(|rule| rule.identifier)
                {
                    self.match_user(route, &mapping.object_type, user, &[])?;
                }
            }
        }
        self.tx.delete_user(user)
    }

    /// Makes a variable one that users are found by.
    pub fn index_variable(&self, variable: &Variable) -> Result<(), store::Error> {
        let identifier = UserIdentifier::Variable(variable.id);
        // What was found by it while another rule named it may be old.
        self.tx.drop_user_keys(self.project, identifier)?;
        for (user, value) in self.tx.values_of_variable(self.project, variable)? {
            self.tx
                .set_user_keys(self.project, user, identifier, key_text(&value).as_deref())?;
        }
        Ok(())
    }
}

/// What a value is matched by; none where values of its type cannot be.
pub fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
