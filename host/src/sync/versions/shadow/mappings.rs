//! What two versions say of a connection's mappings, and what they make of texts that
//! its registers keep. Pages of records do not stand in the log: this is what can be
//! said of how they would be read.

use serde_json::{Value as Json, json};

use super::{
    both::Both,
    compare::{self, Compared, compare_outcomes},
    pace::Pace,
};
use crate::{
    model::{AccountId, ConnectionId, ObjectMapping, PropertyDefinition, PropertyName},
    pipeline::{conversion::texts, routing::ConnectionRoute},
    plugin::{Fault, NeededProperties, RuleError, StoredText, SuitableTypes, Version},
    store::{
        self, Tx,
        conversions::HeldRegister,
        shadows::{Kind, Work},
    },
};

/// Texts that are compared in all, spread over the fields that there are, and of one
/// field.
const TEXTS_MAX: u64 = 10_000;
const TEXTS_OF_FIELD_MAX: u64 = 200;

/// Records that are looked at for texts of one field: of one that few fill, there may be
/// fewer texts.
const RECORDS_MAX: usize = 2_000;

/// Bytes of texts that are compared at once.
const BYTES_MAX: usize = 1024 * 1024;

/// A connection, and some of what its registers keep.
#[derive(Debug)]
pub struct Sample {
    route: ConnectionRoute,
    /// By the field's index in the route's conversion.
    held: Vec<(usize, HeldRegister)>,
}

impl Sample {
    /// Its account, and the number of the account's configuration that it is of.
    pub fn configuration(&self) -> (AccountId, i64) {
        (self.route.account, self.route.configuration)
    }

    /// The connection.
    pub fn connection(&self) -> ConnectionId {
        self.route.id
    }

    /// A connector's connection after one; none where there is no more. `compared`: how many
    /// texts were compared before.
    pub fn next(
        tx: &Tx<'_>,
        connector: &str,
        after: ConnectionId,
        compared: u64,
    ) -> Result<Option<Self>, store::Error> {
        let Some(id) = tx.next_connection(connector, after)? else {
            return Ok(None);
        };
        let route = ConnectionRoute::load(tx, id)?;
        let of_field = TEXTS_MAX / tx.field_count()?.max(1);
        let mut left = TEXTS_MAX.saturating_sub(compared);
        let mut bytes = 0;
        let mut held = Vec::new();
        for (index, place) in route.fields.iter().enumerate() {
            let limit = of_field.clamp(1, TEXTS_OF_FIELD_MAX).min(left);
            let limit = usize::try_from(limit).unwrap_or_default();
            let of = (
                id,
                &route.mappings[place.mapping].object_type,
                route.field(*place),
            );
            for register in tx.some_registers(of, RECORDS_MAX, limit)? {
                bytes += texts(&register.register).map(str::len).sum::<usize>();
                if bytes > BYTES_MAX {
                    break;
                }
                left = left.saturating_sub(1);
                held.push((index, register));
            }
        }
        Ok(Some(Self { route, held }))
    }

    /// Compares what two versions say of it.
    pub fn compare(&self, both: &Both, pace: &Pace, work: &mut Work) -> Result<Compared, Fault> {
        let mut compared = Compared::default();
        for mapping in &self.route.mappings {
            pace.rest()?;
            self.needs(both, mapping, &mut compared, work)?;
            self.suitable(both, mapping, &mut compared, work)?;
            work.mappings += 1;
        }
        pace.rest()?;
        self.kept(both, &mut compared, work)?;
        Ok(compared)
    }

    fn needs(
        &self,
        both: &Both,
        mapping: &ObjectMapping,
        compared: &mut Compared,
        work: &mut Work,
    ) -> Result<(), Fault> {
        let ask = |version: &Version| {
            let (rule, selection) = (mapping.matching.as_ref(), mapping.selection.as_ref());
            version.needs(&mapping.object_type, rule, selection)
        };
        let Some([ours, theirs]) = self.both(both, ask, "needs", compared, work)? else {
            return Ok(());
        };
        if ours != theirs {
            let of = (Kind::Needs, Some(&mapping.object_type), "");
            let [ours, theirs] = [ours, theirs].map(|said| Some(needed(&said)));
            compared.add_plain(of, Some(self.route.id), ours, theirs);
        }
        Ok(())
    }

