//! Whom a rule would match, looked at before it is saved.

use super::super::{
    super::super::{Error, Visit},
    previewed::PreviewView,
};
use crate::{
    model::ConnectionId,
    plugin::ObjectTypeDescription,
    sync::previews::USERS_MAX,
    web::api::{
        mapping_document::{Document, MatchingDocument, ObjectDocument},
        previews,
    },
};

/// A rule that was checked, and can be used.
pub(super) struct Checked {
    /// In a sentence.
    pub(super) sentence: String,
    /// Whether it is the rule in force.
    pub(super) is_same: bool,
    /// Whether another rule is in force, whose links it drops.
    pub(super) changes: bool,
    /// How many users it matches; none where nothing can be read that would tell.
    pub(super) told: Result<Option<PreviewView>, Vec<String>>,
}

/// How many users a rule would match, as far as can be looked at in a moment.
pub(super) async fn look(
    (visit, id, is_read): (&Visit, ConnectionId, bool),
    document: &Document,
    described: &ObjectTypeDescription,
    wanted: MatchingDocument,
) -> Result<Result<Option<PreviewView>, Vec<String>>, Error> {
    let project = visit.session.project.id;
    let mut asked = Document::new();
    if let MatchingDocument::Through(through) = &wanted {
        let matching = document.get(&through.through);
        asked.insert(
            through.through.clone(),
            ObjectDocument {
                matching: matching.and_then(|object| object.matching.clone()),
                ..ObjectDocument::default()
            },
        );
    }
    asked.insert(
        described.name.clone(),
        ObjectDocument {
            matching: Some(wanted),
            ..ObjectDocument::default()
        },
    );
    if !is_read {
        let checked = previews::check(&visit.host, project, id, asked).await;
        return Ok(checked.map(|()| None).map_err(|error| error.sentences()));
    }
    let found = previews::of(&visit.host, project, id, asked.clone(), USERS_MAX).await;
    Ok(match found {
        Err(error) => Err(error.sentences()),
        Ok(mut preview) => {
            preview
                .types
                .retain(|one| one.object_type == described.name);
            Ok(Some(
                PreviewView::load(visit, id, &asked, preview, None).await?,
            ))
        }
    })
}
