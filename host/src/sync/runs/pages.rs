//! The stage in which all records of a type are read, page by page.

use super::{
    super::failures::Error,
    Outcome,
    ranges::{PAGES_AT_ONCE, begin, holds, rest},
    stages::{Step, WAITING_MAX, stages},
};
use crate::{
    hubspot::search::{Listed, fit_a_list},
    model::{ObjectType, PropertyName, Range, RecordId, Stage, Timestamp},
    pipeline::{
        feeding::Feeder,
        pages::{Asked, ReadMoment, RecordsPage, apply_record, prepare_records},
        report::Origin,
    },
    store::{reads::Wanted, runs::Counts},
    telemetry::spawn_blocking,
};

impl Step<'_> {
    /// Reads the next pages of all records.
    pub(super) async fn records(
        &self,
        object_type: &ObjectType,
        ranges: Option<&[Range]>,
        after: &[Stage],
    ) -> Result<Outcome, Error> {
        let client = &self.host.hubspot;
        let Some(ranges) = ranges else {
            let highest = self
                .call(async |caller| client.highest(&caller, object_type).await)
                .await?;
            let left = Stage::Records {
                object_type: object_type.clone(),
                ranges: Some(begin(highest.as_ref())),
            };
            return self.move_on(Some(left), after).await;
        };
        let properties = self.account.read_properties(object_type);
        let are_whole = fit_a_list(&properties);
        if self.waiting().await? >= WAITING_MAX {
            return Ok(Outcome::Wait);
        }
        let sequence = self.host.store.transact(|tx| tx.next_sequence()).await?;
        let (now, later) = ranges.split_at(ranges.len().min(PAGES_AT_ONCE));
        let pages = now
            .iter()
            .map(|range| self.list(object_type, &properties, range));
        let pages = futures_util::future::try_join_all(pages).await?;
        let mut left = later.to_vec();
        let mut listed = Vec::new();
        for (range, page) in now.iter().zip(pages) {
            let is_alone = ranges.len() < PAGES_AT_ONCE;
            left.extend(rest(range, &page.records, page.after.clone(), is_alone));
            listed.push((range.clone(), page));
        }
        let left = (!left.is_empty()).then(|| Stage::Records {
            object_type: object_type.clone(),
            ranges: Some(left),
        });
        let stages = stages(left, after);
        if self.run.dry_run {
            return self
                .rehearse_pages(object_type, listed, are_whole, stages)
                .await;
        }
        if are_whole {
            let (pages, left) = (listed.clone(), stages.clone());
            match self.apply_pages(object_type, pages, sequence, left).await {
                // The read queue finds the record at fault, and leaves that one out.
                Err(Error::Page(error)) => {
                    tracing::warn!(%error, "pages of records are read again, one by one");
                }
                applied => return applied,
            }
        }
        let wanted = of_ranges(listed).map(|record| (record, Timestamp::default()));
        self.ask(object_type, Wanted::Record, wanted.collect(), stages)
            .await
    }

    async fn list(
        &self,
        object_type: &ObjectType,
        properties: &[PropertyName],
        range: &Range,
    ) -> Result<Listed, Error> {
        let (client, after) = (&self.host.hubspot, range.after.as_deref());
        self.call(async |caller| client.list(&caller, object_type, properties, after).await)
            .await
    }

    /// Applies pages of records that came with all that is wanted of them.
    async fn apply_pages(
        &self,
        object_type: &ObjectType,
        listed: Vec<(Range, Listed)>,
        sequence: i64,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let plugin = self.host.plugins.active();
        let origin = Origin {
            word: self.priority().origin(),
            plugin: Some(plugin.digest().to_owned()),
        };
        let (account, asked) = (self.account.clone(), object_type.clone());
        let received_at = self.host.clock.now();
        let prepare = move || {
            let pages = listed.into_iter().map(|(range, page)| {
                let body = &page.body;
                let prepared = prepare_records(&account, &plugin, &asked, body, received_at)?;
                Ok((range, page.answered_at, prepared))
            });
            pages.collect::<Result<Vec<(Range, Timestamp, RecordsPage)>, Error>>()
        };
        let pages = spawn_blocking(prepare).await.map_err(|_| Error::Ended)??;
        let (keys, connection) = (self.host.keys.clone(), self.connection.clone());
        let (id, cause) = (self.run.id, self.cause());
        let now = self.host.clock.now();
        self.transact(move |tx| {
            let mut done = 0;
            let mut feeder = Feeder::new(tx, &connection, cause, now);
            feeder.report.count_for(Some(id));
            for (range, answered_at, page) in &pages {
                let moment = ReadMoment {
                    sequence,
                    answered_at: *answered_at,
                };
                let unclear = page.not_understood.iter();
                let failed = unclear.filter(|record| holds(range, record)).count();
                done += failed;
                let failed = i64::try_from(failed).unwrap_or(i64::MAX);
                tx.add_run_counts(id, &Counts::from([("failed".to_owned(), failed)]))?;
                let ours = page
                    .connections
                    .iter()
                    .filter(|(of, _)| of.id == connection.id);
                for record in ours.flat_map(|(_, records)| records) {
                    if holds(range, &record.record) {
                        done += 1;
                        apply_record(
                            &mut feeder,
                            &keys,
                            &page.object_type,
                            record,
                            moment,
                            Asked::default(),
                            &origin,
                        )?;
                    }
                }
            }
            feeder.finish()?.save(tx, connection.id, now)?;
            tx.advance_run(id, done)?;
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }
}

/// The records of pages that belong to their ranges.
pub(super) fn of_ranges(listed: Vec<(Range, Listed)>) -> impl Iterator<Item = RecordId> {
    listed.into_iter().flat_map(|(range, page)| {
        let records = page.records.into_iter();
        records.filter(move |record| holds(&range, record))
    })
}
