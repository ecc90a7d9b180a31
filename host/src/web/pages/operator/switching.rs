//! What changes which version is active, or what there is: each asks on a page of its
//! own before it is done, and says there why it was not.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::{Path, Query},
        html, see_other,
        sign_in::Nothing,
    },
    name,
    plugins::{self, Standing},
    short,
    version::{VersionPage, uncompared},
};
use crate::{
    model::ConnectionId,
    store::{
        self,
        plugins::{Outcome, PluginVersion},
    },
    sync::versions::{
        self, library,
        switch::{self, Ask},
    },
    web::{
        self,
        api::plugins::{PATIENCE, text},
        session::Signed,
    },
};

/// A version as these pages name it.
struct Named {
    digest: String,
    short: String,
    label: String,
    version: String,
}

impl From<&PluginVersion> for Named {
    fn from(version: &PluginVersion) -> Self {
        Self {
            digest: version.digest.clone(),
            short: short(&version.digest).to_owned(),
            label: version.label.clone(),
            version: version.version.clone(),
        }
    }
}

/// Why something was not done, for whoever asked for it; others are errors.
fn refusal(error: versions::Error) -> Result<String, Error> {
    if let versions::Error::NotCompared(why) = error {
        return Ok(web::error::Error::Conflict(why).detail());
    }
    let error = web::error::Error::from(error);
    match error.status() {
        StatusCode::NOT_FOUND => Err(error.into()),
        status if status.is_client_error() => Ok(error.detail()),
        _ => Err(error.into()),
    }
}

/// A page that refuses what was asked for, as things stand.
fn refused(page: &impl Template) -> Result<Response, Error> {
    Ok((StatusCode::CONFLICT, html(page)?).into_response())
}

#[derive(Template)]
#[template(path = "operator/activate.html")]
struct ActivatePage {
    frame: Frame,
    version: Named,
    /// What is active now.
    active: Option<String>,
    is_active: bool,
    /// How often its shadow differed, where it was compared.
    differences: Option<String>,
    /// Why it was not compared well enough.
    uncompared: Option<String>,
    /// Why it was not done.
    refusal: Option<String>,
    /// The connection that it is to serve alone, as it was typed.
    connection: String,
    reason: String,
}

impl ActivatePage {
    async fn load(visit: &Visit, begins: String) -> Result<Self, Error> {
        let (version, standing) = plugins::find(&visit.host, begins).await?;
        let digest = &version.digest;
        let report = standing.shadow.as_ref();
        let of_it = report.filter(|report| report.shadow.digest == *digest);
        Ok(Self {
            frame: visit.frame("Activate a version", Section::Plugins),
            version: Named::from(&version),
            active: standing.active().map(|digest| short(digest).to_owned()),
            is_active: standing.runs(digest) && standing.problem().is_none(),
            differences: of_it.map(super::shadow::far),
            uncompared: uncompared(&standing, &version, visit.host.clock.now())
                .map(|why| web::error::Error::Conflict(why).detail()),
            refusal: None,
            connection: String::new(),
            reason: String::new(),
        })
    }
}

/// `GET /operator/plugins/{digest}/activate`.
pub async fn activate_page(
    visit: Visit,
    Path(begins): Path<String>,
) -> Result<Html<String>, Error> {
    html(&ActivatePage::load(&visit, begins).await?)
}

/// What the form that activates a version sends.
#[derive(serde::Deserialize)]
pub struct ActivateForm {
    #[serde(default)]
    reason: String,
    /// Set where it is to be done although the version was not compared.
    force: Option<String>,
    /// The connection that it is to serve alone; empty where it is to serve all.
    #[serde(default)]
    connection: String,
}

/// `POST /operator/plugins/{digest}/activate`.
pub async fn activate(
    visit: Visit,
    Path(begins): Path<String>,
    signed: Signed<ActivateForm>,
) -> Result<Response, Error> {
    let ActivateForm {
        reason,
        force,
        connection,
    } = signed.form;
    let named = match connection.trim() {
        "" => Ok(None),
        id => match id.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(format!("{id:?} is no connection’s id.")),
        },
    };
    let done = match named {
        Err(why) => Err(why),
        Ok(named) => {
            let ask = Ask::Activate {
                begins: begins.clone(),
                force: force.is_some(),
                connection: named,
            };
            switched(&visit, ask, name(&signed.session), &reason).await?
        }
    };
    match done {
        Ok((digest, true)) if !connection.trim().is_empty() => Ok(led_to(&digest, "serves-one")),
        Ok((digest, true)) => Ok(led_to(&digest, "activated")),
        Ok((digest, false)) => Ok(led_to(&digest, "asked")),
        Err(why) => {
            let mut page = ActivatePage::load(&visit, begins).await?;
            page.refusal = Some(why);
            page.connection = connection;
            page.reason = reason;
            refused(&page)
        }
    }
}

/// What the form that ends a trial sends.
#[derive(serde::Deserialize)]
pub struct GiveBackForm {
    connection: ConnectionId,
}

/// `POST /operator/plugins/{digest}/give-back`: the active version serves a connection
/// again that this one serves.
pub async fn give_back(
    visit: Visit,
    Path(digest): Path<String>,
    signed: Signed<GiveBackForm>,
) -> Result<Response, Error> {
    let connection = signed.form.connection;
    let ask = Ask::EndTrial {
        connection,
        from: Some(digest.clone()),
    };
    let by = name(&signed.session);
    let outcome = match switch::ask(&visit.host, ask, by, None, PATIENCE).await {
        Ok((_, outcome)) => given_back(outcome),
        Err(versions::Error::NoTrial) => Ok("served-no-more"),
        Err(error) => refusal(error).map(Err)?,
    };
    match outcome {
        Ok(done) => Ok(led_to(&digest, done)),
        Err(why) => refused(&VersionPage::refused(&visit, digest, why).await?),
    }
}