    fn suitable(
        &self,
        both: &Both,
        mapping: &ObjectMapping,
        compared: &mut Compared,
        work: &mut Work,
    ) -> Result<(), Fault> {
        let properties = mapping.fields.iter().map(|field| field.property.clone());
        let properties: Vec<PropertyDefinition> = properties.collect();
        let ask = |version: &Version| version.suitable(&properties);
        let Some([ours, theirs]) = self.both(both, ask, "suitable", compared, work)? else {
            return Ok(());
        };
        for (property, (ours, theirs)) in properties.iter().zip(ours.iter().zip(&theirs)) {
            if ours != theirs {
                let name = property.name.as_str();
                let of = (Kind::Suitable, Some(&mapping.object_type), name);
                let [ours, theirs] = [ours, theirs].map(|said| Some(types(said)));
                compared.add_plain(of, Some(self.route.id), ours, theirs);
            }
        }
        Ok(())
    }

    /// Compares what both make of the texts that registers keep.
    fn kept(&self, both: &Both, compared: &mut Compared, work: &mut Work) -> Result<(), Fault> {
        let mut asked = Vec::new();
        let mut of = Vec::new();
        for (field, held) in &self.held {
            for text in texts(&held.register) {
                asked.push(StoredText {
                    field: *field,
                    text: text.to_owned(),
                });
                of.push((self.route.fields[*field], &held.record));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let ask = |version: &Version| version.convert_stored_again(&asked, &self.route.conversion);
        let Some([ours, theirs]) = self.both(both, ask, "kept_texts", compared, work)? else {
            return Ok(());
        };
        work.texts += asked.len() as u64;
        for ((place, record), (ours, theirs)) in of.into_iter().zip(ours.iter().zip(&theirs)) {
            compare_outcomes((&self.route, place), record, ours, theirs, compared);
        }
        Ok(())
    }

    /// What both answer; none where either fails, which is counted.
    fn both<T>(
        &self,
        both: &Both,
        ask: impl Fn(&Version) -> Result<T, Fault>,
        name: &str,
        compared: &mut Compared,
        work: &mut Work,
    ) -> Result<Option<[T; 2]>, Fault> {
        let (ours, theirs) = (ask(&both.active), ask(&both.candidate));
        compared.compared += 1;
        work.passes += 1;
        let (ours, theirs) = match (ours, theirs) {
            (Err(fault), _) | (_, Err(fault)) if fault.is_retryable() => return Err(fault),
            both => both,
        };
        work.active_faults += u64::from(ours.is_err());
        work.faults += u64::from(theirs.is_err());
        let connection = Some(self.route.id);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => return Ok(Some([ours, theirs])),
            (Err(_), Err(_)) => {}
            (Err(fault), Ok(_)) => {
                let of = (Kind::FaultMissing, None, name);
                compared.add_plain(of, connection, Some(compare::fault(&fault)), None);
            }
            (Ok(_), Err(fault)) => {
                let of = (Kind::FaultAdded, None, name);
                compared.add_plain(of, connection, None, Some(compare::fault(&fault)));
            }
        }
        Ok(None)
    }
}

fn needed(said: &Result<NeededProperties, RuleError>) -> Json {
    let names = |names: &[PropertyName]| {
        let names = names.iter().map(|name| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    match said {
        Ok(needs) => json!({
            "matching": names(&needs.matching),
            "selection": names(&needs.selection),
            "bookkeeping": names(&needs.bookkeeping),
        }),
        Err(error) => json!({ "refused": error.to_string() }),
    }
}

fn types(said: &SuitableTypes) -> Json {
    json!({ "suggested": said.suggested, "possible": said.possible })
}
