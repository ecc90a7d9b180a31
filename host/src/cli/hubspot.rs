//! `hubspot`: the app's files for HubSpot's developer platform, and what is missing
//! for the host to be told of everything. Calls nobody: it tells what the settings
//! say, and what a host on this data directory found.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use url::{Host, Url};

use super::Error;
use crate::{
    config::{AddressConfig, DataConfig, HubspotConfig, JournalUse},
    host::url_below,
    hubspot::project::{Distribution, Project, can_be_pushed, choose},
    intake,
    model::{ObjectType, PropertyName, PushedProperty, Timestamp},
    store::{
        self, Store, Tx,
        journal::{Finding, State, Subject},
    },
    sync::{consents::CALLBACK, journal::is_seen},
};

/// How many connections use a property.
type Used = BTreeMap<(ObjectType, PropertyName), usize>;

/// The HubSpot app.
#[derive(Debug, Subcommand)]
pub enum HubspotCommand {
    /// Write the files of the app for HubSpot's developer platform, to be uploaded
    /// with HubSpot's own command line: scopes, addresses, and what HubSpot pushes,
    /// which is the properties that the mappings here use. Write and upload them
    /// again when others are mapped.
    App {
        /// The directory to write them to. Made when it is not there.
        #[arg(long)]
        out: PathBuf,
        /// What people at HubSpot call the app.
        #[arg(long, default_value = "Jimo Connect")]
        name: String,
        /// Who may install the app. It cannot be changed after the first upload.
        #[arg(long, value_enum, default_value_t)]
        distribution: Distribution,
        #[command(flatten)]
        address: AddressConfig,
        #[command(flatten)]
        data: DataConfig,
    },
    /// Say what is missing for the host to be told of everything. Fails where
    /// anything is.
    Check {
        #[command(flatten)]
        address: AddressConfig,
        #[command(flatten)]
        data: DataConfig,
        #[command(flatten)]
        hubspot: HubspotConfig,
    },
}

impl HubspotCommand {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::App {
                out,
                name,
                distribution,
                address,
                data,
            } => {
                let public_url = public_url(&address).map_err(Error::Usage)?;
                let project = Project {
                    name,
                    distribution,
                    redirect_url: url_below(public_url, CALLBACK),
                    webhooks: url_below(public_url, intake::PATH),
                };
                write_app(&project, &out, &data).await
            }
            Self::Check {
                address,
                data,
                hubspot,
            } => {
                let store = Store::open(&data.directory)?;
                let known = store.read(Known::load).await?;
                let missing = missing(&address, &hubspot, &known);
                if missing.is_empty() {
                    println!("nothing is missing");
                    return Ok(());
                }
                missing.iter().for_each(|line| println!("{line}"));
                Err(Error::Usage(format!("missing: {}", missing.len())))
            }
        }
    }
}

/// The address that HubSpot reaches the host at, where it can be one.
fn public_url(address: &AddressConfig) -> Result<&Url, String> {
    let url = address.public_url.as_ref().ok_or(
        "JIMO_PUBLIC_URL is not set: HubSpot has to be told an address at which it reaches the host",
    )?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    };
    if url.scheme() != "https" || is_local {
        return Err(format!(
            "JIMO_PUBLIC_URL is {url}: HubSpot delivers to public addresses that begin with \
             https:// alone"
        ));
    }
    Ok(url)
}

async fn write_app(project: &Project, out: &Path, data: &DataConfig) -> Result<(), Error> {
    let store = Store::open(&data.directory)?;
    let known = store.read(Known::load).await?;
    let pushed = choose(&known.pushed, &known.used);
    for (path, content) in project.files(&pushed) {
        let path = out.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, format!("{content:#}\n"))?;
        println!("wrote {}", path.display());
    }
    let kept = pushed.clone();
    store.transact(move |tx| tx.save_pushed(&kept)).await?;
    let active = pushed.iter().filter(|one| one.active).count();
    println!("HubSpot pushes the changes of {active} properties once they are uploaded:");
    println!("cd {} && hs project upload", out.display());
    Ok(())
}

