//! The stage in which all records of a type are read, page by page.

use std::collections::HashSet;

use super::{
    super::{
        failures::Error,
        work::{Parsed, Work},
    },
    Outcome,
    ranges::{PAGES_AT_ONCE, begin, holds, rest},
    stages::{Step, WAITING_MAX, stages},
};
use crate::{
    hubspot::search::{Listed, fit_a_list},
    model::{ObjectType, PropertyName, Range, RecordId, Stage, Timestamp},
    pipeline::{feeding::Feeder, pages::Asked},
    store::{reads::Wanted, runs::Counts},
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
        let work = self.work().await?;
        let (now, later) = ranges.split_at(ranges.len().min(PAGES_AT_ONCE));
        let pages = now
            .iter()
            .map(|range| self.list(object_type, &properties, range));
        let pages = futures_util::future::try_join_all(pages).await?;
        let turn = self.host.turns.begin(self.priority()).await;
        let mut left = later.to_vec();
        let mut listed = Vec::new();
        for (range, page) in now.iter().zip(pages) {
            if page.after.is_some() && page.after == range.after {
                return Err(Error::Endless);
            }
            let is_alone = ranges.len() < PAGES_AT_ONCE;
            left.extend(rest(range, &page.records, page.after.clone(), is_alone));
            listed.push((range.clone(), page));
        }
        let left = (!left.is_empty()).then(|| Stage::Records {
            object_type: object_type.clone(),
            ranges: Some(left),
        });
        let stages = stages(left, after);
        let whole = match are_whole {
            true => self.parse(&work, object_type, &listed).await,
            false => Ok(None),
        };
        let whole = match whole {
            // Read by themselves, the one at fault holds up no other.
            Err(Error::Page(error)) => {
                tracing::warn!(%error, "records of a page are read by themselves");
                None
            }
            whole => whole?,
        };
        if self.run.dry_run {
            // It may call for more.
            drop(turn);
            let ids: Vec<RecordId> = of_ranges(listed).collect();
            return self
                .rehearse_pages(&work, object_type, whole, ids, stages)
                .await;
        }
        if let Some(pages) = whole {
            return self.apply_pages(pages, stages).await;
        }
        let wanted = of_ranges(listed).map(|record| (record, Timestamp::default()));
        self.ask(object_type, Wanted::Record, wanted.collect(), stages)
            .await
    }

    /// Pages that came with all that is wanted of their records, parsed.
    async fn parse(
        &self,
        work: &Work,
        object_type: &ObjectType,
        listed: &[(Range, Listed)],
    ) -> Result<Option<Vec<(Range, Parsed)>>, Error> {
        let mut pages = Vec::new();
        for (range, page) in listed {
            let parsed = work.parse(object_type, page.body.clone(), page.answered_at);
            pages.push((range.clone(), parsed.await?));
        }
        Ok(Some(pages))
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

    /// Applies pages of records.
    async fn apply_pages(
        &self,
        pages: Vec<(Range, Parsed)>,
        stages: Vec<Stage>,
    ) -> Result<Outcome, Error> {
        let (keys, connection) = (self.host.keys.clone(), self.connection.clone());
        let (id, cause) = (self.run.id, self.cause());
        let now = self.host.clock.now();
        self.transact(move |tx| {
            let (mut done, mut failed) = (0, 0);
            let mut feeder = Feeder::new(tx, &connection, cause, now);
            feeder.report.count_for(Some(id));
            for (range, parsed) in &pages {
                let mut read = HashSet::new();
                let records = parsed.of(connection.id);
                for record in records.filter(|read| holds(range, &read.record)) {
                    read.insert(&record.record);
                    parsed.apply_one(&mut feeder, &keys, record, Asked::default())?;
                }
                done += read.len();
                let unclear = parsed.page.misread_by(connection.id);
                let unclear = unclear.filter(|record| !read.contains(record));
                failed += unclear.filter(|record| holds(range, record)).count();
            }
            feeder.finish()?.save(tx, connection.id, now)?;
            let count = i64::try_from(failed).unwrap_or(i64::MAX);
            tx.add_run_counts(id, &Counts::from([("failed".to_owned(), count)]))?;
            tx.advance_run(id, done + failed)?;
            tx.move_run(id, &stages)
        })
        .await?;
        Ok(Outcome::More)
    }
}

/// The records of pages that belong to their ranges.
fn of_ranges(listed: Vec<(Range, Listed)>) -> impl Iterator<Item = RecordId> {
    listed.into_iter().flat_map(|(range, page)| {
        let records = page.records.into_iter();
        records.filter(move |record| holds(&range, record))
    })
}
