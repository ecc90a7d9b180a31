//! Search: an index that lags behind, is not strictly in order, and ends at 10,000 results.
//!
//! HubSpot: search guide, and what connectors met where it is silent.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Deserialize;

use crate::config::ApiKnobs;
use crate::crm::{Account, ObjectType, Store};
use crate::definitions::Kind;
use crate::filter::{Filter, Operation, Range, Test, order_of, text_of, tokens};
use crate::record::Record;

const GROUPS_MAX: usize = 5;
const FILTERS_A_GROUP_MAX: usize = 6;
const FILTERS_MAX: usize = 18;
const LIMIT_MAX: usize = 200;
/// Past this many results paging ends with 400.
const RESULTS_MAX: usize = 10_000;
/// Longest body, in characters.
pub(crate) const BODY_CHARS_MAX: usize = 3_000;

/// The body of a search.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    filter_groups: Vec<Group>,
    sorts: Vec<serde_json::Value>,
    query: Option<String>,
    pub properties: Vec<String>,
    limit: usize,
    after: Option<serde_json::Value>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            filter_groups: Vec::new(),
            sorts: Vec::new(),
            query: None,
            properties: Vec::new(),
            limit: 10,
            after: None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    filters: Vec<Filter>,
}

/// A page of ids, how many there are in all, and where the next page begins.
pub(crate) struct Found {
    pub ids: Vec<u64>,
    pub total: usize,
    pub next: Option<usize>,
}

/// How far its stamps are off: in its order, and in its filters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flaws {
    disorder_ms: i64,
    window_ms: i64,
    seed: u64,
}

impl Flaws {
    pub(crate) fn of(knobs: &ApiKnobs, seed: u64) -> Self {
        Self {
            disorder_ms: knobs.search_disorder_ms,
            window_ms: knobs.search_window_ms,
            seed,
        }
    }

    /// A record as filters see it.
    fn filtered(self, record: &Record) -> Cow<'_, Record> {
        let off = jitter(record.id, !self.seed, self.window_ms);
        if off == 0 {
            return Cow::Borrowed(record);
        }
        let mut other = record.clone();
        other.updated_at += off;
        Cow::Owned(other)
    }
}