/// What the data directory knows.
#[derive(Debug, Default)]
struct Known {
    used: Used,
    pushed: Vec<PushedProperty>,
    findings: Vec<Finding>,
}

impl Known {
    fn load(tx: &Tx<'_>) -> Result<Self, store::Error> {
        let mut used = Used::new();
        // The oldest of the connections' last scans of what had changed.
        let mut scanned_at = Some(Timestamp(i64::MAX));
        for project in tx.projects()? {
            for connection in tx.connections(project.id)? {
                let is_told = connection.status.takes_changes();
                if is_told && tx.first_mapped_at(connection.id)?.is_some() {
                    scanned_at = scanned_at.min(tx.last_completed_run(connection.id, None)?);
                }
                for mapping in tx.mappings(connection.id)? {
                    for property in mapping.told_properties() {
                        let name = (mapping.object_type.clone(), property);
                        *used.entry(name).or_default() += 1;
                    }
                }
            }
        }
        let is_open = |finding: &Finding| {
            finding.subject != Subject::Gap || !is_seen(finding.since, scanned_at)
        };
        Ok(Self {
            used,
            pushed: tx.pushed()?,
            findings: tx.journal_findings()?.into_iter().filter(is_open).collect(),
        })
    }

    /// The properties that are used, can be pushed, and are not.
    fn unpushed(&self) -> Vec<String> {
        let is_pushed = |(object_type, property): &(ObjectType, PropertyName)| {
            self.pushed.iter().any(|one| {
                one.active && one.object_type == *object_type && one.property == *property
            })
        };
        let used = self.used.keys();
        let unpushed = used.filter(|name| can_be_pushed(name) && !is_pushed(name));
        unpushed
            .map(|(object_type, property)| format!("{object_type}.{property}"))
            .collect()
    }
}

/// What is missing, a line each.
fn missing(address: &AddressConfig, hubspot: &HubspotConfig, known: &Known) -> Vec<String> {
    let mut missing = Vec::new();
    let mut say = |line: String| missing.push(line);
    if hubspot.app().is_none() {
        say(
            "HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET are not set: no account can be connected"
                .to_owned(),
        );
    }
    if hubspot.app_id.is_none() {
        say(
            "HUBSPOT_APP_ID is not set: deliveries of other apps are not told from ours".to_owned(),
        );
    }
    if let Err(reason) = public_url(address) {
        say(reason);
    }
    if hubspot.journal == JournalUse::Off {
        say(
            "HUBSPOT_JOURNAL is off: what HubSpot does not push is looked for every few minutes"
                .to_owned(),
        );
    } else {
        known.findings.iter().filter_map(told).for_each(&mut say);
        let is_read = |finding: &Finding| finding.subject == Subject::Reading;
        if !known.findings.iter().any(is_read) {
            say("no host has read HubSpot's journal on this data directory yet".to_owned());
        }
    }
    let unpushed = known.unpushed();
    if known.pushed.is_empty() {
        say("the app's files were not written: jimo-connect hubspot app --out DIR".to_owned());
    } else if !unpushed.is_empty() {
        say(format!(
            "the app's files do not have HubSpot push {}: write and upload them again, or leave \
             them to the journal: {}",
            unpushed.len(),
            unpushed.join(", ")
        ));
    }
    missing
}

/// What is told of a finding that is not good.
fn told(finding: &Finding) -> Option<String> {
    let what = match &finding.subject {
        Subject::Reading => "reading HubSpot's journal".to_owned(),
        Subject::Subscriptions => "subscribing to HubSpot's journal".to_owned(),
        Subject::Account(key) => format!("subscribing to the journal for account {key}"),
        Subject::Gap => "HubSpot's journal".to_owned(),
    };
    match &finding.state {
        State::Works => None,
        State::Refused(reason) => Some(format!(
            "{what} is refused since {}: {reason}",
            finding.since
        )),
        State::Failing(reason) if finding.subject == Subject::Gap => {
            Some(format!("{what} was not read in time: {reason}"))
        }
        State::Failing(reason) => Some(format!("{what} fails since {}: {reason}", finding.since)),
    }
}
