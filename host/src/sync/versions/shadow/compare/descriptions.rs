//! What two versions say they are, compared.

use serde_json::{Value as Json, json};

use super::Compared;
use crate::{
    model::ObjectType,
    plugin::{BodyDescription, Description},
    store::shadows::Kind,
};

/// Where two versions say that they are something else, but for their own version and
/// what people read.
pub fn compare_descriptions(active: &Description, candidate: &Description) -> Compared {
    let mut compared = Compared::default();
    let mut differ = |object_type: Option<&ObjectType>, name: &str, [ours, theirs]: [Json; 2]| {
        compared.compared += 1;
        if ours != theirs {
            let of = (Kind::Description, object_type, name);
            compared.add_plain(of, None, Some(ours), Some(theirs));
        }
    };
    let both = [active, candidate];
    differ(None, "connector", both.map(|one| json!(one.connector)));
    differ(None, "delivery", both.map(|one| body(Some(&one.delivery))));
    differ(
        None,
        "journal_file",
        both.map(|one| body(one.journal_file.as_ref())),
    );
    differ(
        None,
        "records_page",
        both.map(|one| body(one.records_page.as_ref())),
    );
    let associations = both.map(|one| body(one.associations_page.as_ref()));
    differ(None, "associations_page", associations);
    let mut names: Vec<&ObjectType> = both
        .iter()
        .flat_map(|one| one.object_types.iter().map(|one| &one.name))
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let said = both.map(|one| {
            let one = one.object_type(name);
            one.map_or(Json::Null, |one| {
                json!({
                    "default_match": one.default_match.as_ref().map(|default| {
                        json!([default.property.as_str(), default.identifier])
                    }),
                    "through": one.through.iter().map(ObjectType::as_str).collect::<Vec<_>>(),
                    "selections": one.selections,
                })
            })
        });
        differ(Some(name), "", said);
    }
    compared
}

fn body(description: Option<&BodyDescription>) -> Json {
    description.map_or(Json::Null, |body| {
        json!({
            "elements": body.elements,
            "account": body.account,
            "records": body.records,
        })
    })
}
