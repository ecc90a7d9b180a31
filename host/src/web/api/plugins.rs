//! Plugin versions, for operators: installed, activated, gone back from.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    extract::{Body, Json, Operator, Path, Query},
    shadows::{self, Shadow},
};
use crate::{
    host::Host,
    model::{ConnectionId, Described, Timestamp},
    store::{
        plugins::{self, Outcome, PluginVersion, Why},
        trials::Trial,
    },
    sync::versions::{
        library::{self, Brought},
        shadow::Report,
        switch::{self, Ask},
    },
    web::{error::Error, problem::Problem},
};

/// How long an answer waits for a switch: less than a request may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The name of a file that came with none.
pub const NAMELESS: &str = "component.wasm";

/// The longest name of a file, and the longest reason, in characters.
const TEXT_LENGTH_MAX: usize = 200;

/// A version of a plugin.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plugin {
    /// The SHA-256 digest of the component, in hexadecimal.
    digest: String,
    /// The connector, for example `hubspot`.
    connector: String,
    /// What people read, in the component's own words.
    label: String,
    /// The component's own version.
    version: String,
    /// The version of the contract that it speaks; none where it was installed before
    /// that was kept.
    contract: Option<String>,
    /// What it says that it understands; none where it was installed before that was
    /// kept, and did not run since.
    description: Option<Described>,
    /// Its size.
    size_bytes: u64,
    /// The name of the file that it came in; none where it is built in.
    file: Option<String>,
    /// Who installed it.
    installed_by: String,
    /// When.
    installed_at: Timestamp,
    /// Whether it is the active version.
    active: bool,
    /// The connections that it alone serves, although another is active.
    #[schema(value_type = Vec<String>)]
    serves_alone: Vec<ConnectionId>,
}

/// A switch from one version to another.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activation {
    /// The connector.
    connector: String,
    /// The connection, where it is of one alone.
    #[schema(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// The version that became active.
    digest: String,
    /// The one that was active before; none where it is the connector's first.
    before: Option<String>,
    /// When.
    at: Timestamp,
    /// Who did it.
    by: String,
    /// Why: an operator activated it, or went back to it, or the host went back by
    /// itself.
    why: Why,
    /// Why, in words.
    reason: Option<String>,
}

/// The versions, and what was active when.
#[derive(Debug, Serialize, ToSchema)]
pub struct Plugins {
    /// By when they were installed.
    versions: Vec<Plugin>,
    /// Newest first.
    activations: Vec<Activation>,
    /// The versions that are compared with the active one of their connector.
    shadows: Vec<Shadow>,
    /// The connectors that do not run the version that was chosen.
    problems: Vec<PluginProblem>,
    /// The connectors whose active version fails too often, with none to go back to.
    failing: Vec<PluginProblem>,
}

/// What is wrong with what a connector runs. Where that is not the version that was
/// chosen, a built-in one stands in for it, if there is one.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginProblem {
    /// The connector.
    connector: String,
    /// What is wrong.
    detail: String,
}

/// How a component is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InstallQuery {
    /// The name of its file.
    file: Option<String>,
}

/// How a version is activated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivatePlugin {
    /// Although it was not compared with the active version, or fails where that does
    /// not.
    #[serde(default)]
    force: bool,
    /// The connection that it is to serve alone, before it serves all.
    #[schema(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// Why, in words.
    reason: Option<String>,
}

/// How the version before is gone back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPlugin {
    /// Of which connector. Need not be said where there is one alone.
    connector: Option<String>,
    /// The connection that the active version is to serve again; none where all go
    /// back to the version before.
    #[schema(value_type = Option<String>)]
    connection: Option<ConnectionId>,
    /// Why, in words.
    reason: Option<String>,
}

/// A switch that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PluginSwitch {
    /// The version that is switched to.
    digest: String,
    /// Whether it is active now. Else the host still compiles it.
    active: bool,
    /// How often it differed from the version before, where the two were compared.
    difference_count: Option<u64>,
}

