//! Asking HubSpot for the users' records, and finding out whom they match.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    super::{
        answers::{Answers, OfKeys, asked_at_once},
        failures::Error,
        lines::CALLS_AT_ONCE,
        work::Parsed,
    },
    Matches, Previewer,
};
use crate::model::{MatchingRule, ObjectType, RecordId, UserId};

/// What one mapping that is matched itself came to.
pub(super) struct Looked {
    pub mapping: usize,
    pub answers: Answers,
    pub identified: usize,
    /// Whether HubSpot has more records of the users than were looked at.
    pub is_cut: bool,
    pub matches: Matches,
    /// Whom a record matches, in the whole project.
    pub users_of: BTreeMap<RecordId, Vec<UserId>>,
}

impl Previewer {
    /// Asks HubSpot for the records of the users, and finds out whom they match.
    pub(super) async fn look(&self, mapping: usize, rule: &MatchingRule) -> Result<Looked, Error> {
        let object_type = &self.mapping(mapping).object_type;
        let keys = self.keys.get(&mapping).map_or(&[][..], Vec::as_slice);
        let texts: BTreeSet<&String> = keys.iter().map(|(_, text)| text).collect();
        let texts: Vec<String> = texts.into_iter().cloned().collect();
        let (mut calls, mut rest) = (Vec::new(), &texts[..]);
        while !rest.is_empty() {
            let (some, others) = rest.split_at(asked_at_once(rest).min(rest.len()));
            calls.push(self.work.records_of_keys(object_type, rule, some));
            rest = others;
        }
        let parsed: Vec<OfKeys> = stream::iter(calls)
            .buffered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        let mut looked = Looked {
            mapping,
            answers: Answers::default(),
            identified: keys.len(),
            is_cut: parsed.iter().any(|some| some.is_cut),
            matches: Matches::new(),
            users_of: BTreeMap::new(),
        };
        // Page by page: nobody else's work waits long for what is undone.
        for page in parsed.into_iter().flat_map(|some| some.pages) {
            let (page, found) = self.links(object_type, page).await?;
            looked.answers.first.push(page);
            looked.users_of.extend(found);
        }
        let among: HashSet<&UserId> = self.users.iter().collect();
        for (record, users) in &looked.users_of {
            for user in users.iter().filter(|user| among.contains(user)) {
                let of_user = looked.matches.entry(*user).or_default();
                of_user.insert(record.clone());
            }
        }
        Ok(looked)
    }

    /// Whom the records of a page match.
    async fn links(
        &self,
        object_type: &ObjectType,
        page: Parsed,
    ) -> Result<(Parsed, Vec<(RecordId, Vec<UserId>)>), Error> {
        let answers = Answers {
            counted: page.page.answered.keys().cloned().collect(),
            first: vec![page],
            ..Answers::default()
        };
        let of_type = object_type.clone();
        let (mut answers, found) = self
            .undone(move |feeder, apply| {
                let reached = apply(feeder, &answers)?;
                let reached = reached.into_iter().flat_map(|(_, records)| records);
                let mut found = Vec::new();
                for record in reached {
                    let held = feeder.tx.find_record(feeder.route.id, &of_type, &record)?;
                    if let Some(held) = held {
                        let users = feeder.tx.links_of_record(held.key)?;
                        let users = users.into_iter().map(|(user, _)| user).collect();
                        found.push((record, users));
                    }
                }
                Ok((answers, found))
            })
            .await?;
        // It was put in, so it is there.
        let page = answers.first.pop().ok_or(Error::Ended)?;
        Ok((page, found))
    }
}
