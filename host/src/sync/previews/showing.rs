//! Following the matched records to others, and saying what users would show.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    super::{answers::Found, failures::Error},
    EXAMPLES_MAX, Matches, Preview, PreviewedType, Previewer, Sample, Several,
    looking::Looked,
};
use crate::{
    hubspot::objects::ASSOCIATION_INPUTS_MAX,
    model::{ObjectMapping, ObjectType, RecordId, UserId},
    pipeline::routing::ConnectionRoute,
    store::{self, Tx},
};

/// The most records of one type that are read because others lead to them. A
/// user whose records lead to more is none of the examples.
const FOLLOWED_MAX: usize = 300;

/// The most records that are applied of one example, of which one feeds them.
/// More match where the rule is not of what identifies anybody, and everybody's
/// writing would wait for that.
const RECORDS_OF_EXAMPLE_MAX: usize = 50;

/// The word for a property of which HubSpot's answer says nothing: we may not
/// read it.
const NOT_TOLD: &str = "not_told";

impl Previewer {
    /// Follows the matched records to others, and shows what examples would show.
    pub(super) async fn show(&self, mut looked: Vec<Looked>) -> Result<Preview, Error> {
        let mut reached: BTreeMap<usize, Matches> = looked
            .iter()
            .map(|one| (one.mapping, one.matches.clone()))
            .collect();
        let mut samples: BTreeMap<usize, Vec<UserId>> = BTreeMap::new();
        for one in &mut looked {
            let examples = one.matches.keys().take(EXAMPLES_MAX).copied();
            samples.insert(one.mapping, examples.collect());
            let from = self.mapping(one.mapping).object_type.clone();
            for (index, through) in self.route.mappings_through(&from) {
                let (matches, found) = self.follow(&one.matches, &from, through).await?;
                let (examples, records) = bounded(&matches);
                let (following, _) = self
                    .work
                    .read_all(&through.object_type, &Vec::from_iter(records))
                    .await?;
                let to = through.object_type.clone();
                let found = found_of(found, &one.matches, &examples);
                one.answers.associations.push((from.clone(), to, found));
                one.answers.following.extend(following);
                samples.insert(index, examples);
                reached.insert(index, matches);
            }
            let shown: BTreeSet<UserId> = samples.values().flatten().copied().collect();
            let records = shown.iter().filter_map(|user| one.matches.get(user));
            // A rule that matches hundreds is not shown by all of them.
            let records = records.flat_map(|records| records.iter().take(RECORDS_OF_EXAMPLE_MAX));
            one.answers.counted = records.cloned().collect();
        }
        let (looked, mut shown) = self.samples(looked, samples).await?;
        let types = self.route.mappings.iter().enumerate();
        let types = types.map(|(index, mapping)| {
            let matches = reached.remove(&index).unwrap_or_default();
            let own = looked.iter().find(|one| one.mapping == index);
            let from = mapping.through.as_ref();
            let from = from.and_then(|from| self.route.mapping(from));
            let from = from.map_or(index, |(from, _)| from);
            let mut began = looked.iter().filter(|one| one.mapping == from);
            self.told(
                mapping,
                (&matches, began.any(|one| one.is_cut)),
                own,
                shown.remove(&index).unwrap_or_default(),
            )
        });
        Ok(Preview {
            total: self.total,
            users: self.users.len(),
            types: types.collect(),
        })
    }

    /// What the users' records lead to, by user, and the associations that do.
    async fn follow(
        &self,
        matches: &Matches,
        from: &ObjectType,
        through: &ObjectMapping,
    ) -> Result<(Matches, Found), Error> {
        let records: BTreeSet<&RecordId> = matches.values().flatten().collect();
        let records: Vec<RecordId> = records.into_iter().cloned().collect();
        let mut found = Found::new();
        for some in records.chunks(ASSOCIATION_INPUTS_MAX) {
            let to = &through.object_type;
            let (some, _) = self.work.gather(from, to, some, &HashSet::new()).await?;
            found.extend(some);
        }
        let mut led = Matches::new();
        for (user, records) in matches {
            let all = records.iter().filter_map(|record| found.get(record));
            let ids: BTreeSet<RecordId> = all
                .flatten()
                .map(|association| association.to_record.clone())
                .collect();
            if !ids.is_empty() {
                led.insert(*user, ids);
            }
        }
        Ok((led, found))
    }

