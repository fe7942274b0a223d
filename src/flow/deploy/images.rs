//! What is wanted of images: to be built, to get another name, or to be left as they are.

use super::{Planning, Unit};
use crate::flow::compare::WantedImage;
use crate::flow::found;
use crate::plan::Action;

impl Planning<'_> {
    /// Decides which images are built and which only get a name: whether a left-over instance is what somebody wants
    /// depends on that.
    pub(super) fn decide(&mut self) {
        for (unit, spec) in self.units.iter().flat_map(|unit| unit.images.iter().map(move |spec| (unit, spec))) {
            let alias = spec.build.alias.clone();
            if self.found.image(&alias).is_some_and(|image| up_to_date(image, &spec.inputs)) {
                continue;
            }
            match self.found.image_of(&unit.owner, &spec.inputs) {
                Some(image) => drop(self.tagged.insert(alias, image.fingerprint.clone())),
                None => drop(self.built.insert(alias)),
            }
        }
    }

    pub(super) fn images(&mut self, unit: &Unit) {
        for spec in &unit.images {
            let alias = &spec.build.alias;
            if let Some(fingerprint) = self.tagged.get(alias).cloned() {
                let description = spec.build.properties.get("description").cloned().unwrap_or_default();
                self.push(&unit.owner, Action::TagImage { alias: alias.clone(), fingerprint, description });
            } else if self.built.contains(alias) {
                let named = self.found.image(alias).is_some();
                let why = if named { "what it is made from has changed" } else { "there is none" };
                self.push(&unit.owner, Action::BuildImage { spec: Box::new(spec.clone()), why: why.to_owned() });
            } else if let Some(image) = self.found.image(alias).filter(|it| self.is_foreign(it)) {
                let fingerprint = image.fingerprint.clone();
                self.push(&unit.owner, Action::AdoptImage { spec: Box::new(spec.clone()), fingerprint });
            }
        }
    }

    /// Whether an image is in use that does not say what it is made from: the original tools have built it.
    fn is_foreign(&self, image: &found::Image) -> bool {
        !image.properties.contains_key(found::INPUTS) && self.found.uses(&image.fingerprint)
    }

    pub(super) fn wanted_image(&self, name: &str) -> WantedImage {
        if self.built.contains(name) {
            WantedImage::Built
        } else if let Some(fingerprint) = self.tagged.get(name).or_else(|| self.found.bases.get(name)) {
            WantedImage::Known(fingerprint.clone())
        } else {
            let named = || WantedImage::Named(name.to_owned());
            self.found.image(name).map_or_else(named, |image| WantedImage::Known(image.fingerprint.clone()))
        }
    }
}

/// An image made by the original tools carries no digest: its name is all there is to go by.
fn up_to_date(image: &found::Image, inputs: &str) -> bool {
    image.properties.get(found::INPUTS).is_none_or(|found| found == inputs)
}
