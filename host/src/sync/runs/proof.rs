//! The proof of truth: a sample of what reaches users is read once more, after
//! the catch-up, and compared with what they show. It writes no value: what
//! differs is told, and mended by what mends everything else.

use std::collections::HashMap;

use super::{
    super::failures::Error,
    Outcome,
    stages::{Step, stages},
};
use crate::{
    hubspot::objects::RECORDS_MAX,
    model::{ObjectType, RecordId, Stage, Timestamp, UserId},
    pipeline::{
        brake::HELD,
        pages::{ReadRecord, prepare_records},
        routing::ConnectionRoute,
    },
    store::{
        self, Tx,
        proofs::{DIFFERING_MAX, Differing, Proof},
    },
    telemetry::spawn_blocking,
};

/// Records of a type that are compared a night: a few calls.
const SAMPLE: usize = 500;

/// Why a value that is mapped is not there.
const NOT_FILLED: &str = "not_filled";
/// A value is another one, for no reason that is known.
const DIFFERS: &str = "differs";

impl Step<'_> {
    /// Compares the next records of a sample with what users show.
    pub(super) async fn prove(
        &self,
        object_type: &ObjectType,
        sample: Option<&[RecordId]>,
        rest: &[Stage],
    ) -> Result<Outcome, Error> {
        let left = |sample: Vec<RecordId>| Stage::Proof {
            object_type: object_type.clone(),
            sample: Some(sample),
        };
        let Some(sample) = sample else {
            let (id, of_type) = (self.connection.id, object_type.clone());
            let drawn = self
                .host
                .store
                .read(move |tx| tx.sample_of_reached(id, &of_type, SAMPLE))
                .await?;
            return self.move_on(Some(left(drawn)), rest).await;
        };
        let (now, later) = sample.split_at(sample.len().min(RECORDS_MAX));
        if now.is_empty() {
            return self.move_on(None, rest).await;
        }
        let ids: Vec<&str> = now.iter().map(RecordId::as_str).collect();
        let properties = self.account.read_properties(object_type);
        let client = &self.host.hubspot;
        let answer = self
            .call(async |caller| {
                client
                    .read_records(&caller, object_type, &ids, &properties, None)
                    .await
            })
            .await?;
        let account = self.account.clone();
        let serving = self.host.plugins.of(&account.connector)?.serving();
        let (of_type, received_at) = (object_type.clone(), self.host.clock.now());
        let prepare =
            move || prepare_records(&account, &serving, &of_type, &answer.body, received_at);
        let page = spawn_blocking(prepare).await.map_err(|_| Error::Ended)??;
        let at = self.run.started_at.unwrap_or(self.run.requested_at);
        let (id, connection) = (self.run.id, self.connection.clone());
        let stages = stages(Some(left(later.to_vec())), rest);
        self.transact(move |tx| {
            let mut proof = Proof {
                at,
                ..Proof::default()
            };
            let ours = page
                .connections
                .iter()
                .filter(|(of, _)| of.id == connection.id);
            for record in ours.flat_map(|(_, records)| records) {
                compare(tx, &connection, &page.object_type, record, &mut proof)?;
            }
            tx.add_to_proof(connection.id, &proof)?;
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }
}

/// Compares what a record says now with what the users that it feeds show.
fn compare(
    tx: &Tx<'_>,
    connection: &ConnectionRoute,
    object_type: &ObjectType,
    read: &ReadRecord,
    proof: &mut Proof,
) -> Result<(), store::Error> {
    let Some(held) = tx.find_record(connection.id, object_type, &read.record)? else {
        return Ok(());
    };
    // What changed since it was last heard of is on its way.
    let newest = read.said.modified_at.unwrap_or_default();
    let known: Timestamp = held.read.stamp.max(held.modified_at.unwrap_or_default());
    if newest > known {
        return Ok(());
    }
    let users: Vec<UserId> = tx.fed_users(held.key)?;
    let mut filled = HashMap::new();
    for (place, _, outcome) in &read.texts {
        let mapping = &connection.mappings[place.mapping];
        let field = connection.field(*place);
        let Some(variable) = field.variable else {
            continue;
        };
        for user in &users {
            let shown = tx.shown_value(*user, (variable, field.target))?;
            let shown = shown.map(|(value, _)| value);
            proof.compared += 1;
            let reason = match outcome {
                Ok(value) if *value == shown => {
                    proof.equal += 1;
                    continue;
                }
                Err(unreadable) => unreadable.as_str(),
                Ok(_) => {
                    let is_filled = match filled.get(&field.id) {
                        Some(known) => *known,
                        None => tx.register(held.key, field.id, field.target)?.is_some(),
                    };
                    filled.insert(field.id, is_filled);
                    if connection.held && tx.is_selection_held(mapping.id, *user)? {
                        HELD
                    } else if is_filled {
                        DIFFERS
                    } else {
                        NOT_FILLED
                    }
                }
            };
            if proof.differing.len() < DIFFERING_MAX {
                let name = connection.variable_names.get(&variable);
                proof.differing.push(Differing {
                    user: *user,
                    variable: name.cloned().unwrap_or_default(),
                    object_type: object_type.clone(),
                    record_id: read.record.clone(),
                    reason: reason.to_owned(),
                });
            }
        }
    }
    Ok(())
}
