//! What may happen: random steps, and how a person reads them.

use std::fmt;

use hubspot_sim::{ObjectType, Route, Trouble};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

/// How many records of each type there may be at once, by slots: few, so that
/// they meet often.
pub const RECORDS: usize = 3;

/// How many users there may be.
pub const USERS: usize = 3;

/// The addresses that users and contacts share.
pub const ADDRESSES: [&str; 3] = ["ana@example.com", "bo@example.com", "cy@example.com"];

/// The properties that are mapped, with the variable of each and whether it is
/// a number.
pub const FIELDS: [(ObjectType, &str, &str, bool); 6] = [
    (ObjectType::Contacts, "jobtitle", "contact_title", false),
    (
        ObjectType::Contacts,
        "total_revenue",
        "contact_revenue",
        true,
    ),
    (ObjectType::Companies, "name", "company_name", false),
    (
        ObjectType::Companies,
        "numberofemployees",
        "company_size",
        true,
    ),
    (ObjectType::Deals, "dealname", "deal_name", false),
    (ObjectType::Deals, "amount", "deal_amount", true),
];

/// One text more than a variable holds.
pub fn too_long() -> String {
    "x".repeat(701)
}

/// A whole history.
#[derive(Clone)]
pub struct History {
    /// How network and API behave throughout.
    pub weather: Weather,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// How network and API behave.
#[derive(Clone, Debug)]
pub struct Weather {
    /// What the simulator draws from.
    pub seed: u64,
    /// Whether webhooks are held until a step lets them go.
    pub hold: bool,
    /// The chance that an event never comes.
    pub loss: f64,
    /// The chance that an event comes twice.
    pub repeats: f64,
    /// The chance that an event comes late.
    pub disorder: f64,
    /// Most events of a delivery.
    pub batch_max: usize,
    /// How long a new record is not found.
    pub creation_lag_ms: i64,
    /// How long searches do not know of a change.
    pub search_lag_ms: i64,
    /// Associations on one page.
    pub associations_page: usize,
    /// Whether a batch of which nothing is found is a 404.
    pub missing_batch_is_404: bool,
}

/// One step.
#[derive(Clone)]
pub enum Step {
    /// A user is written with an address: a new one, or one who has another.
    PutUser { user: usize, address: usize },
    /// A user is deleted.
    DeleteUser { user: usize },
    /// A field is set, of a new record where the slot has none; at the moment
    /// of the step before, where that was in HubSpot too.
    Set {
        record: (ObjectType, usize),
        field: usize,
        text: String,
        at_once: bool,
    },
    /// HubSpot calculates a field anew, of a record that is there: no stamp moves.
    Calculate {
        record: (ObjectType, usize),
        field: usize,
        text: String,
    },
    /// A contact gets another address of its own, and additional ones.
    Readdress {
        contact: usize,
        own: Option<usize>,
        additional: Vec<usize>,
    },
    /// A contact is associated.
    Associate {
        contact: usize,
        to: (ObjectType, usize),
        primary: bool,
    },
    /// An association ends.
    Dissociate {
        contact: usize,
        to: (ObjectType, usize),
    },
    /// A record is deleted.
    Delete { record: (ObjectType, usize) },
    /// The record of a type that was deleted last is brought back.
    Restore { of: ObjectType },
    /// A contact is deleted for privacy.
    Erase { contact: usize },
    /// Two records of a type become one.
    Merge {
        of: ObjectType,
        primary: usize,
        other: usize,
    },
    /// Calls go wrong.
    Fail {
        route: Route,
        trouble: Trouble,
        times: u32,
    },
    /// The access token is not good any more.
    ExpireToken,
    /// Time passes.
    Wait { milliseconds: u64 },
    /// Webhooks are delivered; the host works on while the history goes on.
    Deliver,
    /// Webhooks are delivered and applied; reads go on with the history.
    Apply,
    /// Everything is delivered and worked on.
    Settle,
    /// A catch-up begins, unless one is under way.
    CatchUp,
    /// The host stops and starts again.
    Restart,
}

/// Random histories. Most begin with people who are customers already, so that
/// whatever happens next concerns somebody.
pub fn histories() -> impl Strategy<Value = History> {
    let customers = customers();
    let begin = subsequence(customers.clone(), 0..=customers.len()).prop_shuffle();
    (weather(), begin, vec(step(), 0..60)).prop_map(|(weather, begin, steps)| History {
        weather,
        steps: begin.into_iter().chain(steps).collect(),
    })
}

fn customers() -> Vec<Step> {
    let mut steps = Vec::new();
    for user in 0..USERS {
        steps.push(Step::PutUser {
            user,
            address: user % 2,
        });
    }
    for contact in 0..RECORDS {
        let (own, additional) = (Some(contact), vec![0]);
        steps.push(Step::Readdress {
            contact,
            own,
            additional,
        });
        for other in [contact, (contact + 1) % RECORDS] {
            for object_type in [ObjectType::Companies, ObjectType::Deals] {
                let (to, primary) = ((object_type, other), false);
                steps.push(Step::Associate {
                    contact,
                    to,
                    primary,
                });
            }
        }
    }
    for (field, (object_type, .., is_number)) in FIELDS.into_iter().enumerate() {
        for slot in 0..RECORDS {
            let text = if is_number {
                format!("{slot}.5")
            } else {
                format!("value {slot}")
            };
            steps.push(Step::Set {
                record: (object_type, slot),
                field,
                text,
                at_once: false,
            });
        }
    }
    steps
}

fn weather() -> impl Strategy<Value = Weather> {
    (
        any::<u64>(),
        any::<bool>(),
        select(&[0.0, 0.0, 0.3, 1.0][..]),
        select(&[0.0, 0.3][..]),
        select(&[0.0, 0.5][..]),
        select(&[100_usize, 3, 1][..]),
        select(&[(0_i64, 0_i64), (1_500, 0), (0, 60_000)][..]),
        select(&[500_usize, 1][..]),
        any::<bool>(),
    )
        .prop_map(
            |(
                seed,
                hold,
                loss,
                repeats,
                disorder,
                batch_max,
                (creation_lag_ms, search_lag_ms),
                associations_page,
                missing_batch_is_404,
            )| {
                Weather {
                    seed,
                    hold,
                    loss,
                    repeats,
                    disorder,
                    batch_max,
                    creation_lag_ms,
                    search_lag_ms,
                    associations_page,
                    missing_batch_is_404,
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let contact = || 0..RECORDS;
    let other = || {
        (
            select(&[ObjectType::Companies, ObjectType::Deals][..]),
            0..RECORDS,
        )
    };
    let object_type = || select(&ObjectType::ALL[..]);
    let address = || 0..ADDRESSES.len();
    let additional = || subsequence(vec![0, 1, 2], 0..=2).prop_shuffle();
    prop_oneof![
        5 => (0..USERS, address()).prop_map(|(user, address)| Step::PutUser { user, address }),
        1 => (0..USERS).prop_map(|user| Step::DeleteUser { user }),
        16 => set(),
        2 => set().prop_map(|step| match step {
            Step::Set { record, field, text, .. } => Step::Calculate { record, field, text },
            other => other,
        }),
        8 => (contact(), prop::option::weighted(0.8, address()), additional())
            .prop_map(|(contact, own, additional)| Step::Readdress { contact, own, additional }),
        10 => (contact(), other(), prop::bool::weighted(0.3))
            .prop_map(|(contact, to, primary)| Step::Associate { contact, to, primary }),
        3 => (contact(), other()).prop_map(|(contact, to)| Step::Dissociate { contact, to }),
        4 => (select(&ObjectType::ALL[..]), 0..RECORDS).prop_map(|record| Step::Delete { record }),
        5 => object_type().prop_map(|of| Step::Restore { of }),
        1 => contact().prop_map(|contact| Step::Erase { contact }),
        5 => (object_type(), 0..RECORDS, 0..RECORDS)
            .prop_map(|(of, primary, other)| Step::Merge { of, primary, other }),
        4 => failure(),
        1 => Just(Step::ExpireToken),
        2 => (1..3_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        3 => Just(Step::Deliver),
        4 => Just(Step::Apply),
        3 => Just(Step::Settle),
        1 => Just(Step::CatchUp),
        1 => Just(Step::Restart),
    ]
}

fn set() -> impl Strategy<Value = Step> {
    let text = select(&["", "one", "two", "three", "long"][..]);
    let number = select(&["", "7", "-2.5", "1000"][..]);
    (0..FIELDS.len(), 0..RECORDS, text, number, any::<bool>()).prop_map(
        |(field, slot, text, number, at_once)| {
            let (object_type, _, _, is_number) = FIELDS[field];
            let text = match (is_number, text) {
                (true, _) => number.to_owned(),
                (false, "long") => too_long(),
                (false, text) => text.to_owned(),
            };
            Step::Set {
                record: (object_type, slot),
                field,
                text,
                at_once,
            }
        },
    )
}

fn failure() -> impl Strategy<Value = Step> {
    let routes = [
        Route::BatchRead,
        Route::Associations,
        Route::Search,
        Route::Token,
    ];
    let route = select(routes.to_vec());
    let trouble = select(
        &[
            Trouble::TooManyRequests,
            Trouble::Status(502),
            Trouble::CutBody,
            Trouble::Reset,
            Trouble::ResetBefore,
            Trouble::SlowMs(20),
        ][..],
    );
    (route, trouble, 1..5_u32).prop_map(|(route, trouble, times)| Step::Fail {
        route,
        trouble,
        times,
    })
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.weather)?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3}. {step:?}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(object_type, slot): &(ObjectType, usize)| {
            format!("{} {slot}", object_type.singular())
        };
        let address =
            |address: &Option<usize>| address.map_or("none", |address| ADDRESSES[address]);
        match self {
            Self::PutUser { user, address } => write!(f, "user {user} has {}", ADDRESSES[*address]),
            Self::DeleteUser { user } => write!(f, "user {user} is deleted"),
            Self::Set {
                record,
                field,
                text,
                at_once,
            } => {
                let text = if *text == too_long() {
                    "too long a text"
                } else {
                    text
                };
                let moment = if *at_once { " at the same moment" } else { "" };
                write!(
                    f,
                    "{} gets {} = {text:?}{moment}",
                    named(record),
                    FIELDS[*field].1
                )
            }
            Self::Calculate {
                record,
                field,
                text,
            } => {
                let (record, property) = (named(record), FIELDS[*field].1);
                write!(f, "{record}'s {property} is calculated as {text:.9?}")
            }
            Self::Readdress {
                contact,
                own,
                additional,
            } => {
                write!(
                    f,
                    "contact {contact} has {}, additionally {:?}",
                    address(own),
                    additional
                        .iter()
                        .map(|one| ADDRESSES[*one])
                        .collect::<Vec<_>>()
                )
            }
            Self::Associate {
                contact,
                to,
                primary,
            } => {
                let how = if *primary { " as primary" } else { "" };
                write!(f, "contact {contact} is associated with {}{how}", named(to))
            }
            Self::Dissociate { contact, to } => {
                write!(
                    f,
                    "contact {contact} is associated with {} no more",
                    named(to)
                )
            }
            Self::Delete { record } => write!(f, "{} is deleted", named(record)),
            Self::Restore { of } => {
                write!(f, "the {} that was deleted last is restored", of.singular())
            }
            Self::Erase { contact } => write!(f, "contact {contact} is deleted for privacy"),
            Self::Merge { of, primary, other } => {
                let of = of.singular();
                write!(f, "{of} {other} is merged into {of} {primary}")
            }
            Self::Fail {
                route,
                trouble,
                times,
            } => write!(f, "{route:?} fails {times} times with {trouble:?}"),
            Self::ExpireToken => write!(f, "the access token expires"),
            Self::Wait { milliseconds } => write!(f, "{milliseconds} ms pass"),
            Self::Deliver => write!(f, "webhooks are delivered"),
            Self::Apply => write!(f, "webhooks are delivered and applied"),
            Self::Settle => write!(f, "everything settles"),
            Self::CatchUp => write!(f, "a catch-up begins"),
            Self::Restart => write!(f, "the host starts again"),
        }
    }
}
