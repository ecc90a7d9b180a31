//! Parsing, where most harm is done: to the host while elements are read, and
//! to the contract by what is told of them.

use serde_json::Value as Json;

use crate::{
    Component, always, bindings::exports::jimo::connect::parse as p, misbehaves, say, text,
};

/// What was parsed: the elements as they are.
#[derive(Debug)]
pub struct Parsed {
    kind: p::BodyKind,
    elements: Vec<Json>,
}

impl p::Guest for Component {
    type Parsed = Parsed;

    fn parse(kind: p::BodyKind, elements: Vec<u8>) -> Result<p::Parsed, p::ParseError> {
        let elements: Vec<Json> = match serde_json::from_slice(&elements) {
            Ok(elements) => elements,
            Err(_) if always("accept anything") => Vec::new(),
            Err(error) => return Err(p::ParseError::NotAnArray(error.to_string())),
        };
        if elements.is_empty() && always("spin on nothing") {
            spin();
        }
        if elements.contains(&Json::Null) && always("trap on null") {
            panic!("told to");
        }
        let has_cities = elements
            .iter()
            .any(|one| one.pointer("/properties/city").is_some());
        if has_cities && always("refuse cities") {
            return Err(p::ParseError::NotAnArray("told to".into()));
        }
        let says = |element: &Json, word: &str| {
            element.get("misbehave").and_then(Json::as_str) == Some(word)
        };
        let several = elements.iter().filter(|one| says(one, "as always")).count() > 1;
        if several && always("spin on several") {
            spin();
        }
        for element in &elements {
            match element.get("misbehave").and_then(Json::as_str) {
                Some("trap") => panic!("told to"),
                Some("spin") => spin(),
                Some("as always") if always("trap") => panic!("told to"),
                Some("as always") if always("spin") => spin(),
                Some("hoard") => hoard(),
                Some("recurse") => drop(recurse(0)),
                Some("divide") => {
                    let zero = element.as_array().map_or(0, Vec::len);
                    let _ = std::hint::black_box(1 / std::hint::black_box(zero));
                }
                Some("read") => {
                    let mut line = String::new();
                    let _ = std::io::stdin().read_line(&mut line);
                }
                Some("read without end") => loop {
                    let _ = std::io::stdin().read_line(&mut String::new());
                },
                Some("print without end") => loop {
                    eprintln!("to standard error");
                },
                Some("exit") => std::process::exit(0),
                Some("sleep on nothing") => sleep_on_nothing(),
                Some("print") => {
                    println!("to standard output");
                    eprintln!("to standard error");
                }
                Some("refuse all") => {
                    return Err(p::ParseError::NotAnArray("told\nto".into()));
                }
                Some("do not read") => return Err(p::ParseError::UnsupportedKind),
                _ => {}
            }
        }
        Ok(p::Parsed::new(Parsed { kind, elements }))
    }
}

