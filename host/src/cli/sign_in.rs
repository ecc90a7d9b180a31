//! `sign-in`: a link into the pages of a host, beside a running one or before
//! it starts.

use super::{Error, admin::ProjectRole, project_id};
use crate::{
    clock::Clock,
    config::{AddressConfig, DataConfig},
    host,
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
        let public_url = match self.address.public_url {
            Some(public_url) => public_url,
            None if self.address.listen.port() == 0 => {
                return Err(Error::Usage(
                    "the host listens on a free port: give its address as --public-url".into(),
                ));
            }
            None => host::url_of(self.address.listen)?,
        };
        let store = Store::open(&self.data.directory)?;
        let now = Clock::system().now();
        let role = self.role.into();
        let link =
            make_sign_in_link(&store, &public_url, (self.project, role), Link::Once, now).await?;
        println!("{link}");
        Ok(())
    }
}
