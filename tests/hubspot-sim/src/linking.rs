//! Making and ending associations, with the facts they leave: one for each side and type.
//!
//! They never move the last-modified stamp of a record.

use crate::changes::{Change, Fact, Stamp};
use crate::crm::{Account, Error};
use crate::links::{Category, Key, LinkType, Links};

impl Account {
    /// Associates two live records. Every association has the unlabelled type; the first company
    /// of a contact or deal becomes its primary one, and there is one primary at most.
    pub(crate) fn associate(
        &mut self,
        from: Key,
        to: Key,
        types: &[LinkType],
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let from = (from.0, self.require(from.0, from.1)?);
        let to = (to.0, self.require(to.0, to.1)?);
        if from == to {
            return Err(Error::Refused(
                "A record can't be associated with itself".to_owned(),
            ));
        }
        for link in types {
            if self.links.label(from.0, to.0, *link).is_none() {
                return Err(Error::Refused(format!(
                    "{} {} is not an association type from {} to {}",
                    link.category.name(),
                    link.type_id,
                    from.0.name(),
                    to.0.name(),
                )));
            }
        }
        let mut wanted = vec![Links::unlabelled(from.0, to.0)];
        wanted.extend(types);
        if let Some(primary) = self.first_primary(from, to) {
            wanted.push(primary);
        }
        wanted.sort_unstable();
        wanted.dedup();

        let fresh = self.links.between(from, to).is_empty();
        let mut changes = Vec::new();
        for link in wanted {
            if Links::is_primary(link) {
                self.demote(from, to, stamp, &mut changes);
            }
            if self.links.add(from, to, link) {
                self.record_link(from, to, link, false, stamp, &mut changes);
            }
        }
        if fresh {
            self.bump(from, to.0, 1, stamp.at);
            self.bump(to, from.0, 1, stamp.at);
        }
        self.follow_primary(from, stamp.at);
        self.follow_primary(to, stamp.at);
        Ok(changes)
    }

    /// Ends an association: the given types of it, or all.
    pub(crate) fn dissociate(
        &mut self,
        from: Key,
        to: Key,
        types: Option<&[LinkType]>,
        stamp: Stamp,
    ) -> Result<Vec<Change>, Error> {
        let from = (from.0, self.require(from.0, from.1)?);
        let to = (to.0, self.require(to.0, to.1)?);
        let ended = match types {
            Some(types) => types.to_vec(),
            None => self.links.between(from, to).to_vec(),
        };
        let mut changes = Vec::new();
        for link in ended {
            if self.links.remove(from, to, link) {
                self.record_link(from, to, link, true, stamp, &mut changes);
            }
        }
        if !changes.is_empty() && self.links.between(from, to).is_empty() {
            self.bump(from, to.0, -1, stamp.at);
            self.bump(to, from.0, -1, stamp.at);
        }
        self.follow_primary(from, stamp.at);
        self.follow_primary(to, stamp.at);
        Ok(changes)
    }

    /// The side of a pair that has one primary company, if either has.
    fn owner(from: Key, to: Key) -> Option<(Key, Key)> {
        use crate::crm::ObjectType::Companies;
        match (from.0 == Companies, to.0 == Companies) {
            (false, true) => Some((from, to)),
            (true, false) => Some((to, from)),
            _ => None,
        }
    }

    /// The primary type, seen from `from`, if the pair is the first of a contact or deal.
    fn first_primary(&self, from: Key, to: Key) -> Option<LinkType> {
        let (owner, company) = Self::owner(from, to)?;
        let none = self.links.of(owner, company.0, 0).next().is_none();
        if none {
            Links::primary(from.0, to.0)
        } else {
            None
        }
    }

    /// Takes the primary type from whatever other company holds it.
    fn demote(&mut self, from: Key, to: Key, stamp: Stamp, changes: &mut Vec<Change>) {
        let Some((owner, company)) = Self::owner(from, to) else {
            return;
        };
        let Some(primary) = Links::primary(owner.0, company.0) else {
            return;
        };
        let held: Vec<Key> = self
            .links
            .of(owner, company.0, 0)
            .filter(|(id, types)| *id != company.1 && types.contains(&primary))
            .map(|(id, _)| (company.0, id))
            .collect();
        for other in held {
            self.links.remove(owner, other, primary);
            self.record_link(owner, other, primary, true, stamp, changes);
        }
    }

    fn record_link(
        &self,
        from: Key,
        to: Key,
        link: LinkType,
        removed: bool,
        stamp: Stamp,
        changes: &mut Vec<Change>,
    ) {
        let inverse = self.links.inverse(link);
        for (from, to, link) in [(from, to, link), (to, from, inverse)] {
            changes.push(Change {
                at: stamp.at,
                source: stamp.source,
                fact: Fact::Linked {
                    from,
                    to,
                    link,
                    removed,
                },
            });
        }
    }
}

/// A type by its number, HubSpot's own.
pub(crate) fn standard(type_id: u32) -> LinkType {
    LinkType {
        category: Category::HubspotDefined,
        type_id,
    }
}
