//! Owners: the people of the account to whom records are assigned (HubSpot: owners guide).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, with_next};
use crate::crm::{Account, Error};
use crate::fault::Fault;
use crate::request::{Caller, Params, Sim, record_id};
use crate::state::Shared;
use crate::values::iso;

/// The first owner's id; they rise from there.
const FIRST_ID: u64 = 41_629_779;
/// The scope that reading owners takes.
const SCOPE: &str = "crm.objects.owners.read";
const PAGE: usize = 100;
const PAGE_MAX: usize = 500;

/// An owner. One whose user was removed is archived, and keeps its id.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub archived: bool,
    created_at: i64,
    updated_at: i64,
}

impl Owner {
    fn to_json(&self, id: u64) -> Value {
        // The id of the user is another one than the owner's.
        let user = id + 7_000_000;
        json!({
            "id": id.to_string(),
            "email": self.email,
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": if self.archived { Value::Null } else { json!(user) },
            "userIdIncludingInactive": user,
            "createdAt": iso(self.created_at),
            "updatedAt": iso(self.updated_at),
            "archived": self.archived,
        })
    }
}

/// Routes below `/crm/owners/{version}`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(list))
        .route("/{owner}", get(read))
}

async fn list(State(shared): Sim, caller: Caller, params: Params) -> Answer {
    caller.need(&[SCOPE.to_owned()])?;
    let limit = params.limit(PAGE, PAGE_MAX)?;
    let (after, archived) = (params.after()?, params.flag("archived"));
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let mut held = account
        .owners
        .range(after..)
        .filter(|(_, owner)| owner.archived == archived);
    let results: Vec<Value> = held
        .by_ref()
        .take(limit)
        .map(|(id, owner)| owner.to_json(*id))
        .collect();
    let next = held.next().map(|(id, _)| *id);
    Ok(Json(with_next(json!({"results": results}), next)).into_response())
}

#[derive(Deserialize)]
struct OwnerPath {
    owner: String,
}

async fn read(
    State(shared): Sim,
    caller: Caller,
    Path(path): Path<OwnerPath>,
    params: Params,
) -> Answer {
    caller.need(&[SCOPE.to_owned()])?;
    let id = record_id(&path.owner)?;
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let owner = account.owners.get(&id);
    let owner = owner.filter(|owner| owner.archived == params.flag("archived"));
    let owner = owner.ok_or_else(Fault::not_found)?;
    Ok(Json(owner.to_json(id)).into_response())
}

impl Account {
    /// Makes an owner; answers with its id.
    pub(crate) fn add_owner(&mut self, email: &str, names: (&str, &str), now: i64) -> u64 {
        let last = self.owners.keys().next_back();
        let id = last.map_or(FIRST_ID, |last| last + 1);
        let owner = Owner {
            email: email.to_owned(),
            first_name: names.0.to_owned(),
            last_name: names.1.to_owned(),
            archived: false,
            created_at: now,
            updated_at: now,
        };
        self.owners.insert(id, owner);
        id
    }

    /// Changes an owner.
    pub(crate) fn change_owner(
        &mut self,
        id: u64,
        now: i64,
        change: impl FnOnce(&mut Owner),
    ) -> Result<(), Error> {
        let owner = self
            .owners
            .get_mut(&id)
            .ok_or_else(|| Error::Refused(format!("there is no owner {id}")))?;
        change(owner);
        owner.updated_at = now;
        Ok(())
    }
}
