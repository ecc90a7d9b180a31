//! The simulator's own side: what tests and demos do to an account, and what they ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::changes::{Change, Stamp};
use crate::crm::{self, Error, ObjectType};
use crate::definitions::PropertySpec;
use crate::links::{LinkType, Links};
use crate::record::Source;
use crate::state::Shared;
use crate::truth::{self, TrueRecord, Truth};

/// How two records are associated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Without a label. The first company of a contact or deal becomes its primary one even so.
    #[default]
    Plain,
    /// As the primary company.
    Primary,
    /// With one of the account's own labels, or HubSpot's by its number.
    Type(LinkType),
}

/// One account, to be changed and looked at. Clones are the same account.
#[derive(Debug, Clone)]
pub struct Account {
    pub(crate) shared: Arc<Shared>,
    pub(crate) portal: u64,
    source: Source,
}

pub(crate) type Done<T = ()> = Result<T, Error>;

pub(crate) fn type_of(name: &str) -> Done<ObjectType> {
    ObjectType::parse(name).ok_or_else(|| Error::NoType(name.to_owned()))
}

fn owned(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Account {
    pub(crate) fn new(shared: Arc<Shared>, portal: u64) -> Self {
        Self {
            shared,
            portal,
            source: Source::default(),
        }
    }

    fn apply(
        &self,
        act: impl FnOnce(&mut crm::Account, Stamp) -> Result<Vec<Change>, Error>,
    ) -> Done {
        self.shared.apply(self.portal, self.source, act)
    }
}

/// Records: every change makes the events that the same change over the API would make.
impl Account {
    /// The account's id.
    #[must_use]
    pub fn portal(&self) -> u64 {
        self.portal
    }

    /// The same account, changed by someone else from here on.
    #[must_use]
    pub fn by(&self, source: Source) -> Self {
        let mut other = self.clone();
        other.source = source;
        other
    }

    /// Makes a record; answers with its id.
    ///
    /// # Errors
    /// When a value is refused or must be unique and is not.
    pub fn create(&self, object_type: &str, values: &[(&str, &str)]) -> Done<u64> {
        self.create_from(type_of(object_type)?, &owned(values))
    }

    pub(crate) fn create_from(
        &self,
        of: ObjectType,
        values: &BTreeMap<String, String>,
    ) -> Done<u64> {
        self.shared
            .change(self.portal, self.source, |account, ids, stamp| {
                account.create(of, values, stamp, ids)
            })
    }

    /// Changes properties of a record; an empty text clears one.
    ///
    /// # Errors
    /// When there is no such record, or a value is refused.
    pub fn patch(&self, object_type: &str, id: u64, values: &[(&str, &str)]) -> Done {
        self.patch_from(type_of(object_type)?, id, &owned(values))
    }

    pub(crate) fn patch_from(
        &self,
        of: ObjectType,
        id: u64,
        values: &BTreeMap<String, String>,
    ) -> Done {
        self.apply(|account, stamp| account.patch(of, id, values, stamp))
    }

    /// Moves a record to the recycle bin.
    ///
    /// # Errors
    /// When there is no such record.
    pub fn delete(&self, object_type: &str, id: u64) -> Done {
        let of = type_of(object_type)?;
        self.apply(|account, stamp| account.delete(of, id, stamp))
    }

    /// Brings a record back from the recycle bin.
    ///
    /// # Errors
    /// When it is not there, or a unique value of it is taken by now.
    pub fn restore(&self, object_type: &str, id: u64) -> Done {
        let of = type_of(object_type)?;
        self.apply(|account, stamp| account.restore(of, id, stamp))
    }

    /// Erases a record for privacy, live or archived.
    ///
    /// # Errors
    /// When there is no such record.
    pub fn erase(&self, object_type: &str, id: u64) -> Done {
        let of = type_of(object_type)?;
        self.apply(|account, stamp| account.erase(of, id, stamp))
    }

    /// Merges two records; answers with the id of what they became.
    ///
    /// # Errors
    /// When either does not exist, or they are one.
    pub fn merge(&self, object_type: &str, primary: u64, loser: u64) -> Done<u64> {
        let of = type_of(object_type)?;
        self.shared
            .change(self.portal, self.source, |account, ids, stamp| {
                account.merge(of, primary, loser, stamp, ids)
            })
    }

    /// Writes a calculated property: no event tells of it, and no stamp moves.
    ///
    /// # Errors
    /// When there is no such record or property.
    pub fn recalculate(&self, object_type: &str, id: u64, property: &str, value: &str) -> Done {
        let of = type_of(object_type)?;
        self.apply(|account, stamp| {
            account.recalculate(of, id, property, value, stamp.at)?;
            Ok(Vec::new())
        })
    }

    /// Moves a record's last-modified stamp, and changes nothing else.
    ///
    /// # Errors
    /// When there is no such record.
    pub fn touch(&self, object_type: &str, id: u64) -> Done {
        let of = type_of(object_type)?;
        self.apply(|account, stamp| {
            account.touch(of, id, stamp)?;
            Ok(Vec::new())
        })
    }

    /// Associates two records, given as type and id.
    ///
    /// # Errors
    /// When either does not exist, or the two types have no such association.
    pub fn associate(&self, from: (&str, u64), to: (&str, u64), link: Link) -> Done {
        let (from, to) = ((type_of(from.0)?, from.1), (type_of(to.0)?, to.1));
        let types = match link {
            Link::Plain => Vec::new(),
            Link::Type(link) => vec![link],
            Link::Primary => vec![Links::primary(from.0, to.0).ok_or_else(|| {
                Error::Refused(format!(
                    "{} and {} have no primary association",
                    from.0.name(),
                    to.0.name()
                ))
            })?],
        };
        self.apply(|account, stamp| account.associate(from, to, &types, stamp))
    }

    /// Ends all associations of two records.
    ///
    /// # Errors
    /// When either does not exist.
    pub fn dissociate(&self, from: (&str, u64), to: (&str, u64)) -> Done {
        let (from, to) = ((type_of(from.0)?, from.1), (type_of(to.0)?, to.1));
        self.apply(|account, stamp| account.dissociate(from, to, None, stamp))
    }
}

/// Definitions.
impl Account {
    /// Defines a property.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn define(&self, object_type: &str, spec: PropertySpec) -> Done {
        let of = type_of(object_type)?;
        let now = self.shared.clock.now_ms();
        let mut state = self.shared.lock();
        state.world.account(self.portal)?.define(of, spec, now)?;
        Ok(())
    }

    /// The definition of a property; one that can't be written counts as calculated.
    ///
    /// # Errors
    /// When there is no such account or type.
    pub fn definition(&self, object_type: &str, name: &str) -> Done<Option<PropertySpec>> {
        let of = type_of(object_type)?;
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        let property = account.store(of).properties.get(name);
        Ok(property.map(crate::definitions::Property::spec))
    }

    /// Archives a property of the account's own.
    ///
    /// # Errors
    /// When there is none, or it is HubSpot's.
    pub fn archive_property(&self, object_type: &str, name: &str) -> Done {
        let of = type_of(object_type)?;
        let now = self.shared.clock.now_ms();
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        account.archive_property(of, name, now)
    }

    /// Defines a label for associations, with its name from the other side.
    ///
    /// # Errors
    /// When there is no such account or type.
    pub fn define_label(
        &self,
        from: &str,
        to: &str,
        label: &str,
        inverse_label: &str,
    ) -> Done<LinkType> {
        let (from, to) = (type_of(from)?, type_of(to)?);
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        Ok(account.links.define(from, to, label, inverse_label))
    }
}

/// What is true.
impl Account {
    /// The whole account. Its size is that of all its records.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn truth(&self) -> Done<Truth> {
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        Ok(truth::of_account(account))
    }

    /// One record, live or archived, through merges.
    ///
    /// # Errors
    /// When there is none.
    pub fn record(&self, object_type: &str, id: u64) -> Done<TrueRecord> {
        let of = type_of(object_type)?;
        let mut state = self.shared.lock();
        let account = state.world.account(self.portal)?;
        let store = account.store(of);
        let record = store
            .find(id)
            .or_else(|| store.archived.get(&store.resolve(id)))
            .ok_or_else(|| crate::changes::missing(of, id))?;
        Ok(truth::of_record(account, of, record))
    }

    /// How many live records there are of a type.
    ///
    /// # Errors
    /// When there is no such account or type.
    pub fn count(&self, object_type: &str) -> Done<usize> {
        let of = type_of(object_type)?;
        let mut state = self.shared.lock();
        Ok(state.world.account(self.portal)?.store(of).live.len())
    }
}
