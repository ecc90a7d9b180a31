//! The command line: runs the host, and works beside a running one on the same
//! data directory. Standard output has only what a command promises.

mod admin;
mod demo;
mod hubspot;
mod log;
mod operator;
mod plugin;
mod sample;
mod serve;
mod set_aside;
mod shadow;
mod sign_in;
mod sync;

use clap::{Parser, Subcommand};

use crate::{
    config::Config, host, lock, members, model::ProjectId, secrets, store, sync::versions,
    telemetry,
};

/// Who asks for something here, as history names them.
const OPERATOR: &str = "the command line";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Members.
    #[error(transparent)]
    Members(#[from] members::Error),
    /// The secret key.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// Another host is running.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The logs' levels.
    #[error(transparent)]
    Levels(#[from] telemetry::BadLevels),
    /// A plugin version.
    #[error(transparent)]
    Version(#[from] versions::Error),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The demo.
    #[error("the demo could not be set up: {0}")]
    Demo(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Usage(String),
}

/// Brings a customer's HubSpot data into their existing Jimo users.
#[derive(Debug, Parser)]
#[command(name = "jimo-connect", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the host.
    Serve(Box<serve::Serve>),
    /// Run the host with a simulated HubSpot and sample data.
    Demo(demo::Demo),
    /// Projects.
    #[command(subcommand)]
    Project(admin::ProjectCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(admin::TokenCommand),
    /// People who operate the host on its pages.
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Full syncs and catch-ups.
    #[command(subcommand)]
    Sync(sync::SyncCommand),
    /// The HubSpot app: its files, and what is missing.
    #[command(subcommand)]
    Hubspot(hubspot::HubspotCommand),
    /// Versions of the plugin.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// The event log: after a failure, and what of it could not be worked on.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Make a link that signs a browser in to a project's pages, and print it.
    SignIn(sign_in::SignIn),
    /// Make a link by which somebody chooses a new password, and print it.
    ResetPassword(sign_in::ResetPassword),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Serve(serve) => runtime()?.block_on(serve.run()),
            Command::Demo(demo) => runtime()?.block_on(demo.run()),
            Command::Project(command) => runtime()?.block_on(command.run()),
            Command::Token(command) => runtime()?.block_on(command.run()),
            Command::Operator(command) => runtime()?.block_on(command.run()),
            Command::Sync(command) => runtime()?.block_on(command.run()),
            Command::Hubspot(command) => runtime()?.block_on(command.run()),
            Command::Plugin(command) => runtime()?.block_on(command.run()),
            Command::Log(command) => runtime()?.block_on(command.run()),
            Command::SignIn(command) => runtime()?.block_on(command.run()),
            Command::ResetPassword(command) => runtime()?.block_on(command.run()),
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Sets logs up as the settings say.
fn init_logs(config: &Config) -> Result<(), Error> {
    Ok(telemetry::init_logs(&config.log, config.log_format)?)
}

/// A project's id, as people type it.
fn project_id(text: &str) -> Result<ProjectId, String> {
    text.parse()
        .map_err(|_| "this is not a project's id, such as prj_1".to_owned())
}
