//! `replace_triggered_by`: without a state that remembers what the other resources were, an instance carries a digest
//! of them, and is replaced where that is not theirs any longer.

use hcl_edit::expr::Expression;
use sha2::{Digest as _, Sha256};

use crate::hcl::reference::Reference;
use crate::place::Problem;
use crate::terraform::evaluate::Instance as Owner;
use crate::terraform::tree::Declaration;
use crate::terraform::{Instance, Resource};

/// The configuration key that holds the digest.
pub const KEY: &str = "user.ryo.triggers";

/// Returns the digest of the resources that `declaration` is to be replaced with, if it names any. They stand among
/// those made `before` it, because it depends on them.
pub fn read(
    declaration: &Declaration<'_>,
    owner: &Owner,
    before: &[Resource],
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let lifecycle = declaration.block.body.get_blocks("lifecycle").next()?;
    let named = lifecycle.body.get_attribute("replace_triggered_by")?;
    let place = |item: &Expression| declaration.lines.place(item);
    let Expression::Array(items) = &named.value else {
        problems.push(Problem::new(place(&named.value), "`replace_triggered_by` is a list of resources"));
        return None;
    };
    let mut digest = Sha256::new();
    for item in items {
        let reference = match item {
            Expression::Traversal(traversal) => Reference::of(traversal, declaration.lines),
            _ => None,
        };
        let Some(reference) = reference.filter(|it| it.name.is_some() && it.attribute.is_none()) else {
            let problem = Problem::new(place(item), "only whole resources such as `consul_keys.x` are supported here");
            problems.push(problem);
            continue;
        };
        let address = owner.inside(&reference.text());
        let is = |resource: &&Resource| {
            resource.address.strip_prefix(&address).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        for resource in before.iter().filter(is) {
            digest.update(format!("{}\n{:?}\n", resource.address, resource.kind));
        }
    }
    Some(hex::encode(digest.finalize()))
}

/// Notes the digest on an instance.
pub fn noted(mut instance: Instance, digest: Option<&str>) -> Instance {
    instance.config.extend(digest.map(|digest| (KEY.to_owned(), digest.to_owned())));
    instance
}
