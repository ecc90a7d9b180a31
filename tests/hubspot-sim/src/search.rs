//! Search: an index that lags behind, is not strictly in order, and ends at 10,000 results.
//!
//! HubSpot: search guide; `hubspot.md` §7.1 to §7.4 for what connectors met.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::changes::Stamp;
use crate::crm::{Account, ObjectType, Store};
use crate::definitions::{Kind, Property};
use crate::record::Record;
use crate::values::moment_ms;

const GROUPS_MAX: usize = 5;
const FILTERS_A_GROUP_MAX: usize = 6;
const FILTERS_MAX: usize = 18;
const LIMIT_MAX: usize = 200;
/// Past this many results paging ends with 400.
const RESULTS_MAX: usize = 10_000;
/// Longest body, in characters.
pub(crate) const BODY_CHARS_MAX: usize = 3_000;

/// What search shows of changed records until it has caught up.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// When search sees a change: moment, number, record.
    due: BTreeMap<(i64, u64), u64>,
    next: u64,
    /// What it shows until then; `None` is a record that it does not know yet.
    stale: HashMap<u64, Option<Record>>,
}

impl Index {
    /// Notes that a record changes now from what it was before.
    pub(crate) fn note(&mut self, id: u64, before: Option<Record>, stamp: Stamp) {
        if stamp.lag_ms <= 0 {
            return;
        }
        self.next += 1;
        self.due.insert((stamp.at + stamp.lag_ms, self.next), id);
        self.stale.entry(id).or_insert(before);
    }

    /// Forgets a record that is gone.
    pub(crate) fn forget(&mut self, id: u64) {
        self.stale.remove(&id);
    }

    /// Lets in what is due.
    fn catch_up(&mut self, now: i64) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let id = entry.remove();
            self.stale.remove(&id);
        }
    }

    /// A live record as search knows it.
    fn shown<'a>(&'a self, live: &'a Record) -> Option<&'a Record> {
        match self.stale.get(&live.id) {
            Some(before) => before.as_ref(),
            None => Some(live),
        }
    }
}

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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    property_name: String,
    operator: String,
    #[serde(default)]
    value: Option<serde_json::Value>,
    #[serde(default)]
    values: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    high_value: Option<serde_json::Value>,
}

/// A page of ids, how many there are in all, and where the next page begins.
pub(crate) struct Found {
    pub ids: Vec<u64>,
    pub total: usize,
    pub next: Option<usize>,
}