/// What the page says of a connection that was to be given back; or why it was not.
fn given_back(outcome: Outcome) -> Result<&'static str, String> {
    match outcome {
        Outcome::Made => Ok("given-back"),
        Outcome::Waits => Ok("gives-back"),
        Outcome::Refused(why) => Err(web::error::Error::Conflict(why).detail()),
    }
}

/// Asks for a switch. Returns the version, and whether it is active by now; or why it
/// was not made.
async fn switched(
    visit: &Visit,
    ask: Ask,
    by: String,
    reason: &str,
) -> Result<Result<(String, bool), String>, Error> {
    let reason = reason.trim();
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    let reason = match text(reason, "Why") {
        Ok(reason) => reason,
        Err(error) => return Ok(Err(error.detail())),
    };
    match switch::ask(&visit.host, ask, by, reason, PATIENCE).await {
        Ok((requested, Outcome::Made)) => Ok(Ok((requested.version.digest, true))),
        Ok((requested, Outcome::Waits)) => Ok(Ok((requested.version.digest, false))),
        Ok((_, Outcome::Refused(why))) => Ok(Err(web::error::Error::Conflict(why).detail())),
        Err(error) => refusal(error).map(Err),
    }
}

fn led_to(digest: &str, done: &str) -> Response {
    see_other(&format!("{}?done={done}", plugins::path(digest)))
}

#[derive(Template)]
#[template(path = "operator/rollback.html")]
struct RollbackPage {
    frame: Frame,
    connector: String,
    /// What is active now.
    active: Option<String>,
    /// What is gone back to; none where there is nothing.
    before: Option<Named>,
    refusal: Option<String>,
    reason: String,
}

impl RollbackPage {
    async fn load(visit: &Visit, connector: String) -> Result<Self, Error> {
        let of = connector.clone();
        let standing = visit.host.store.read(move |tx| {
            if !tx.plugin_connectors()?.contains(&of) {
                return Err(store::Error::NotFound("connector"));
            }
            Standing::load(tx, &of)
        });
        let standing = standing.await?;
        Ok(Self {
            frame: visit.frame("Go back to the version before", Section::Plugins),
            connector,
            active: standing.active().map(|digest| short(digest).to_owned()),
            before: standing.before.as_ref().map(Named::from),
            refusal: None,
            reason: String::new(),
        })
    }
}

/// Of which connector.
#[derive(serde::Deserialize)]
pub struct RollbackQuery {
    connector: String,
}

/// `GET /operator/plugins/rollback?connector=hubspot`.
pub async fn rollback_page(
    visit: Visit,
    Query(query): Query<RollbackQuery>,
) -> Result<Html<String>, Error> {
    html(&RollbackPage::load(&visit, query.connector).await?)
}

/// What the form that goes back sends.
#[derive(serde::Deserialize)]
pub struct RollbackForm {
    connector: String,
    /// The version that the page named, by digest.
    to: String,
    #[serde(default)]
    reason: String,
}

/// `POST /operator/plugins/rollback`.
pub async fn rollback(visit: Visit, signed: Signed<RollbackForm>) -> Result<Response, Error> {
    let RollbackForm {
        connector,
        to,
        reason,
    } = signed.form;
    let ask = Ask::Rollback {
        connector: Some(connector.clone()),
        to: Some(to),
    };
    match switched(&visit, ask, name(&signed.session), &reason).await? {
        Ok((digest, true)) => Ok(led_to(&digest, "gone-back")),
        Ok((digest, false)) => Ok(led_to(&digest, "asked")),
        Err(why) => {
            let mut page = RollbackPage::load(&visit, connector).await?;
            page.refusal = Some(why);
            page.reason = reason;
            refused(&page)
        }
    }
}

#[derive(Template)]
#[template(path = "operator/remove.html")]
struct RemovePage {
    frame: Frame,
    version: Named,
    is_built_in: bool,
    refusal: Option<String>,
}

impl RemovePage {
    async fn load(visit: &Visit, begins: String) -> Result<Self, Error> {
        let (version, standing) = plugins::find(&visit.host, begins).await?;
        let running = standing.running.as_ref();
        Ok(Self {
            frame: visit.frame("Remove a version", Section::Plugins),
            version: Named::from(&version),
            is_built_in: running.is_some_and(|running| running.has_built_in(&version.digest)),
            refusal: None,
        })
    }
}

/// `GET /operator/plugins/{digest}/remove`.
pub async fn remove_page(visit: Visit, Path(begins): Path<String>) -> Result<Html<String>, Error> {
    html(&RemovePage::load(&visit, begins).await?)
}

/// `POST /operator/plugins/{digest}/remove`.
pub async fn remove(
    visit: Visit,
    Path(begins): Path<String>,
    _: Signed<Nothing>,
) -> Result<Response, Error> {
    let host = &visit.host;
    let directory = &host.config.data.directory;
    match library::remove(&host.store, directory, begins.clone()).await {
        Ok(removed) => {
            host.pipeline.notify_changed();
            let digest = removed.digest;
            Ok(see_other(&format!("{}?removed={digest}", super::PLUGINS)))
        }
        Err(error) => {
            let why = refusal(error)?;
            let mut page = RemovePage::load(&visit, begins).await?;
            page.refusal = Some(why);
            refused(&page)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_given_back_is_not_said_to_be() {
        let refused = Outcome::Refused("no plugin of the connector runs here".into());
        let why = "No plugin of the connector runs here.".to_owned();
        assert_eq!(given_back(Outcome::Made), Ok("given-back"));
        assert_eq!(given_back(Outcome::Waits), Ok("gives-back"));
        assert_eq!(given_back(refused), Err(why));
    }
}