fn spin() {
    let mut turns = 0u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns = turns.wrapping_add(2);
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

fn recurse(depth: u64) -> u64 {
    let kept = std::hint::black_box([depth; 64]);
    if std::hint::black_box(depth) == u64::MAX {
        0
    } else {
        recurse(depth + 1) + kept[7]
    }
}

/// Waits for whichever of no things happens first, which never does.
fn sleep_on_nothing() {
    #[cfg(target_arch = "wasm32")]
    #[allow(unsafe_code, reason = "the standard library has no name for it")]
    {
        #[link(wasm_import_module = "wasi:io/poll@0.2.6")]
        unsafe extern "C" {
            #[link_name = "poll"]
            fn poll(list: *const u32, count: usize, ready: *mut [usize; 2]);
        }
        let mut ready = [0; 2];
        // SAFETY: the list is empty, and there is room for the list that is returned.
        unsafe { poll(std::ptr::dangling(), 0, &raw mut ready) };
    }
}

/// All that two equal calls could differ by: the environment, addresses, the seed of
/// hash tables, and what an instance that was used before would have counted.
fn whatever_may_differ() -> String {
    use std::{
        collections::HashMap,
        sync::atomic::{AtomicU32, Ordering},
    };
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let (variables, arguments) = (std::env::vars().count(), std::env::args().count());
    let heap = Box::new(calls);
    let numbers: HashMap<u32, u32> = (0..50).map(|number| (number, number)).collect();
    let order: Vec<_> = numbers.keys().collect();
    let (heap, stack) = (&raw const *heap, &raw const calls);
    format!("{calls} {variables} {arguments} {heap:?} {stack:?} {order:?}")
}

impl Parsed {
    /// What it is dictated to answer.
    pub(crate) fn said(&self) -> Option<&Json> {
        self.elements.first()?.get("say")
    }

    pub(crate) fn indexed(&self) -> impl Iterator<Item = (u32, &Json)> {
        (0..)
            .zip(&self.elements)
            .filter(|(_, element)| !misbehaves(element, "refuse"))
    }

    fn tells_changes(&self) -> bool {
        matches!(self.kind, p::BodyKind::Delivery | p::BodyKind::JournalFile)
    }

    /// What an element has to convert: a change's property, or a record's.
    pub(crate) fn texts(&self, element: &Json) -> Vec<(String, String)> {
        if self.tells_changes() {
            return text(element, "property")
                .zip(text(element, "text"))
                .into_iter()
                .collect();
        }
        let properties = element.get("properties").and_then(Json::as_object);
        let texts = properties.into_iter().flatten();
        texts
            .map(|(name, json)| (name.clone(), json.as_str().unwrap_or("").to_owned()))
            .collect()
    }
}

impl p::GuestParsed for Parsed {
    fn refusals(&self) -> Vec<p::Refusal> {
        if let Some(said) = self.said() {
            return say::refusals(said);
        }
        (0..)
            .zip(&self.elements)
            .filter(|(_, element)| {
                misbehaves(element, "refuse") || misbehaves(element, "refuse and tell")
            })
            .map(|(element, _)| p::Refusal {
                element,
                reason: "told\u{1b}[31m to\u{202e}\n".into(),
            })
            .collect()
    }

    fn changes(&self, interests: Vec<p::Interest>) -> Vec<p::Change> {
        if let Some(said) = self.said() {
            return say::changes(said);
        }
        let (true, Some(interest)) = (self.tells_changes(), interests.first()) else {
            return vec![];
        };
        let mut changes: Vec<p::Change> = Vec::new();
        for (index, element) in self.indexed() {
            let kind = if let Some(property) = text(element, "property") {
                let place = interest
                    .properties
                    .iter()
                    .position(|name| *name == property);
                let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else {
                    continue;
                };
                let text = text(element, "text").unwrap_or_default();
                p::ChangeKind::PropertyChanged(p::PropertyText {
                    property: place,
                    text,
                })
            } else if let Some(survivor) = text(element, "into") {
                let merged = text(element, "objectId").into_iter().collect();
                p::ChangeKind::Merged(p::Merge { survivor, merged })
            } else {
                p::ChangeKind::Created
            };
            let mut change = p::Change {
                element: index,
                object_type: interest.object_type.clone(),
                occurred_at: element.get("at").and_then(Json::as_i64).unwrap_or(0),
                kind,
            };
            match element.get("misbehave").and_then(Json::as_str) {
                Some("foreign element") => {
                    change.element = u32::try_from(self.elements.len()).unwrap_or(0)
                }
                Some("last element") => change.element = u32::MAX,
                Some("foreign type") => change.object_type = "tickets".into(),
                Some("foreign property") => {
                    let property = u32::try_from(interest.properties.len()).unwrap_or(0);
                    let text = "x".into();
                    change.kind =
                        p::ChangeKind::PropertyChanged(p::PropertyText { property, text });
                }
                Some("foreign record") => {
                    let merged = vec!["987654321".into()];
                    change.kind = p::ChangeKind::Merged(p::Merge {
                        survivor: "2".into(),
                        merged,
                    });
                }
                Some("empty record") => {
                    change.kind = p::ChangeKind::AssociationChanged(p::AssociationChange {
                        to_type: "companies".into(),
                        to_record: String::new(),
                        removed: false,
                    });
                }
                Some("associate with a foreign type") => {
                    change.kind = p::ChangeKind::AssociationChanged(p::AssociationChange {
                        to_type: "tickets".into(),
                        to_record: "2".into(),
                        removed: false,
                    });
                }
                Some("no calendar") => change.occurred_at = i64::MAX,
                Some("differ") => {
                    change.kind = p::ChangeKind::PropertyChanged(p::PropertyText {
                        property: 1,
                        text: whatever_may_differ(),
                    });
                }
                Some("backwards") => {
                    changes.insert(0, change);
                    continue;
                }
                Some("flood") => changes.extend(std::iter::repeat_n(change.clone(), 100_000)),
                Some("flood of text") => {
                    change.kind = p::ChangeKind::PropertyChanged(p::PropertyText {
                        property: 0,
                        text: "x".repeat(16 << 20),
                    });
                }
                _ => {}
            }
            changes.push(change);
        }
        changes
    }

    fn records(&self, properties: Vec<String>) -> Vec<p::SourceRecord> {
        if let Some(said) = self.said() {
            return say::records(said);
        }
        if !matches!(self.kind, p::BodyKind::Records(_)) {
            return vec![];
        }
        let records = self.indexed().flat_map(|(index, element)| {
            let named = |place: u32, name: &String| {
                let text = element.get("properties")?.get(name)?.as_str()?.to_owned();
                Some(p::PropertyText {
                    property: place,
                    text,
                })
            };
            let mut record = p::SourceRecord {
                element: index,
                created_at: None,
                modified_at: element.get("at").and_then(Json::as_i64),
                archived: false,
                merged: text(element, "merged").into_iter().collect(),
                properties: (0..)
                    .zip(&properties)
                    .filter_map(|(place, name)| named(place, name))
                    .collect(),
            };
            if misbehaves(element, "property twice") {
                record.properties.extend(record.properties.clone());
            }
            let times = if misbehaves(element, "record twice") {
                2
            } else {
                1
            };
            std::iter::repeat_n(record, times)
        });
        records.collect()
    }

    fn associations(&self) -> Vec<p::AssociationSet> {
        if let Some(said) = self.said() {
            return say::associations(said);
        }
        if !matches!(self.kind, p::BodyKind::Associations(_)) {
            return vec![];
        }
        let sets = self.indexed().map(|(element, json)| {
            let to = json
                .get("to")
                .and_then(Json::as_array)
                .into_iter()
                .flatten();
            let associations = to.filter_map(Json::as_str).map(|to_record| p::Association {
                to_record: to_record.to_owned(),
                primary: false,
                labels: vec![],
            });
            let mut associations: Vec<_> = associations.collect();
            if misbehaves(json, "foreign record") {
                associations.clear();
                associations.push(p::Association {
                    to_record: "987654321".into(),
                    primary: true,
                    labels: vec![],
                });
            }
            p::AssociationSet {
                element,
                associations,
            }
        });
        sets.collect()
    }
}
