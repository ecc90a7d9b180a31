//! Pipelines of deals and their stages: as an administrator arranges them, and over HTTP (HubSpot:
//! pipelines guide).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, listed};
use crate::crm::{Account, Error, ObjectType};
use crate::defaults::STAGES;
use crate::definitions::Choice;
use crate::fault::Fault;
use crate::request::{self, Caller, Sim, TypePath};
use crate::state::Shared;
use crate::values::iso;

/// A stage of a pipeline. Its id is the account's alone, whatever the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub id: String,
    pub label: String,
    pub closed: bool,
    /// How likely a deal there is won, from `0.0` to `1.0`.
    pub probability: String,
}

/// A pipeline of deals.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub id: String,
    pub label: String,
    pub stages: Vec<Stage>,
    created_at: i64,
    updated_at: i64,
}

impl Pipeline {
    pub(crate) fn new(id: &str, label: &str, stages: Vec<Stage>, now: i64) -> Self {
        Self {
            id: id.to_owned(),
            label: label.to_owned(),
            stages,
            created_at: now,
            updated_at: now,
        }
    }

    /// The one that every account has from the start.
    pub(crate) fn sales(now: i64) -> Self {
        let stages = STAGES.iter().map(|(id, label, closed, probability)| Stage {
            id: (*id).to_owned(),
            label: (*label).to_owned(),
            closed: *closed,
            probability: (*probability).to_owned(),
        });
        Self::new("default", "Sales Pipeline", stages.collect(), now)
    }

    fn to_json(&self, place: usize) -> Value {
        let (created_at, updated_at) = (iso(self.created_at), iso(self.updated_at));
        let stages: Vec<Value> = self
            .stages
            .iter()
            .enumerate()
            .map(|(at, stage)| {
                json!({
                    "id": stage.id,
                    "label": stage.label,
                    "displayOrder": at,
                    "archived": false,
                    "metadata": {
                        "isClosed": stage.closed.to_string(),
                        "probability": stage.probability,
                    },
                    "createdAt": created_at,
                    "updatedAt": updated_at,
                    "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                })
            })
            .collect();
        json!({
            "id": self.id,
            "label": self.label,
            "displayOrder": place,
            "archived": false,
            "stages": stages,
            "createdAt": created_at,
            "updatedAt": updated_at,
        })
    }
}

/// Routes below `/crm/pipelines/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{object_type}", get(list))
        .route("/{object_type}/{pipeline}", get(read))
}

/// Reading pipelines takes a record scope or a schema scope of the type.
fn reads(caller: &Caller, object_type: &str) -> Result<ObjectType, Fault> {
    let of = request::object_type(object_type)?;
    let name = of.name();
    caller.need(&[
        format!("crm.objects.{name}.read"),
        format!("crm.schemas.{name}.read"),
    ])?;
    Ok(of)
}

/// Only deals have pipelines here.
fn of_type(account: &Account, of: ObjectType) -> &[Pipeline] {
    match of {
        ObjectType::Deals => &account.pipelines,
        ObjectType::Contacts | ObjectType::Companies => &[],
    }
}

async fn list(State(shared): Sim, caller: Caller, Path(path): Path<TypePath>) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let all = of_type(account, of).iter().enumerate();
    listed(all.map(|(at, pipeline)| pipeline.to_json(at)).collect())
}

#[derive(Deserialize)]
struct PipelinePath {
    object_type: String,
    pipeline: String,
}

async fn read(State(shared): Sim, caller: Caller, Path(path): Path<PipelinePath>) -> Answer {
    let of = reads(&caller, &path.object_type)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let mut all = of_type(account, of).iter().enumerate();
    let found = all.find(|(_, pipeline)| pipeline.id == path.pipeline);
    let (at, pipeline) = found.ok_or_else(Fault::not_found)?;
    Ok(Json(pipeline.to_json(at)).into_response())
}

impl Account {
    /// A stage, whatever its pipeline.
    pub(crate) fn stage(&self, id: &str) -> Option<&Stage> {
        let stages = self.pipelines.iter().flat_map(|pipeline| &pipeline.stages);
        stages.into_iter().find(|stage| stage.id == id)
    }

    /// Changes the pipelines; the properties of deals that follow from them follow at once. Events
    /// are made by none of it.
    pub(crate) fn arrange_pipelines<T>(
        &mut self,
        now: i64,
        change: impl FnOnce(&mut Vec<Pipeline>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut pipelines = self.pipelines.clone();
        let made = change(&mut pipelines)?;
        let mut ids: Vec<_> = pipelines.iter().flat_map(|one| &one.stages).collect();
        ids.sort_by(|one, other| one.id.cmp(&other.id));
        if ids.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(Error::Refused("there is a stage of that id".to_owned()));
        }
        for pipeline in &mut pipelines {
            pipeline.updated_at = now;
        }
        self.pipelines = pipelines;
        self.define_choices(now);
        let deals: Vec<u64> = self.store(ObjectType::Deals).live.keys().copied().collect();
        for id in deals {
            let taken = self.store_mut(ObjectType::Deals).live.remove(&id);
            if let Some(mut record) = taken {
                self.calculate(ObjectType::Deals, &mut record, now);
                self.store_mut(ObjectType::Deals).live.insert(id, record);
            }
        }
        Ok(made)
    }

    /// Says in the definitions of `pipeline` and `dealstage` what may be chosen. Where there are
    /// several pipelines, a stage is told there with its pipeline's name.
    fn define_choices(&mut self, now: i64) {
        let several = self.pipelines.len() > 1;
        let choice = |value: &str, label: String| Choice {
            value: value.to_owned(),
            label,
        };
        let mut stages = Vec::new();
        let mut pipelines = Vec::new();
        for pipeline in &self.pipelines {
            pipelines.push(choice(&pipeline.id, pipeline.label.clone()));
            stages.extend(pipeline.stages.iter().map(|stage| {
                let label = match several {
                    true => format!("{} ({})", stage.label, pipeline.label),
                    false => stage.label.clone(),
                };
                choice(&stage.id, label)
            }));
        }
        let store = self.store_mut(ObjectType::Deals);
        for (name, options) in [("pipeline", pipelines), ("dealstage", stages)] {
            if let Some(property) = store.properties.get_mut(name) {
                property.options = options;
                property.updated_at = now;
            }
        }
    }
}
