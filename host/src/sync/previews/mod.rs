//! Previews: what mappings would do for some real users, before they are saved.
//!
//! A connection that maps in this way is made in transactions that are undone,
//! and what HubSpot says of the users' records is applied to it there. So a
//! preview goes by the very rules that a full sync goes by. It writes nothing,
//! looks at a bounded number of users, and asks HubSpot as seldom as that allows.

mod looking;
mod scratch;
mod showing;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{answers::Answers, failures::Error, work::Work};
use crate::{
    host::Host,
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
    store,
};

/// The most users that one preview looks at. With a hundred a call, these are
/// ten calls of the some hundred that HubSpot allows in ten seconds.
pub const USERS_MAX: usize = 1_000;

/// The most users that are shown as examples of one thing.
pub const EXAMPLES_MAX: usize = 5;

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
    /// How many more there are of whichever are several.
    pub unnamed: usize,
}

/// Which users' records match, by user.
type Matches = BTreeMap<UserId, BTreeSet<RecordId>>;

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
            Ok((route, users, keys, account))
        });
        let (route, users, keys, account) = laid.await?;
        let route = Arc::new(route);
        let work = Work {
            host: host.clone(),
            route: Arc::new(AccountRoute::of(&account, vec![route.clone()], true)),
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
}

/// Applies answers to the connection of a preview.
type Apply<'a> = dyn Fn(&mut Feeder<'_, '_>, &Answers) -> Result<Vec<(ObjectType, Vec<RecordId>)>, store::Error>
    + 'a;
