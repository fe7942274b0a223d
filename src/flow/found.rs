//! What a look at a host found: plain values, so that planning is a pure function of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::names::Names;
use crate::flow::object;
use crate::lxd;
use crate::terraform::ObjectKind;

/// Says what a build instance is for: the alias of the image.
pub const BUILD: &str = "user.ryo.build";
/// On a new instance that still stands beside the old one: the name that it will take.
pub const REPLACES: &str = "user.ryo.replaces";
/// On an old instance that was set aside: the name of the one that takes its place.
pub const REPLACED: &str = "user.ryo.replaced";
/// On an old instance that was set aside: the name that it had, if that is another one.
pub const WAS: &str = "user.ryo.was";
/// On an old instance that was set aside: its devices, as JSON.
pub const DEVICES: &str = "user.ryo.devices";
/// On an old instance that was set aside: the hardware addresses of its network devices, by configuration key, as JSON.
/// The server forgets them when a device is taken away.
pub const ADDRESSES: &str = "user.ryo.addresses";
/// On an instance that has not been seen healthy yet: [`NEW`] or [`AGAIN`].
pub const UNPROVEN: &str = "user.ryo.unproven";
/// Value of [`UNPROVEN`]: it has never been in use.
pub const NEW: &str = "yes";
/// Value of [`UNPROVEN`]: it was in use before it was changed or started again, and holds what it held then.
pub const AGAIN: &str = "again";
/// On an instance that is stopped only for a while and was running before.
pub const PAUSED: &str = "user.ryo.paused";
/// The project or module that an instance belongs to.
pub const OWNER: &str = "user.ryo.project";
/// The version that an instance was deployed with.
pub const VERSION: &str = "user.ryo.version";
/// What the files call the image that an instance was made from.
pub const IMAGE_NAME: &str = "user.ryo.image";
/// Digest of what an instance was made from.
pub const SPEC: &str = "user.ryo.spec";
/// The Consul keys that may be written in an instance, on a host where not everybody may.
pub const WRITES: &str = "user.ryo.writes";
/// Property of an image: digest of what it was made from.
pub const INPUTS: &str = "ryo.inputs";
/// Property of an image: the project or module it belongs to.
pub const IMAGE_OWNER: &str = "ryo.project";
/// Property of an image: its name without the version.
pub const IMAGE_KIND: &str = "ryo.image";
/// Property of an image: the version it was built for.
pub const IMAGE_VERSION: &str = "ryo.version";
/// Prefix of the Consul keys that list what a project owns.
pub const OWNED: &str = "ryo/owned/";

/// An instance as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Profiles in order.
    pub profiles: Vec<String>,
    /// Its own configuration, all keys.
    pub config: BTreeMap<String, String>,
    /// Its own devices.
    pub devices: BTreeMap<String, BTreeMap<String, String>>,
}

impl Instance {
    /// The fingerprint of the image it was made from.
    pub fn base_image(&self) -> Option<&str> {
        self.config.get("volatile.base_image").map(String::as_str)
    }

    /// Whose place it takes up when it comes back, if it was set aside.
    pub fn was(&self) -> Option<&str> {
        self.config(REPLACED).map(|successor| self.config(WAS).unwrap_or(successor))
    }

    /// Returns one configuration value.
    pub fn config(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

/// An image as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its SHA-256, lower-case hexadecimal.
    pub fingerprint: String,
    /// The names it goes by.
    pub aliases: Vec<String>,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
    /// When it came to the host, RFC 3339.
    pub uploaded: String,
    /// Bytes as stored.
    pub size: u64,
}

/// What is known of a host-setup playbook on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSetup {
    /// Digest of the inputs that it ran with last, if it did.
    pub recorded: Option<String>,
    /// What running it would do.
    pub pending: Pending,
}

/// What running a playbook would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    #[default]
    Nothing,
    /// So many tasks would change something.
    Changes(usize),
    /// It cannot be told without doing it.
    Unknown,
}

/// Whether a host was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// It was: what is not found is not there.
    #[default]
    Host,
    /// It was not: what is not found may be there all the same.
    Nothing,
}

/// Everything that a plan needs to know of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether the host was looked at.
    pub seen: Seen,
    /// Every instance, by name.
    pub instances: BTreeMap<String, Instance>,
    /// Every network that the server made, every profile, storage pool and custom volume.
    pub objects: BTreeMap<(ObjectKind, String), object::Found>,
    /// Files of instances that are as they are wanted: instance and path.
    pub files: BTreeSet<(String, String)>,
    /// Every image.
    pub images: Vec<Image>,
    /// The fingerprint of each image that is named in a file but not built by one, by its name as written.
    pub bases: BTreeMap<String, String>,
    /// Who may write Consul keys.
    pub writers: Writers,
    /// Consul keys with their values: those wanted and those owned.
    pub keys: BTreeMap<String, String>,
    /// The keys that each owner has, by owner.
    pub owned: BTreeMap<String, BTreeSet<String>>,
    /// What is wanted of database servers, as it is, by [`crate::flow::database::identity`].
    pub databases: BTreeMap<String, crate::flow::database::Seen>,
    /// What each owner has on database servers, by owner.
    pub owned_databases: BTreeMap<String, BTreeSet<String>>,
    /// Host-setup playbooks, by owner.
    pub host_setup: BTreeMap<String, HostSetup>,
    /// Fingerprints of images that a rollback would need.
    pub kept: BTreeSet<String>,
    /// Projects and modules in the lists of deployed ones.
    pub recorded: BTreeSet<String>,
}

/// Who may write the Consul keys of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writers {
    /// Everybody.
    #[default]
    Everybody,
    /// Who has a token for them.
    Tokens,
}

impl Found {
    /// Returns the fingerprint of the image that a file calls `name`, if it is known.
    ///
    /// # Errors
    ///
    /// [`lxd::Error::NoImage`] if it is to be on the host and is not.
    pub fn fingerprint(&self, names: &Names, name: &str) -> Result<Option<String>, lxd::Error> {
        match self.seen {
            Seen::Host => names.fingerprint(name, &self.images),
            Seen::Nothing => Ok(None),
        }
    }

    /// Returns the image called `alias`.
    pub fn image(&self, alias: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.aliases.iter().any(|name| name == alias))
    }

    /// Whether an instance is made from the image `fingerprint`.
    pub fn uses(&self, fingerprint: &str) -> bool {
        self.instances.values().any(|instance| instance.base_image() == Some(fingerprint))
    }

    /// Returns an image made from `inputs` whose owner is `owner`.
    pub fn image_of(&self, owner: &str, inputs: &str) -> Option<&Image> {
        self.images.iter().find(|image| {
            image.properties.get(INPUTS).is_some_and(|found| found == inputs)
                && image.properties.get(IMAGE_OWNER).is_some_and(|found| found == owner)
        })
    }
}
