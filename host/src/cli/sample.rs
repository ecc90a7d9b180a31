//! The demo's sample data: a project with users, and the records of a HubSpot
//! account that go with them.

use std::{sync::Arc, time::Duration};

use hubspot_sim::{Account, Link, Simulator};

use super::Error;
use crate::{
    host::Host,
    model::ProjectId,
    pipeline::arrivals::{Arrivals, UserItem},
};

/// How long the sample data may take to show on the users.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// How the sample connection maps.
pub const MAPPINGS: &str = r#"{
  "contacts": {
    "matching": {"property": "email", "user": "email"},
    "fields": [
      {"property": "lifecyclestage", "variable": "lifecycle_stage", "show": "label"},
      {"property": "jobtitle", "variable": "job_title"},
      {"property": "city", "variable": "city"}
    ]
  },
  "companies": {
    "matching": {"through": "contacts"},
    "selection": "primary",
    "fields": [
      {"property": "name", "variable": "company_name"},
      {"property": "industry", "variable": "company_industry", "show": "label"},
      {"property": "numberofemployees", "variable": "company_size"}
    ]
  },
  "deals": {
    "matching": {"through": "contacts"},
    "selection": "latest_modified",
    "fields": [
      {"property": "dealname", "variable": "deal_name"},
      {"property": "amount", "variable": "deal_amount"},
      {"property": "closedate", "variable": "deal_close_date", "type": "date"}
    ]
  }
}"#;

/// First name, last name, e-mail address, job title, city, lifecycle stage,
/// company.
const PEOPLE: [[&str; 7]; 6] = [
    [
        "Ana",
        "Silva",
        "ana@northwind.example",
        "Head of Product",
        "Lisbon",
        "customer",
        "Northwind Travel",
    ],
    [
        "Ben",
        "Okafor",
        "ben@northwind.example",
        "Operations Lead",
        "Lagos",
        "customer",
        "Northwind Travel",
    ],
    [
        "Chloé",
        "Martin",
        "chloe@lumen.example",
        "Customer Success",
        "Paris",
        "opportunity",
        "Lumen Studio",
    ],
    [
        "Daniel",
        "Kim",
        "daniel@lumen.example",
        "Engineer",
        "Seoul",
        "lead",
        "Lumen Studio",
    ],
    [
        "Elif",
        "Yılmaz",
        "elif@orchard.example",
        "Founder",
        "İzmir",
        "opportunity",
        "Orchard Foods",
    ],
    [
        "Femi",
        "Adeyemi",
        "femi@orchard.example",
        "Analyst",
        "Accra",
        "subscriber",
        "Orchard Foods",
    ],
];

/// Name, domain, industry, employees.
const COMPANIES: [[&str; 4]; 3] = [
    ["Northwind Travel", "northwind.example", "INTERNET", "240"],
    [
        "Lumen Studio",
        "lumen.example",
        "MARKETING_AND_ADVERTISING",
        "35",
    ],
    ["Orchard Foods", "orchard.example", "RETAIL", "1200"],
];

/// Name, amount, close date, the contact's first name.
const DEALS: [[&str; 4]; 3] = [
    ["Northwind renewal", "18000", "2026-12-15T00:00:00Z", "Ana"],
    ["Lumen upgrade", "4200.50", "2027-01-31T00:00:00Z", "Chloé"],
    ["Orchard rollout", "36500", "2027-03-01T00:00:00Z", "Elif"],
];

/// A project with users, before anything is known of HubSpot.
pub async fn make_project(host: &Arc<Host>) -> Result<ProjectId, Error> {
    let (keys, now) = (host.keys.clone(), host.clock.now());
    let project = host
        .store
        .transact(move |tx| {
            let project = tx.create_project("Acme Travel", "Europe/Paris", now)?.id;
            let arrivals = Arrivals::new(tx, &keys, project, now)?;
            for (index, [first, last, email, ..]) in PEOPLE.iter().enumerate() {
                let user = UserItem {
                    external_id: Some(format!("user-{}", index + 1)),
                    email: Some((*email).to_owned()),
                    name: Some(format!("{first} {last}")),
                    variables: Vec::new(),
                };
                // Made by id, so never refused.
                let _ = arrivals.put(&user)?;
            }
            let stranger = UserItem {
                external_id: Some("user-7".into()),
                email: Some("gina@elsewhere.example".into()),
                name: Some("Gina Rossi".into()),
                variables: Vec::new(),
            };
            let _ = arrivals.put(&stranger)?;
            Ok(project)
        })
        .await?;
    host.pipeline.notify_changed();
    Ok(project)
}

/// Makes the sample records in HubSpot. They reach the users by webhooks, like
/// every later change.
pub async fn make_records(
    host: &Arc<Host>,
    simulator: &Simulator,
    account: &Account,
) -> Result<(), Error> {
    let failed = |error: hubspot_sim::Error| Error::Demo(error.to_string());
    let mut companies = Vec::new();
    for [name, domain, industry, employees] in COMPANIES {
        let values = [
            ("name", name),
            ("domain", domain),
            ("industry", industry),
            ("numberofemployees", employees),
        ];
        companies.push((name, account.create("companies", &values).map_err(failed)?));
    }
    let mut contacts = Vec::new();
    for [first, last, email, title, city, stage, company] in PEOPLE {
        let values = [
            ("email", email),
            ("firstname", first),
            ("lastname", last),
            ("jobtitle", title),
            ("city", city),
            ("lifecyclestage", stage),
        ];
        let contact = account.create("contacts", &values).map_err(failed)?;
        contacts.push((first, contact));
        if let Some((_, id)) = companies.iter().find(|(name, _)| *name == company) {
            account
                .associate(("contacts", contact), ("companies", *id), Link::Primary)
                .map_err(failed)?;
        }
    }
    for [name, amount, closedate, first] in DEALS {
        let values = [
            ("dealname", name),
            ("amount", amount),
            ("closedate", closedate),
        ];
        let deal = account.create("deals", &values).map_err(failed)?;
        if let Some((_, contact)) = contacts.iter().find(|(known, _)| *known == first) {
            account
                .associate(("contacts", *contact), ("deals", deal), Link::Plain)
                .map_err(failed)?;
        }
    }
    simulator.settle().await;
    settle(host).await
}

/// Waits until what HubSpot sent shows on the users.
async fn settle(host: &Arc<Host>) -> Result<(), Error> {
    let mut changed = host.pipeline.changed();
    let settled = async {
        loop {
            if is_settled(host).await? {
                return Ok(());
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), changed.changed()).await;
        }
    };
    match tokio::time::timeout(SETTLE_MAX, settled).await {
        Ok(settled) => settled,
        // The data still comes; the visitor sees it come.
        Err(_) => Ok(()),
    }
}

async fn is_settled(host: &Arc<Host>) -> Result<bool, Error> {
    let tail = *host.log.tail().borrow();
    if *host.pipeline.applied().borrow() < tail {
        return Ok(false);
    }
    let waiting = host
        .store
        .read(|tx| {
            let mut waiting = 0;
            for account in tx.connected_accounts()? {
                waiting += tx.waiting_reads(account)? + tx.waiting_lookups(account)?;
            }
            Ok(waiting)
        })
        .await?;
    Ok(waiting == 0)
}
