//! `project` and `token`: written at once into the data directory, beside a
//! running host or without one.

use clap::{Subcommand, ValueEnum};

use super::{Error, project_id};
use crate::{
    clock::Clock,
    config::DataConfig,
    members::rules,
    model::ProjectId,
    secrets::{hash_token, random_token},
    store::{
        Store,
        projects::{Purpose, Role},
    },
    web::api::projects,
};

/// Projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make a project, and print its id.
    Create {
        /// What people call it.
        #[arg(value_parser = projects::name)]
        name: String,
        /// Its IANA time zone.
        #[arg(long, value_parser = projects::time_zone, default_value = "UTC")]
        time_zone: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// List all projects.
    List {
        #[command(flatten)]
        data: DataConfig,
    },
}

impl ProjectCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let now = Clock::system().now();
        match self {
            Self::Create {
                name,
                time_zone,
                data,
            } => {
                let store = Store::open(&data.directory)?;
                let project = store
                    .transact(move |tx| tx.create_project(&name, &time_zone, now))
                    .await?;
                println!("created {} {}", project.name, project.id);
            }
            Self::List { data } => {
                let store = Store::open(&data.directory)?;
                for project in store.read(|tx| tx.projects()).await? {
                    println!("{}\t{}\t{}", project.id, project.name, project.time_zone);
                }
            }
        }
        Ok(())
    }
}

/// What a project's token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProjectRole {
    /// Everything in the project.
    Admin,
    /// Look at it.
    Viewer,
}

impl From<ProjectRole> for Role {
    fn from(role: ProjectRole) -> Self {
        match role {
            ProjectRole::Admin => Self::Admin,
            ProjectRole::Viewer => Self::Viewer,
        }
    }
}

/// API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it: it is shown this once.
    Create {
        /// The project that it opens.
        #[arg(long, value_parser = project_id, required_unless_present = "operator")]
        project: Option<ProjectId>,
        /// What it may do there.
        #[arg(long, value_enum, required_unless_present = "operator")]
        role: Option<ProjectRole>,
        /// Make a token for the whole host instead.
        #[arg(long, conflicts_with_all = ["project", "role"])]
        operator: bool,
        /// What people call it.
        #[arg(long, value_parser = rules::name)]
        name: Option<String>,
        #[command(flatten)]
        data: DataConfig,
    },
    /// List all tokens, by number.
    List {
        #[command(flatten)]
        data: DataConfig,
    },
    /// Revoke a token: it is refused from now on.
    Revoke {
        /// Its number in the list.
        number: i64,
        #[command(flatten)]
        data: DataConfig,
    },
}

impl TokenCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create {
                project,
                role,
                operator: _,
                name,
                data,
            } => {
                let role = role.map_or(Role::Operator, Role::from);
                let token = random_token();
                let hash = hash_token(&token);
                let now = Clock::system().now();
                let store = Store::open(&data.directory)?;
                store
                    .transact(move |tx| {
                        let token =
                            tx.create_token(hash, project, role, Purpose::Api, now, None)?;
                        match name {
                            Some(name) => tx.name_token(token, &name, None),
                            None => Ok(()),
                        }
                    })
                    .await?;
                println!("{}", token.expose());
            }
            Self::List { data } => {
                let store = Store::open(&data.directory)?;
                for token in store.read(|tx| tx.tokens()).await? {
                    let project = token.holder.project;
                    println!(
                        "{}\t{}\t{}\t{}\t{}",
                        token.holder.token,
                        token.holder.role.as_str(),
                        project.map_or("the whole host".into(), |project| project.to_string()),
                        token.created_at,
                        token.holder.name.unwrap_or_default()
                    );
                }
            }
            Self::Revoke { number, data } => {
                let store = Store::open(&data.directory)?;
                if !store.transact(move |tx| tx.revoke_token(number)).await? {
                    return Err(Error::Usage(format!("there is no token {number}")));
                }
            }
        }
        Ok(())
    }
}