/// The versions that are known, and what was active when. For operators.
#[utoipa::path(
    get, path = "/plugins", tag = "plugins", operation_id = "list_plugins",
    responses(
        (status = 200, body = Plugins),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(host): State<Arc<Host>>,
    _: Operator,
) -> Result<axum::Json<Plugins>, Error> {
    let known = host.store.read(move |tx| {
        let (mut activations, mut reports) = (Vec::new(), Vec::new());
        for connector in tx.plugin_connectors()? {
            activations.extend(tx.activations(&connector)?);
            reports.extend(Report::load(tx, &connector)?);
        }
        activations.sort_by_key(|activation| Reverse(activation.id));
        Ok((
            tx.plugin_versions()?,
            tx.trials()?,
            activations,
            reports,
            tx.plugin_problems()?,
            tx.plugins_failing()?,
        ))
    });
    let (versions, trials, activations, reports, problems, failing) = known.await?;
    let problem = |(connector, detail)| PluginProblem { connector, detail };
    Ok(axum::Json(Plugins {
        versions: versions
            .into_iter()
            .map(|version| plugin(&host, version, &trials))
            .collect(),
        activations: activations.into_iter().map(activation).collect(),
        shadows: reports.into_iter().map(shadows::shown).collect(),
        problems: problems.into_iter().map(problem).collect(),
        failing: failing.into_iter().map(problem).collect(),
    }))
}

/// Installs a version: checks the component in the body, and keeps it. It is not
/// active by that. For operators.
#[utoipa::path(
    post, path = "/plugins", tag = "plugins", operation_id = "install_plugin",
    params(InstallQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, body = Plugin),
        (status = 422, description = "It cannot be installed, and why.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn install(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Query(query): Query<InstallQuery>,
    Body(component): Body,
) -> Result<(StatusCode, axum::Json<Plugin>), Error> {
    let file = query.file.unwrap_or_else(|| NAMELESS.to_owned());
    let brought = Brought {
        component: component.to_vec(),
        file: text(Some(file), "file")?.unwrap_or_default(),
        by: operator.name(),
    };
    let (directory, now) = (&host.config.data.directory, host.clock.now());
    let (installing, engine) = (&host.installing, &host.engine);
    let installed = library::install(installing, engine, &host.store, directory, brought, now);
    let installed = installed.await?;
    let trials = host.store.read(|tx| tx.trials()).await?;
    Ok((
        StatusCode::CREATED,
        axum::Json(plugin(&host, installed, &trials)),
    ))
}

/// A version, by its digest or the beginning of it. For operators.
#[utoipa::path(
    get, path = "/plugins/{digest}", tag = "plugins", operation_id = "get_plugin",
    params(("digest" = String, Path)),
    responses(
        (status = 200, body = Plugin),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(host): State<Arc<Host>>,
    _: Operator,
    Path(begins): Path<String>,
) -> Result<axum::Json<Plugin>, Error> {
    let known = host
        .store
        .read(move |tx| Ok((tx.plugin_version(&begins)?, tx.trials()?)));
    let (version, trials) = known.await?;
    Ok(axum::Json(plugin(&host, version, &trials)))
}

