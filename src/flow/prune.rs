//! `ryo image prune`: which images nothing needs any longer. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::found::{Found, IMAGE_KIND, IMAGE_OWNER, Image};
use crate::plan::{Action, Plan, Step, Values};

/// Plans the removal of images of ours that no instance was made from, but for the newest `keep` of each kind and those
/// that a rollback would need.
///
/// Images that we did not build are left alone. An image without a name counts as well: a newer one took its name.
pub fn plan(title: &str, found: &Found, keep: usize) -> Plan {
    let used: BTreeSet<&str> = found.instances.values().filter_map(|instance| instance.base_image()).collect();
    let mut kinds: BTreeMap<(&str, &str), Vec<&Image>> = BTreeMap::new();
    for image in &found.images {
        if let Some(owner) = image.properties.get(IMAGE_OWNER) {
            kinds.entry((owner, kind(image))).or_default().push(image);
        }
    }
    let mut steps = vec![];
    for ((owner, _), mut images) in kinds {
        images.sort_by(|a, b| b.uploaded.cmp(&a.uploaded));
        let named = images.iter().filter(|image| !image.aliases.is_empty()).take(keep);
        let kept: BTreeSet<&str> = named.map(|image| image.fingerprint.as_str()).collect();
        let needed = |image: &&&Image| {
            let fingerprint = image.fingerprint.as_str();
            used.contains(fingerprint) || kept.contains(fingerprint) || found.kept.contains(fingerprint)
        };
        steps.extend(images.iter().filter(|image| !needed(image)).map(|image| removal(owner, image)));
    }
    Plan { title: title.to_owned(), steps, values: Values::Known }
}

/// The image whatever its version, as noted when it was built.
fn kind(image: &Image) -> &str {
    image.properties.get(IMAGE_KIND).map_or("", String::as_str)
}

fn removal(owner: &str, image: &Image) -> Step {
    let action = Action::RemoveImage { fingerprint: image.fingerprint.clone(), aliases: image.aliases.clone() };
    Step { owner: owner.to_owned(), action }
}