/// Runs a search; an error is a sentence for a 400.
pub(crate) fn run(
    account: &mut Account,
    object_type: ObjectType,
    request: &Request,
    now: i64,
    flaws: Flaws,
) -> Result<Found, String> {
    let after = check(request)?;
    account.store_mut(object_type).index.catch_up(now);
    let store = account.store(object_type);
    let groups = request
        .filter_groups
        .iter()
        .map(|group| {
            group
                .filters
                .iter()
                .map(|filter| Test::new(store, filter))
                .collect::<Result<Vec<_>, _>>()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sort = Sort::new(store, request)?;
    let words: Vec<String> = request.query.as_deref().map(tokens).unwrap_or_default();

    let mut hits: Vec<(Key, u64)> = Vec::new();
    let mut visit = |record: &Record| {
        let Some(shown) = store.index.shown(record) else {
            return;
        };
        let filtered = flaws.filtered(shown);
        if (groups.is_empty()
            || groups
                .iter()
                .any(|tests| tests.iter().all(|test| test.holds(account, &filtered))))
            && words.iter().all(|word| mentions(object_type, shown, word))
        {
            hits.push((sort.key(shown, flaws), record.id));
        }
    };
    store.index.lingering().values().for_each(&mut visit);
    match narrow(store, &groups) {
        Narrow::Ids(ids) => ids
            .iter()
            .filter_map(|id| store.live.get(id))
            .for_each(&mut visit),
        Narrow::Above(id) => store
            .live
            .range(id..)
            .map(|(_, record)| record)
            .for_each(&mut visit),
        Narrow::Updated(from) => store
            .by_update
            .range((from - flaws.window_ms, 0)..)
            .filter_map(|(_, id)| store.live.get(id))
            .for_each(&mut visit),
        Narrow::All => store.live.values().for_each(&mut visit),
    }
    let total = hits.len();
    let order = |a: &(Key, u64), b: &(Key, u64)| sort.order(&a.0, &b.0).then(a.1.cmp(&b.1));
    let end = (after + request.limit).min(total);
    if end < total && end > 0 {
        hits.select_nth_unstable_by(end - 1, order);
        hits.truncate(end);
    }
    hits.sort_unstable_by(order);
    let ids = hits.into_iter().skip(after).map(|(_, id)| id).collect();
    Ok(Found {
        ids,
        total,
        next: (end < total).then_some(end),
    })
}

/// Checks a request against HubSpot's limits; answers with the offset.
fn check(request: &Request) -> Result<usize, String> {
    let groups = request.filter_groups.len();
    let filters: usize = request.filter_groups.iter().map(|g| g.filters.len()).sum();
    let widest = request.filter_groups.iter().map(|g| g.filters.len()).max();
    if groups > GROUPS_MAX {
        return Err(format!(
            "There are too many filterGroups: at most {GROUPS_MAX} are allowed"
        ));
    }
    if widest.unwrap_or(0) > FILTERS_A_GROUP_MAX || filters > FILTERS_MAX {
        return Err(format!(
            "There are too many filters: at most {FILTERS_A_GROUP_MAX} in a group and {FILTERS_MAX} in all"
        ));
    }
    if request.sorts.len() > 1 {
        return Err("There are too many sorts: at most 1 is allowed".to_owned());
    }
    if request.limit > LIMIT_MAX {
        return Err(format!(
            "Invalid limit {}: it must be at most {LIMIT_MAX}",
            request.limit
        ));
    }
    let after = match &request.after {
        None | Some(serde_json::Value::Null) => 0,
        Some(value) => match text_of(value).as_str() {
            "" => 0,
            text => text
                .parse::<usize>()
                .map_err(|_| format!("after must be a number: {text}"))?,
        },
    };
    if after + request.limit > RESULTS_MAX {
        return Err(format!(
            "Searches end at {RESULTS_MAX} results: after {after} with a limit of {} is past that",
            request.limit
        ));
    }
    Ok(after)
}

/// Which records a search must look at, at most.
enum Narrow {
    All,
    Ids(Vec<u64>),
    Above(u64),
    Updated(i64),
}

/// Finds an index that serves a search of one group. An index by values serves only when nothing
/// is stale, for search may still know a record under what it held before.
fn narrow(store: &Store, groups: &[Vec<Test<'_>>]) -> Narrow {
    let [tests] = groups else {
        return Narrow::All;
    };
    for test in tests {
        let unique = test.property.unique || test.name == "hs_object_id";
        let wanted: &[String] = match &test.operation {
            Operation::In(wanted) if unique => wanted,
            Operation::Equal(wanted) if unique => std::slice::from_ref(wanted),
            _ => continue,
        };
        if !store.index.is_current() {
            continue;
        }
        let mut ids: Vec<u64> = wanted
            .iter()
            .filter_map(|value| {
                if test.name == "hs_object_id" {
                    value.parse().ok()
                } else {
                    store.find_unique(test.name, value)
                }
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        return Narrow::Ids(ids);
    }
    for test in tests {
        if let Operation::Range(Range { low: Some(low), .. }) = &test.operation {
            if test.name == "hs_object_id" && *low >= 0.0 {
                return Narrow::Above(*low as u64);
            }
            // Stamps only rise, so what search still knows under an older stamp is found too.
            if test.name == store.object_type.modified_property() {
                return Narrow::Updated(*low as i64);
            }
        }
    }
    Narrow::All
}

#[derive(Debug, PartialEq, PartialOrd)]
enum Key {
    Number(f64),
    Text(String),
    Missing,
}

/// The one sort of a search: by creation, oldest first, when none is asked for.
struct Sort {
    name: String,
    kind: Kind,
    descending: bool,
    object_type: ObjectType,
}

impl Sort {
    fn new(store: &Store, request: &Request) -> Result<Self, String> {
        let (name, descending) = match request.sorts.first() {
            None => ("createdate".to_owned(), false),
            Some(serde_json::Value::String(text)) => match text.strip_prefix('-') {
                Some(name) => (name.to_owned(), true),
                None => (text.clone(), false),
            },
            Some(sort) => (
                sort["propertyName"].as_str().unwrap_or_default().to_owned(),
                sort["direction"].as_str() == Some("DESCENDING"),
            ),
        };
        let Some((_, property)) = store.property(&name) else {
            return Err(format!("can't sort by '{name}': it does not exist"));
        };
        Ok(Self {
            kind: property.kind,
            name,
            descending,
            object_type: store.object_type,
        })
    }

    fn key(&self, record: &Record, flaws: Flaws) -> Key {
        let stamp = match self.name.as_str() {
            "hs_object_id" => return Key::Number(record.id as f64),
            "createdate" => Some(record.created_at),
            name if name == self.object_type.modified_property() => Some(record.updated_at),
            _ => None,
        };
        if let Some(ms) = stamp {
            let off = jitter(record.id, flaws.seed, flaws.disorder_ms);
            return Key::Number((ms + off) as f64);
        }
        let value = record.stored(&self.name);
        if value.is_empty() {
            return Key::Missing;
        }
        match self.kind {
            Kind::Number | Kind::Date | Kind::Datetime => {
                order_of(self.kind, value).map_or(Key::Missing, Key::Number)
            }
            _ => Key::Text(value.to_lowercase()),
        }
    }

    fn order(&self, a: &Key, b: &Key) -> Ordering {
        let order = a.partial_cmp(b).unwrap_or(Ordering::Equal);
        if self.descending {
            order.reverse()
        } else {
            order
        }
    }
}

/// How far a record's stamp is off: nothing for most, the same each time.
fn jitter(id: u64, seed: u64, reach_ms: i64) -> i64 {
    if reach_ms <= 0 {
        return 0;
    }
    let mixed = (id ^ seed.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if mixed >> 61 != 0 {
        return 0;
    }
    let span = u64::try_from(2 * reach_ms + 1).unwrap_or(1);
    i64::try_from((mixed >> 20) % span).unwrap_or(0) - reach_ms
}

fn mentions(object_type: ObjectType, record: &Record, word: &str) -> bool {
    let searched: &[&str] = match object_type {
        ObjectType::Contacts => &[
            "email",
            "firstname",
            "lastname",
            "phone",
            "company",
            "hs_additional_emails",
        ],
        ObjectType::Companies => &["name", "domain", "website", "phone"],
        ObjectType::Deals => &["dealname", "description"],
    };
    searched.iter().any(|name| {
        tokens(record.stored(name))
            .iter()
            .any(|token| token.starts_with(word))
    })
}