/// Runs a search; an error is a sentence for a 400.
pub(crate) fn run(
    account: &mut Account,
    object_type: ObjectType,
    request: &Request,
    now: i64,
    disorder_ms: i64,
    seed: u64,
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
        if let Some(shown) = store.index.shown(record)
            && (groups.is_empty()
                || groups
                    .iter()
                    .any(|tests| tests.iter().all(|test| test.holds(account, shown))))
            && words.iter().all(|word| mentions(object_type, shown, word))
        {
            hits.push((sort.key(shown, disorder_ms, seed), record.id));
        }
    };
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
            .range((from, 0)..)
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
        if !store.index.stale.is_empty() {
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
        if let Operation::Range { low: Some(low), .. } = &test.operation {
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

/// One filter, made ready.
struct Test<'a> {
    name: &'a str,
    property: &'a Property,
    object_type: ObjectType,
    operation: Operation,
}

enum Operation {
    Equal(String),
    NotEqual(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Range {
        low: Option<f64>,
        low_open: bool,
        high: Option<f64>,
        high_open: bool,
    },
    Has,
    HasNot,
    Contains(Vec<String>),
    ContainsNot(Vec<String>),
    Linked(ObjectType, Vec<u64>),
}

impl<'a> Test<'a> {
    fn new(store: &'a Store, filter: &'a Filter) -> Result<Self, String> {
        let name = filter.property_name.as_str();
        let linked = name
            .strip_prefix("associations.")
            .and_then(ObjectType::parse);
        let looked_up = if linked.is_some() {
            "hs_object_id"
        } else {
            name
        };
        let Some((_, property)) = store.property(looked_up) else {
            return Err(format!(
                "There was a problem with the request: property '{name}' does not exist"
            ));
        };
        let exact = property.kind == Kind::Enumeration;
        let fold = |text: String| if exact { text } else { text.to_lowercase() };
        let value = || {
            filter
                .value
                .as_ref()
                .map(text_of)
                .ok_or_else(|| format!("operator {} requires a value", filter.operator))
        };
        let values = || {
            filter
                .values
                .as_ref()
                .map(|values| values.iter().map(text_of).collect::<Vec<_>>())
                .filter(|values| !values.is_empty())
                .ok_or_else(|| format!("operator {} requires values", filter.operator))
        };
        let number = |text: &str| {
            order_of(property.kind, text)
                .ok_or_else(|| format!("{text} is not a value of property {name}"))
        };
        let above = |low: Option<f64>, low_open, high: Option<f64>, high_open| Operation::Range {
            low,
            low_open,
            high,
            high_open,
        };
        let operation = match (linked, filter.operator.as_str()) {
            (Some(to), "EQ") => Operation::Linked(to, parse_ids(&[value()?])),
            (Some(to), "IN") => Operation::Linked(to, parse_ids(&values()?)),
            (Some(_), other) => {
                return Err(format!("operator {other} can't be used with associations"));
            }
            (None, "EQ") => Operation::Equal(fold(value()?)),
            (None, "NEQ") => Operation::NotEqual(fold(value()?)),
            (None, "IN") => Operation::In(values()?),
            (None, "NOT_IN") => Operation::NotIn(values()?),
            (None, "LT") => above(None, false, Some(number(&value()?)?), true),
            (None, "LTE") => above(None, false, Some(number(&value()?)?), false),
            (None, "GT") => above(Some(number(&value()?)?), true, None, false),
            (None, "GTE") => above(Some(number(&value()?)?), false, None, false),
            (None, "BETWEEN") => {
                let high = filter
                    .high_value
                    .as_ref()
                    .map(text_of)
                    .ok_or("operator BETWEEN requires a highValue")?;
                above(Some(number(&value()?)?), false, Some(number(&high)?), false)
            }
            (None, "HAS_PROPERTY") => Operation::Has,
            (None, "NOT_HAS_PROPERTY") => Operation::HasNot,
            (None, "CONTAINS_TOKEN") => Operation::Contains(patterns(&value()?)),
            (None, "NOT_CONTAINS_TOKEN") => Operation::ContainsNot(patterns(&value()?)),
            (None, other) => return Err(format!("{other} is not an operator")),
        };
        Ok(Self {
            name,
            property,
            object_type: store.object_type,
            operation,
        })
    }

    fn holds(&self, account: &Account, record: &Record) -> bool {
        if let Operation::Linked(to, ids) = &self.operation {
            let from = (self.object_type, record.id);
            return ids
                .iter()
                .any(|id| !account.links.between(from, (*to, *id)).is_empty());
        }
        let value = record
            .read(self.object_type, self.name)
            .filter(|value| !value.is_empty());
        let Some(value) = value else {
            return matches!(
                self.operation,
                Operation::HasNot | Operation::NotIn(_) | Operation::ContainsNot(_)
            );
        };
        let kind = self.property.kind;
        match &self.operation {
            Operation::Equal(wanted) => same(kind, &value, wanted),
            Operation::NotEqual(wanted) => !same(kind, &value, wanted),
            Operation::In(wanted) => wanted.iter().any(|wanted| same(kind, &value, wanted)),
            Operation::NotIn(wanted) => !wanted.iter().any(|wanted| same(kind, &value, wanted)),
            Operation::Range {
                low,
                low_open,
                high,
                high_open,
            } => order_of(kind, &value).is_some_and(|at| {
                low.is_none_or(|low| if *low_open { at > low } else { at >= low })
                    && high.is_none_or(|high| if *high_open { at < high } else { at <= high })
            }),
            Operation::Has => true,
            Operation::HasNot => false,
            Operation::Contains(patterns) => contains(&value, patterns),
            Operation::ContainsNot(patterns) => !contains(&value, patterns),
            Operation::Linked(..) => false,
        }
    }
}

/// Whether a value equals what a filter names: for choices exactly and one of several, for
/// numbers and moments by what they mean, for text without regard to case.
fn same(kind: Kind, value: &str, wanted: &str) -> bool {
    match kind {
        Kind::Enumeration => value.split(';').any(|part| part == wanted),
        Kind::Number | Kind::Date | Kind::Datetime => {
            match (order_of(kind, value), order_of(kind, wanted)) {
                (Some(value), Some(wanted)) => value == wanted,
                _ => value == wanted,
            }
        }
        _ => value.to_lowercase() == wanted.to_lowercase(),
    }
}

/// Where a value stands among others of its property.
fn order_of(kind: Kind, text: &str) -> Option<f64> {
    match kind {
        Kind::Date | Kind::Datetime => moment_ms(text).map(|ms| ms as f64),
        _ => text.trim().parse().ok(),
    }
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

    fn key(&self, record: &Record, disorder_ms: i64, seed: u64) -> Key {
        let stamp = match self.name.as_str() {
            "hs_object_id" => return Key::Number(record.id as f64),
            "createdate" => Some(record.created_at),
            name if name == self.object_type.modified_property() => Some(record.updated_at),
            _ => None,
        };
        if let Some(ms) = stamp {
            return Key::Number((ms + jitter(record.id, seed, disorder_ms)) as f64);
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

/// How far a record stands from its place in the order: nothing for most, the same each time.
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

fn tokens(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The words of a token filter, with their stars kept.
fn patterns(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric() && letter != '*')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn contains(value: &str, patterns: &[String]) -> bool {
    let tokens = tokens(value);
    patterns.iter().all(|pattern| {
        let bare = pattern.trim_matches('*');
        tokens.iter().any(
            |token| match (pattern.starts_with('*'), pattern.ends_with('*')) {
                (true, true) => token.contains(bare),
                (true, false) => token.ends_with(bare),
                (false, true) => token.starts_with(bare),
                (false, false) => token == bare,
            },
        )
    })
}

fn parse_ids(values: &[String]) -> Vec<u64> {
    values.iter().filter_map(|id| id.parse().ok()).collect()
}

fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
