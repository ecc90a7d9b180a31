//! `sign-in` and `reset-password`: links into the pages of a host, beside a
//! running one or before it starts.

use url::Url;

use super::{Error, admin::ProjectRole, project_id};
use crate::{
    clock::Clock,
    config::{AddressConfig, DataConfig},
    host,
    members::{self, rules},
    model::ProjectId,
    store::Store,
    web::session::{Link, make_sign_in_link},
};

/// Make a link that signs a browser in to a project's pages, and print it. It
/// is good once, within an hour.
#[derive(Debug, clap::Args)]
pub struct SignIn {
    /// The project.
    #[arg(long, value_parser = project_id)]
    project: ProjectId,
    /// What the browser may do there.
    #[arg(long, value_enum)]
    role: ProjectRole,
    #[command(flatten)]
    address: AddressConfig,
    #[command(flatten)]
    data: DataConfig,
}

impl SignIn {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let public_url = public_url(self.address)?;
        let store = Store::open(&self.data.directory)?;
        let now = Clock::system().now();
        let role = self.role.into();
        let link =
            make_sign_in_link(&store, &public_url, (self.project, role), Link::Once, now).await?;
        println!("{link}");
        Ok(())
    }
}

/// Make a link by which a member who forgot their password chooses a new one, and
/// print it. It is good once, within an hour; an earlier one is void.
#[derive(Debug, clap::Args)]
pub struct ResetPassword {
    /// The member's e-mail address.
    email: String,
    #[command(flatten)]
    address: AddressConfig,
    #[command(flatten)]
    data: DataConfig,
}

impl ResetPassword {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let public_url = public_url(self.address)?;
        let email = rules::email(&self.email).map_err(Error::Usage)?;
        let store = Store::open(&self.data.directory)?;
        let now = Clock::system().now();
        let link = members::operators_reset_link(&store, &public_url, email, now).await?;
        println!("{link}");
        Ok(())
    }
}

/// The address of the host that a link is for.
fn public_url(address: AddressConfig) -> Result<Url, Error> {
    match address.public_url {
        Some(public_url) => Ok(public_url),
        None if address.listen.port() == 0 => Err(Error::Usage(
            "the host listens on a free port: give its address as --public-url".into(),
        )),
        None => Ok(host::url_of(address.listen)?),
    }
}
