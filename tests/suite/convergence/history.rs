//! What may happen: steps, and how a person reads them.

use std::fmt;

use hubspot_sim::{ObjectType, Route, Trouble};

/// An address that users and contacts share.
pub fn address(number: usize) -> String {
    format!("person-{number}@example.com")
}

/// A property that is mapped, its variable, and whether it is a number.
pub type Field = (ObjectType, &'static str, &'static str, bool);

/// All that are mapped.
pub const FIELDS: [Field; 6] = [
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
    /// Whether the host reads the journal too.
    pub journal: bool,
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
        match self {
            Self::PutUser { user, address } => {
                write!(f, "user {user} has address {address}")
            }
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
                    "contact {contact} has address {own:?}, additionally {additional:?}"
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