    /// What the examples of each mapping would show.
    async fn samples(
        &self,
        looked: Vec<Looked>,
        samples: BTreeMap<usize, Vec<UserId>>,
    ) -> Result<(Vec<Looked>, BTreeMap<usize, Vec<Sample>>), Error> {
        self.undone(move |feeder, apply| {
            for one in &looked {
                apply(feeder, &one.answers)?;
            }
            feeder.settle()?;
            let mut shown = BTreeMap::new();
            for (index, users) in samples {
                let of_mapping: Vec<Sample> = users
                    .into_iter()
                    .filter_map(|user| sample(feeder.tx, feeder.route, index, user).transpose())
                    .collect::<Result<_, _>>()?;
                shown.insert(index, of_mapping);
            }
            Ok((looked, shown))
        })
        .await
    }

    fn told(
        &self,
        mapping: &ObjectMapping,
        (matches, at_least): (&Matches, bool),
        own: Option<&Looked>,
        samples: Vec<Sample>,
    ) -> PreviewedType {
        let unmatched = self.users.iter().filter(|user| !matches.contains_key(user));
        let unmatched = unmatched.filter(|_| !at_least);
        let mut told = PreviewedType {
            object_type: mapping.object_type.clone(),
            identified: own.map_or(self.users.len(), |own| own.identified),
            matched: matches.len(),
            at_least,
            samples,
            unmatched: unmatched.take(EXAMPLES_MAX).copied().collect(),
            users_of_several: 0,
            records_of_several: 0,
            several: Vec::new(),
        };
        // Of several that are reached through others, the selection picks.
        let Some(own) = own else { return told };
        for (user, of_user) in matches.iter().filter(|(_, records)| records.len() > 1) {
            told.users_of_several += 1;
            if told.several.len() < EXAMPLES_MAX {
                let records = of_user.iter().take(EXAMPLES_MAX).cloned();
                told.several.push(Several {
                    users: vec![*user],
                    records: records.collect(),
                    unnamed: of_user.len().saturating_sub(EXAMPLES_MAX),
                });
            }
        }
        for (record, of_record) in own.users_of.iter().filter(|(_, users)| users.len() > 1) {
            told.records_of_several += 1;
            if told.several.len() < EXAMPLES_MAX {
                let users = of_record.iter().take(EXAMPLES_MAX).copied();
                told.several.push(Several {
                    users: users.collect(),
                    records: vec![record.clone()],
                    unnamed: of_record.len().saturating_sub(EXAMPLES_MAX),
                });
            }
        }
        told
    }
}

/// The first users whose records lead to no more than can be read, with these.
fn bounded(matches: &Matches) -> (Vec<UserId>, BTreeSet<RecordId>) {
    let (mut users, mut records) = (Vec::new(), BTreeSet::new());
    for (user, of_user) in matches {
        if users.len() == EXAMPLES_MAX {
            break;
        }
        if of_user.union(&records).count() <= FOLLOWED_MAX {
            users.push(*user);
            records.extend(of_user.iter().cloned());
        }
    }
    (users, records)
}

/// The associations of the examples' records alone: what others lead to is not
/// read.
fn found_of(found: Found, matches: &Matches, examples: &[UserId]) -> Found {
    let records: HashSet<&RecordId> = examples
        .iter()
        .filter_map(|user| matches.get(user))
        .flatten()
        .collect();
    found
        .into_iter()
        .filter(|(record, _)| records.contains(record))
        .collect::<HashMap<_, _>>()
}

/// What a user would show by a mapping; none where nothing feeds them after all.
fn sample(
    tx: &Tx<'_>,
    route: &ConnectionRoute,
    index: usize,
    user: UserId,
) -> Result<Option<Sample>, store::Error> {
    let mapping = &route.mappings[index];
    let Some(feed) = tx.feed(mapping.id, user)? else {
        return Ok(None);
    };
    let Some(record) = tx.record_id(feed.record)? else {
        return Ok(None);
    };
    let mut values = Vec::new();
    for field in mapping
        .fields
        .iter()
        .filter(|field| field.variable.is_some())
    {
        let register = tx.register(feed.record, field.id, field.target)?;
        values.push(match register {
            None => Err(NOT_TOLD.to_owned()),
            Some(register) => match register.unreadable {
                Some(reason) => Err(reason),
                None => Ok(register.readable.and_then(|readable| readable.value)),
            },
        });
    }
    Ok(Some(Sample {
        user,
        record,
        values,
    }))
}
