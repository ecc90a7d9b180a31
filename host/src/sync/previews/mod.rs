//! Previews: what mappings would do for some real users, before they are saved.
//!
//! A connection that maps in this way is made in transactions that are undone,
//! and what HubSpot says of the users' records is applied to it there. So a
//! preview goes by the very rules that a full sync goes by. It writes nothing,
//! looks at a bounded number of users, and asks HubSpot as seldom as that allows.

mod scratch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    answers::{Answers, Found, OfKeys, asked_at_once},
    failures::Error,
    lines::CALLS_AT_ONCE,
    work::{Parsed, Work},
};
use crate::{
    host::Host,
    hubspot::objects::ASSOCIATION_INPUTS_MAX,
    model::{
        AccountId, MatchingRule, ObjectMapping, ObjectType, Priority, ProjectId, RecordId, UserId,
        Value,
    },
    pipeline::{
        feeding::Feeder,
        mapping::NewMappings,
        pages::ReadMoment,
        routing::{AccountRoute, ConnectionRoute},
    },
    store::{self, Tx},
};

/// The most users that one preview looks at. With a hundred a call, these are
/// ten calls of the some hundred that HubSpot allows in ten seconds.
pub const USERS_MAX: usize = 1_000;

/// The most users that are shown as examples of one thing.
pub const EXAMPLES_MAX: usize = 5;

/// The most records of one type that are read because others lead to them. A
/// user whose records lead to more is none of the examples.
const FOLLOWED_MAX: usize = 300;

/// The most records that are applied of one example, of which one feeds them.
/// More match where the rule is not of what identifies anybody, and everybody's
/// writing would wait for that.
const RECORDS_OF_EXAMPLE_MAX: usize = 50;

/// What calls are ordered by; nothing else is read for a connection that is
/// undone.
const SEQUENCE: i64 = 1;

/// Mappings to be previewed.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The project.
    pub project: ProjectId,
    /// The account.
    pub account: AccountId,
    /// The mappings; their variables need not exist.
    pub new: NewMappings,
    /// The most users to look at, up to [`USERS_MAX`].
    pub users_max: usize,
}

/// What mappings would do.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// How many users the project has.
    pub total: usize,
    /// How many of them were looked at, spread over all.
    pub users: usize,
    /// What each object mapping would do, in their order.
    pub types: Vec<PreviewedType>,
}

/// What one object mapping would do for the users that were looked at.
#[derive(Clone, Debug)]
pub struct PreviewedType {
    /// The object type.
    pub object_type: ObjectType,
    /// How many of the users have what the rule matches on; all, where records
    /// are reached through others.
    pub identified: usize,
    /// How many of the users its records would reach.
    pub matched: usize,
    /// Whether more records match than were looked at: then all counts of who and
    /// what matches are the least that there are, and nobody is known not to.
    pub at_least: bool,
    /// What some of these would show.
    pub samples: Vec<Sample>,
    /// Some that it would not reach.
    pub unmatched: Vec<UserId>,
    /// How many users several records match.
    pub users_of_several: usize,
    /// How many records match several users.
    pub records_of_several: usize,
    /// Some records and users of which either is so.
    pub several: Vec<Several>,
}

/// What a user would show.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The user.
    pub user: UserId,
    /// The record that would feed them.
    pub record: RecordId,
    /// What each field with a variable would show, in their order.
    pub values: Vec<Previewed>,
}

/// A value, nothing where the property is empty, or the word of why there is
/// none to be shown.
pub type Previewed = Result<Option<Value>, String>;

/// Records and users that match one another, more than one of either: the first
/// few of these.
#[derive(Clone, Debug)]
pub struct Several {
    /// The users.
    pub users: Vec<UserId>,
    /// The records.
    pub records: Vec<RecordId>,
}

/// The word for a property of which HubSpot's answer says nothing: we may not
/// read it.
const NOT_TOLD: &str = "not_told";

/// Which users' records match, by user.
type Matches = BTreeMap<UserId, BTreeSet<RecordId>>;

/// What one mapping that is matched itself came to.
struct Looked {
    mapping: usize,
    answers: Answers,
    identified: usize,
    /// Whether HubSpot has more records of the users than were looked at.
    is_cut: bool,
    matches: Matches,
    /// Whom a record matches, in the whole project.
    users_of: BTreeMap<RecordId, Vec<UserId>>,
}

/// Says what mappings would do.
///
/// # Errors
///
/// Where HubSpot does not answer, or what it says cannot be understood.
pub async fn preview(host: &Arc<Host>, wanted: Wanted) -> Result<Preview, Error> {
    let previewer = Previewer::begin(host, wanted).await?;
    let mut looked = Vec::new();
    for (mapping, rule) in previewer.rules() {
        looked.push(previewer.look(mapping, rule).await?);
    }
    previewer.show(looked).await
}