/// Removes a version that is not active. For operators.
#[utoipa::path(
    delete, path = "/plugins/{digest}", tag = "plugins", operation_id = "remove_plugin",
    params(("digest" = String, Path)),
    responses(
        (status = 204),
        (status = 409, description = "It is active, or built in.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove(
    State(host): State<Arc<Host>>,
    _: Operator,
    Path(begins): Path<String>,
) -> Result<StatusCode, Error> {
    library::remove(&host.store, &host.config.data.directory, begins).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Activates a version. Deliveries go on meanwhile: what is under way ends on the
/// version that it began with. For operators.
#[utoipa::path(
    post, path = "/plugins/{digest}/activate", tag = "plugins", operation_id = "activate_plugin",
    params(("digest" = String, Path)),
    request_body = ActivatePlugin,
    responses(
        (status = 200, body = PluginSwitch, description = "It is active."),
        (status = 202, body = PluginSwitch, description = "The host still compiles it."),
        (status = 409, description = "It cannot be activated, and why.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn activate(
    State(host): State<Arc<Host>>,
    operator: Operator,
    Path(begins): Path<String>,
    body: Option<Json<ActivatePlugin>>,
) -> Result<(StatusCode, axum::Json<PluginSwitch>), Error> {
    let Json(ActivatePlugin {
        force,
        connection,
        reason,
    }) = body.unwrap_or(Json(ActivatePlugin::default()));
    let ask = Ask::Activate {
        begins,
        force,
        connection,
    };
    switched(&host, ask, operator.name(), reason).await
}

/// Goes back to the version that was active before. For operators.
#[utoipa::path(
    post, path = "/plugins/rollback", tag = "plugins", operation_id = "rollback_plugin",
    request_body = RollbackPlugin,
    responses(
        (status = 200, body = PluginSwitch, description = "It is active."),
        (status = 202, body = PluginSwitch, description = "The host still compiles it."),
        (status = 409, description = "There is none, or it cannot be run.", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn rollback(
    State(host): State<Arc<Host>>,
    operator: Operator,
    body: Option<Json<RollbackPlugin>>,
) -> Result<(StatusCode, axum::Json<PluginSwitch>), Error> {
    let Json(RollbackPlugin {
        connector,
        connection,
        reason,
    }) = body.unwrap_or(Json(RollbackPlugin::default()));
    let ask = match connection {
        Some(connection) => Ask::EndTrial {
            connection,
            from: None,
        },
        None => Ask::Rollback {
            connector,
            to: None,
        },
    };
    switched(&host, ask, operator.name(), reason).await
}

async fn switched(
    host: &Host,
    ask: Ask,
    by: String,
    reason: Option<String>,
) -> Result<(StatusCode, axum::Json<PluginSwitch>), Error> {
    let reason = text(reason, "reason")?;
    let (requested, outcome) = switch::ask(host, ask, by, reason, PATIENCE).await?;
    let (status, active) = match outcome {
        Outcome::Made => (StatusCode::OK, true),
        Outcome::Waits => (StatusCode::ACCEPTED, false),
        Outcome::Refused(reason) => return Err(Error::Conflict(reason)),
    };
    let switch = PluginSwitch {
        digest: requested.version.digest,
        active,
        difference_count: requested.compared.map(|report| report.difference_count()),
    };
    Ok((status, axum::Json(switch)))
}

/// A short text of one line, where there is any.
pub fn text(text: Option<String>, name: &str) -> Result<Option<String>, Error> {
    let is_good = |text: &String| {
        text.chars().count() <= TEXT_LENGTH_MAX && !text.chars().any(char::is_control)
    };
    if text.as_ref().is_some_and(|text| !is_good(text)) {
        return Err(Error::Malformed(format!(
            "`{name}` has at most {TEXT_LENGTH_MAX} characters, on one line."
        )));
    }
    Ok(text)
}

fn plugin(host: &Host, version: PluginVersion, trials: &[Trial]) -> Plugin {
    let active = host.plugins.active(&version.connector);
    Plugin {
        active: active.is_ok_and(|active| active.digest() == version.digest),
        serves_alone: trials
            .iter()
            .filter(|trial| trial.digest == version.digest && trial.problem.is_none())
            .map(|trial| trial.connection)
            .collect(),
        digest: version.digest,
        connector: version.connector,
        label: version.label,
        version: version.version,
        contract: version.contract,
        description: version.description,
        size_bytes: version.size_bytes,
        file: version.file,
        installed_by: version.installed_by,
        installed_at: version.installed_at,
    }
}

fn activation(activation: plugins::Activation) -> Activation {
    Activation {
        connector: activation.switch.connector,
        connection: activation.switch.connection,
        digest: activation.switch.digest,
        before: activation.before,
        at: activation.at,
        by: activation.switch.by,
        why: activation.switch.why,
        reason: activation.switch.reason,
    }
}
