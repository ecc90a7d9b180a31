//! Merging two records into one (HubSpot: merge functionality for contacts and companies).

use crate::changes::{Change, Fact, Stamp, missing};
use crate::crm::{Account, Error, Ids, ObjectType, Store};
use crate::links::Links;
use crate::record::{Record, Source};

/// Most merges that one record takes part in (HubSpot: 250).
const MERGES_MAX: usize = 250;

impl Account {
    /// Merges two live records. Contacts and companies become a new record; deals keep the
    /// primary's id. Values are the primary's, whatever the stamps; the other fills what is empty.
    pub(crate) fn merge(
        &mut self,
        object_type: ObjectType,
        primary: u64,
        loser: u64,
        stamp: Stamp,
        ids: &mut Ids,
    ) -> Result<(u64, Vec<Change>), Error> {
        let primary = self.require(object_type, primary)?;
        let loser = self.require(object_type, loser)?;
        if primary == loser {
            return Err(Error::Refused(
                "A record can't be merged with itself".to_owned(),
            ));
        }
        let ancestors = merged_ids(self.store(object_type), primary)
            .into_iter()
            .chain(merged_ids(self.store(object_type), loser))
            .chain([primary, loser])
            .collect::<Vec<_>>();
        if ancestors.len() > MERGES_MAX {
            return Err(Error::Refused(format!(
                "A record can take part in at most {MERGES_MAX} merges"
            )));
        }
        let into = if object_type.merges_into_new_id() {
            ids.next(object_type)
        } else {
            primary
        };
        let store = self.store_mut(object_type);
        let (Some(first), Some(second)) = (store.take(primary), store.take(loser)) else {
            return Err(missing(object_type, primary));
        };
        let (mut record, moved) = combine(&first, &second, into, stamp);
        set_merged(
            store,
            &mut record,
            &ancestors,
            object_type,
            &first,
            &second,
            stamp,
        );
        store.index.gone(&second, stamp);
        if into == primary {
            store.index.note(into, Some(first), stamp);
        } else {
            store.index.gone(&first, stamp);
            store.index.note(into, None, stamp);
            store.merged.insert(primary, into);
        }
        store.merged.insert(loser, into);
        store.put(record);
        self.move_links(object_type, primary, into);
        self.move_links(object_type, loser, into);
        self.recount((object_type, into), stamp.at);
        for (other, _) in self.links.all((object_type, into)) {
            self.recount(other, stamp.at);
        }

        let gone = if into == primary {
            vec![loser]
        } else {
            vec![loser, primary]
        };
        let mut changes: Vec<Change> = gone
            .into_iter()
            .map(|id| stamp.change(Fact::Deleted((object_type, id))))
            .collect();
        changes.push(stamp.change(Fact::Merged {
            object_type,
            primary,
            loser,
            new: (into != primary).then_some(into),
            moved,
        }));
        Ok((into, changes))
    }

    /// Gives the associations of a merged record to what it became.
    fn move_links(&mut self, object_type: ObjectType, old: u64, into: u64) {
        if old == into {
            return;
        }
        let (from, to) = ((object_type, old), (object_type, into));
        for (other, types) in self.links.all(from) {
            for link in types {
                self.links.remove(from, other, link);
                let second_primary = Links::is_primary(link)
                    && Links::primary(object_type, other.0).is_some()
                    && other.0 == ObjectType::Companies
                    && self
                        .links
                        .of(to, other.0, 0)
                        .any(|(_, held)| held.iter().any(|held| Links::is_primary(*held)));
                if other != to && !second_primary {
                    self.links.add(to, other, link);
                }
            }
        }
    }
}

fn combine(first: &Record, second: &Record, into: u64, stamp: Stamp) -> (Record, usize) {
    let mut record = first.clone();
    record.id = into;
    record.updated_at = record.updated_at.max(second.updated_at).max(stamp.at);
    record.created_at = first.created_at.min(second.created_at);
    let mut moved = 0;
    for (name, cell) in second.cells() {
        let empty = record.stored(name).is_empty();
        if empty && record.set(name, &cell.now.value, stamp.at, Source::Merge) {
            moved += 1;
        }
    }
    (record, moved)
}

/// Writes what a merge leaves in the survivor: the ids it came from and the other addresses.
fn set_merged(
    store: &Store,
    record: &mut Record,
    ancestors: &[u64],
    object_type: ObjectType,
    first: &Record,
    second: &Record,
    stamp: Stamp,
) {
    let mut set = |name: &str, value: String| {
        if let Some((name, _)) = store.property(name) {
            record.set(name, &value, stamp.at, Source::Merge);
        }
    };
    let list = ancestors
        .iter()
        .filter(|id| object_type.merges_into_new_id() || **id != first.id)
        .map(u64::to_string)
        .collect::<Vec<_>>();
    set("hs_merged_object_ids", list.join(";"));
    if object_type != ObjectType::Contacts {
        return;
    }
    let own = if first.stored("email").is_empty() {
        second.stored("email")
    } else {
        first.stored("email")
    };
    let mut others: Vec<&str> = Vec::new();
    for list in [
        first.stored("hs_additional_emails"),
        second.stored("email"),
        second.stored("hs_additional_emails"),
    ] {
        for address in list.split(';').filter(|address| !address.is_empty()) {
            if !address.eq_ignore_ascii_case(own) && !others.contains(&address) {
                others.push(address);
            }
        }
    }
    set("hs_additional_emails", others.join(";"));
    let mut vids = first.stored("hs_calculated_merged_vids").to_owned();
    for id in [first.id, second.id] {
        if !vids.is_empty() {
            vids.push(';');
        }
        vids.push_str(&format!("{id}:{}", stamp.at));
    }
    set("hs_calculated_merged_vids", vids);
}

fn merged_ids(store: &Store, id: u64) -> Vec<u64> {
    store.find(id).map_or_else(Vec::new, |record| {
        record
            .stored("hs_merged_object_ids")
            .split(';')
            .filter_map(|id| id.parse().ok())
            .collect()
    })
}
