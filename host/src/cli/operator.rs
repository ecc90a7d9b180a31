//! `operator`: people who operate the host on its pages, named beside a running one.

use clap::Subcommand;

use super::Error;
use crate::{
    clock::Clock,
    config::DataConfig,
    members::rules,
    store::{self, Store, Tx, members::Person},
};

/// People who operate the host on its pages: plugin versions, and what was set aside.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make a member an operator, from now on.
    Grant {
        /// The member's e-mail address.
        email: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Make an operator one no more, from now on. What they may do in projects stays.
    Revoke {
        /// The member's e-mail address.
        email: String,
        #[command(flatten)]
        data: DataConfig,
    },
    /// List the operators.
    List {
        #[command(flatten)]
        data: DataConfig,
    },
}

impl OperatorCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Grant { email, data } => {
                let key = rules::email(&email).map_err(Error::Usage)?.key;
                let now = Clock::system().now();
                let store = Store::open(&data.directory)?;
                let granted = store.transact(move |tx| {
                    let person = member(tx, &key)?;
                    tx.grant_operator(person.id, now)?;
                    Ok(person)
                });
                println!("{} operates the host", granted.await?.email);
            }
            Self::Revoke { email, data } => {
                let key = rules::email(&email).map_err(Error::Usage)?.key;
                let store = Store::open(&data.directory)?;
                let revoked = store.transact(move |tx| {
                    let person = member(tx, &key)?;
                    Ok((tx.revoke_operator(person.id)?, person))
                });
                let (was_one, person) = revoked.await?;
                if !was_one {
                    return Err(Error::Usage(format!("{} is no operator", person.email)));
                }
                println!("{} operates the host no more", person.email);
            }
            Self::List { data } => {
                let store = Store::open(&data.directory)?;
                for operator in store.read(|tx| tx.operators()).await? {
                    let Person { email, name, .. } = operator.person;
                    println!("{email}\t{name}\t{}", operator.granted_at);
                }
            }
        }
        Ok(())
    }
}

fn member(tx: &Tx<'_>, key: &str) -> Result<Person, store::Error> {
    tx.person_by_email(key)?
        .ok_or(store::Error::NotFound("member"))
}
