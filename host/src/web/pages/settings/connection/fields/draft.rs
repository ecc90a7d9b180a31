//! What somebody changes in a connection's fields, kept until it is saved: a
//! document of the whole, of whoever changes it ([`Author`]).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::super::super::super::Error;
use crate::{
    host::Host,
    model::{ConnectionId, ObjectType, ProjectId},
    plugin::Description,
    store::{
        self, Tx,
        drafts::{Author, Draft},
    },
    web::{
        api::{
            connections,
            mapping_document::{self, Document, FieldDocument, MatchingDocument, ObjectDocument},
        },
        session::Session,
    },
};

/// A connection's mappings as they are saved, and as their author has them.
pub struct Working {
    /// As this session has them.
    pub document: Document,
    /// As they are saved.
    pub saved: Document,
    /// The version that `document` began from.
    pub version: i64,
    /// The version that is saved.
    pub newest: i64,
}

/// How a document differs from what is saved. Fields come with their object type.
#[derive(Default)]
pub struct Changes {
    /// Fields that are new.
    pub added: Vec<(ObjectType, FieldDocument)>,
    /// Fields that are gone.
    pub removed: Vec<(ObjectType, FieldDocument)>,
    /// Fields that show something else of their choices.
    pub changed: Vec<(ObjectType, FieldDocument)>,
    /// Object types of which another record is selected.
    pub selections: Vec<ObjectType>,
}

impl Changes {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.added.len() + self.removed.len() + self.changed.len() + self.selections.len()
    }
}

impl Working {
    /// What somebody has.
    ///
    /// # Errors
    ///
    /// [`store::Error::NotFound`] where the connection is not the project's.
    pub fn load(
        tx: &Tx<'_>,
        project: ProjectId,
        id: ConnectionId,
        author: Author,
    ) -> Result<Self, store::Error> {
        tx.connection(project, id)?;
        let saved = mapping_document::of(tx, project, id)?;
        let newest = tx.mappings_version(id)?;
        let draft = tx.draft(id, author)?.and_then(|draft| {
            let document = serde_json::from_str(&draft.document);
            // One that another release wrote, in other words.
            let document = document.inspect_err(|error| {
                tracing::warn!(connection = %id, %error, "a draft of mappings was let go of");
            });
            Some((document.ok()?, draft.version))
        });
        let (mut document, version) = draft.unwrap_or_else(|| (saved.clone(), newest));
        rule_as_saved(&mut document, &saved);
        Ok(Self {
            document,
            saved,
            version,
            newest,
        })
    }

    /// Whether anything is not saved yet.
    pub fn is_changed(&self) -> bool {
        self.changes().count() > 0
    }

    /// Whether somebody else saved since this was begun.
    pub fn is_outdated(&self) -> bool {
        self.is_changed() && self.version != self.newest
    }

    /// What its author has, by a digest of it: two that differ in anything have two.
    ///
    /// # Errors
    ///
    /// [`store::Error::Undecodable`] where it cannot be written down.
    pub fn digest(&self) -> Result<String, store::Error> {
        let document = serde_json::to_vec(&self.document)
            .map_err(|_| store::Error::Undecodable("draft of mappings"))?;
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(document)))
    }

    /// What is not saved yet.
    pub fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        let nothing = ObjectDocument::default();
        for (object_type, object) in &self.document {
            let saved = self.saved.get(object_type).unwrap_or(&nothing);
            for field in &object.fields {
                let one = || (object_type.clone(), field.clone());
                match find(saved, field) {
                    None => changes.added.push(one()),
                    Some(held) if held.show != field.show => changes.changed.push(one()),
                    Some(_) => {}
                }
            }
            if !object.fields.is_empty()
                && !saved.fields.is_empty()
                && object.selection != saved.selection
            {
                changes.selections.push(object_type.clone());
            }
        }
        for (object_type, saved) in &self.saved {
            let object = self.document.get(object_type).unwrap_or(&nothing);
            let gone = saved
                .fields
                .iter()
                .filter(|one| find(object, one).is_none());
            let gone = gone.map(|field| (object_type.clone(), field.clone()));
            changes.removed.extend(gone);
        }
        changes
    }

    /// Keeps what its author has, where it differs from what is saved.
    ///
    /// # Errors
    ///
    /// The store's own.
    pub fn keep(
        &mut self,
        tx: &Tx<'_>,
        id: ConnectionId,
        author: Author,
        described: &Description,
        now: crate::model::Timestamp,
    ) -> Result<(), store::Error> {
        tidy(&mut self.document, &self.saved, described);
        if !self.is_changed() {
            return tx.drop_draft(id, author);
        }
        let document = serde_json::to_string(&self.document);
        let draft = Draft {
            version: self.version,
            document: document.map_err(|_| store::Error::Undecodable("draft of mappings"))?,
        };
        tx.save_draft(id, author, &draft, now)
    }
}

