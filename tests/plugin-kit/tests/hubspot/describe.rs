//! What the HubSpot component says of itself.

use crate::description;

#[test]
fn it_describes_contacts_companies_and_deals() {
    let description = description();
    assert_eq!(
        description.version,
        env!("CARGO_PKG_VERSION"),
        "one version for the workspace"
    );
    let expected = "\
hubspot (HubSpot)
contacts: Contacts, Contact; matched on email as e-mail; through nothing; selected by nothing
companies: Companies, Company; matched on nothing; through contacts; selected by SelectionRule::Primary, SelectionRule::LatestModified, SelectionRule::LatestCreated, SelectionRule::Largest
deals: Deals, Deal; matched on nothing; through contacts; selected by SelectionRule::LatestModified, SelectionRule::LatestCreated, SelectionRule::Largest
delivery: elements at /, account at /portalId, records at /objectId, /fromObjectId, /primaryObjectId, /newObjectId, /mergedObjectIds, /toObjectId
journal file: elements at /journalEvents, account at /portalId, records at /objectId, /fromObjectId, /primaryObjectId, /newObjectId, /mergedObjectIds, /toObjectId, /associatedObjectId
records page: elements at /results, account at nothing, records at /id
associations page: elements at /results, account at nothing, records at /from/id
";
    assert_eq!(plugin_kit::show::description(&description), expected);
}