/// One preview under way.
struct Previewer {
    wanted: Arc<Wanted>,
    /// The connection as it was made first: what is parsed is in its terms.
    route: Arc<ConnectionRoute>,
    /// The users that are looked at.
    users: Arc<Vec<UserId>>,
    total: usize,
    /// For each mapping that is matched itself, by what the users are asked for.
    keys: BTreeMap<usize, Vec<(UserId, String)>>,
    work: Work,
}

impl Previewer {
    async fn begin(host: &Arc<Host>, wanted: Wanted) -> Result<Self, Error> {
        let (wanted, now) = (Arc::new(wanted), host.clock.now());
        let (project, max) = (wanted.project, wanted.users_max.min(USERS_MAX));
        // Counting them takes long, and nobody's writing waits for it.
        let spread = host.store.read(move |tx| tx.users_spread(project, max));
        let (users, total) = spread.await?;
        let asked = wanted.clone();
        let laid = host.store.rehearse(move |tx| {
            let route = scratch::lay(tx, &asked, &users, now)?;
            let keys = scratch::keys(tx, &route, &users)?;
            let account = tx.account(asked.account)?;
            Ok((route, users, keys, account, tx.configuration()?))
        });
        let (route, users, keys, account, configuration) = laid.await?;
        let route = Arc::new(route);
        let work = Work {
            host: host.clone(),
            route: Arc::new(AccountRoute::of(&account, vec![route.clone()], true)),
            configuration,
            sequence: SEQUENCE,
            priority: Priority::Live,
            calls: host.metrics.lookups.clone(),
        };
        Ok(Self {
            wanted,
            route,
            users: Arc::new(users),
            total,
            keys,
            work,
        })
    }

    fn rules(&self) -> impl Iterator<Item = (usize, &MatchingRule)> {
        let mappings = self.route.mappings.iter().enumerate();
        mappings.filter_map(|(index, mapping)| Some((index, mapping.matching.as_ref()?)))
    }

    fn mapping(&self, index: usize) -> &ObjectMapping {
        &self.route.mappings[index]
    }

    /// Asks HubSpot for the records of the users, and finds out whom they match.
    async fn look(&self, mapping: usize, rule: &MatchingRule) -> Result<Looked, Error> {
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

    /// Follows the matched records to others, and shows what examples would show.
    async fn show(&self, mut looked: Vec<Looked>) -> Result<Preview, Error> {
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

    /// Applies what was answered to a connection that maps as is wanted, in a
    /// transaction that is undone.
    async fn undone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Feeder<'_, '_>, &Apply<'_>) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let host = &self.work.host;
        let (keys, now, of) = (host.keys.clone(), host.clock.now(), self.route.id);
        let (wanted, users) = (self.wanted.clone(), self.users.clone());
        let moment = ReadMoment {
            sequence: SEQUENCE,
            answered_at: now,
        };
        let rehearsed = host.store.rehearse(move |tx| {
            let route = scratch::lay(tx, &wanted, &users, now)?;
            let cause = crate::model::Cause::LIVE;
            let mut feeder = Feeder::new(tx, &route, cause, now).unbraked();
            let apply = |feeder: &mut Feeder<'_, '_>, answers: &Answers| {
                answers.apply(feeder, &keys, of, moment, &HashSet::new())
            };
            work(&mut feeder, &apply)
        });
        Ok(rehearsed.await?)
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
        for (user, records) in matches.iter().filter(|(_, records)| records.len() > 1) {
            told.users_of_several += 1;
            if told.several.len() < EXAMPLES_MAX {
                let records = records.iter().take(EXAMPLES_MAX).cloned();
                told.several.push(Several {
                    users: vec![*user],
                    records: records.collect(),
                });
            }
        }
        for (record, users) in own.users_of.iter().filter(|(_, users)| users.len() > 1) {
            told.records_of_several += 1;
            if told.several.len() < EXAMPLES_MAX {
                let users = users.iter().take(EXAMPLES_MAX).copied();
                told.several.push(Several {
                    users: users.collect(),
                    records: vec![record.clone()],
                });
            }
        }
        told
    }
}

/// Applies answers to the connection of a preview.
type Apply<'a> = dyn Fn(&mut Feeder<'_, '_>, &Answers) -> Result<Vec<(ObjectType, Vec<RecordId>)>, store::Error>
    + 'a;

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
    let Some(key) = tx.feed(mapping.id, user)? else {
        return Ok(None);
    };
    let Some(record) = tx.record_id(key)? else {
        return Ok(None);
    };
    let mut values = Vec::new();
    for field in mapping
        .fields
        .iter()
        .filter(|field| field.variable.is_some())
    {
        let register = tx.register(key, field.id, field.target)?;
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