/// Takes over how records are matched: a draft is of fields, and what somebody
/// else says of matching meanwhile is not undone by it.
fn rule_as_saved(document: &mut Document, saved: &Document) {
    for (object_type, saved) in saved {
        // One without fields says that alone; else it is a field's removal.
        if saved.fields.is_empty() && !document.contains_key(object_type) {
            document.insert(object_type.clone(), saved.clone());
        }
        if let Some(object) = document.get_mut(object_type) {
            object.matching = saved.matching.clone();
        }
    }
}

/// The same field of an object type, whatever it shows.
pub fn find<'a>(object: &'a ObjectDocument, field: &FieldDocument) -> Option<&'a FieldDocument> {
    let mut fields = object.fields.iter();
    fields.find(|one| one.property == field.property && one.variable == field.variable)
}

/// Changes what a session's author has.
///
/// # Errors
///
/// As [`Working::load`].
pub async fn edit(
    host: &Arc<Host>,
    session: &Session,
    id: ConnectionId,
    change: impl FnOnce(&mut Document, &Description) + Send + 'static,
) -> Result<(), Error> {
    let (project, author, now) = (session.project.id, session.author(), host.clock.now());
    let plugin = connections::plugin(host, project, id).await?;
    let edited = host.store.transact(move |tx| {
        let mut working = Working::load(tx, project, id, author)?;
        change(&mut working.document, plugin.description());
        working.keep(tx, id, author, plugin.description(), now)
    });
    Ok(edited.await?)
}

/// Adds a field, with the object type that its own follows.
pub fn add(
    document: &mut Document,
    described: &Description,
    object_type: &ObjectType,
    field: FieldDocument,
) {
    let object = document.entry(object_type.clone()).or_default();
    object.fields.push(field);
    if let Some(through) = follows(described, object_type, object) {
        document.entry(through).or_default();
    }
}

/// The object type that records of one are reached through; none where they are
/// matched themselves.
pub fn follows(
    described: &Description,
    object_type: &ObjectType,
    object: &ObjectDocument,
) -> Option<ObjectType> {
    match &object.matching {
        Some(MatchingDocument::Through(through)) => Some(through.through.clone()),
        Some(MatchingDocument::Own(_)) => None,
        None => {
            let described = described.object_type(object_type)?;
            let own = described.default_match.is_some();
            described.through.first().filter(|_| !own).cloned()
        }
    }
}

/// Lets go of object types that nothing is mapped of any more: they would cost
/// calls for nothing. One that somebody set a rule for, that others follow or that
/// was saved so, stays.
fn tidy(document: &mut Document, saved: &Document, described: &Description) {
    let was_empty = |object_type: &ObjectType| {
        let saved = saved.get(object_type);
        saved.is_some_and(|saved| saved.fields.is_empty())
    };
    document.retain(|object_type, object| {
        let through = follows(described, object_type, object).is_some();
        !object.fields.is_empty() || !through || was_empty(object_type)
    });
    let followed: Vec<ObjectType> = document
        .iter()
        .filter_map(|(object_type, object)| follows(described, object_type, object))
        .collect();
    document.retain(|object_type, object| {
        !object.fields.is_empty()
            || object.matching.is_some()
            || saved.contains_key(object_type)
            || followed.contains(object_type)
    });
}
