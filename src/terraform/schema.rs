//! Which attributes and blocks the resources have, as their providers declare them.
//!
//! Sources: documentation of terraform-provider-lxd 1.5 to 1.10 (`lxd_container`) and 2.x (`lxd_instance`), of
//! terraform-provider-incus (`incus_instance`), of terraform-provider-consul (`consul_keys`).

use crate::hcl::Type;
use crate::terraform::database::schema as database;

/// A kind of resource.
pub struct Schema {
    /// Its type, e.g. `lxd_container`.
    pub name: &'static str,
    /// What its block takes.
    pub block: Block,
    /// Attributes that only its server knows.
    pub computed: &'static [&'static str],
}

/// What a block takes.
pub struct Block {
    /// Its attributes.
    pub attributes: &'static [Attribute],
    /// Its blocks.
    pub blocks: &'static [(&'static str, Block)],
    /// Attributes and blocks that the provider knows, but that are not carried out.
    pub unsupported: &'static [&'static str],
}

/// An attribute.
#[derive(Clone, Copy)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Whether it can be left out.
    pub need: Need,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A truth value.
    Truth,
    /// A number.
    Number,
    /// Text in order.
    Texts,
    /// Text by name.
    TextMap,
    /// Whatever it is.
    Any,
}

impl Kind {
    /// Returns the type to convert to.
    pub fn wanted(self) -> Type {
        match self {
            Self::Text => Type::String,
            Self::Truth => Type::Bool,
            Self::Number => Type::Number,
            Self::Texts => Type::List(Box::new(Type::String)),
            Self::TextMap => Type::Map(Box::new(Type::String)),
            Self::Any => Type::Any,
        }
    }
}

/// Whether an attribute can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It cannot.
    Required,
    /// It can.
    Optional,
}

pub(super) const fn required(name: &'static str, kind: Kind) -> Attribute {
    Attribute { name, kind, need: Need::Required }
}

pub(super) const fn optional(name: &'static str, kind: Kind) -> Attribute {
    Attribute { name, kind, need: Need::Optional }
}

const DEVICE: Block = Block {
    attributes: &[required("name", Kind::Text), required("type", Kind::Text), required("properties", Kind::TextMap)],
    blocks: &[],
    unsupported: &[],
};

const WAIT_FOR: Block = Block {
    attributes: &[required("type", Kind::Text), optional("delay", Kind::Text), optional("nic", Kind::Text)],
    blocks: &[],
    unsupported: &[],
};

const ADDRESSES: &[&str] =
    &["ip_address", "ipv4_address", "ipv6_address", "mac_address", "status", "id", "interfaces", "location"];

const CONTAINER: Schema = Schema {
    name: "lxd_container",
    block: Block {
        attributes: &[
            required("name", Kind::Text),
            required("image", Kind::Text),
            optional("type", Kind::Text),
            optional("profiles", Kind::Texts),
            optional("ephemeral", Kind::Truth),
            optional("privileged", Kind::Truth),
            optional("config", Kind::TextMap),
            optional("limits", Kind::TextMap),
            optional("remote", Kind::Text),
            optional("wait_for_network", Kind::Truth),
            optional("start_container", Kind::Truth),
            optional("start_on_create", Kind::Truth),
        ],
        blocks: &[("device", DEVICE)],
        unsupported: &["file", "target", "timeouts"],
    },
    computed: ADDRESSES,
};

const INSTANCE_ATTRIBUTES: &[Attribute] = &[
    required("name", Kind::Text),
    required("image", Kind::Text),
    optional("description", Kind::Text),
    optional("type", Kind::Text),
    optional("profiles", Kind::Texts),
    optional("ephemeral", Kind::Truth),
    optional("running", Kind::Truth),
    optional("wait_for_network", Kind::Truth),
    optional("config", Kind::TextMap),
    optional("limits", Kind::TextMap),
    optional("project", Kind::Text),
    optional("remote", Kind::Text),
];

const INSTANCE_UNSUPPORTED: &[&str] =
    &["file", "exec", "execs", "target", "timeouts", "allow_restart", "architecture", "source_instance", "source_file"];

const fn instance(name: &'static str) -> Schema {
    Schema {
        name,
        block: Block {
            attributes: INSTANCE_ATTRIBUTES,
            blocks: &[("device", DEVICE), ("wait_for", WAIT_FOR)],
            unsupported: INSTANCE_UNSUPPORTED,
        },
        computed: ADDRESSES,
    }
}

const CONSUL_KEYS: Schema = Schema {
    name: "consul_keys",
    block: Block {
        attributes: &[optional("datacenter", Kind::Text), optional("token", Kind::Text)],
        blocks: &[(
            "key",
            Block {
                attributes: &[
                    required("path", Kind::Text),
                    optional("value", Kind::Text),
                    optional("delete", Kind::Truth),
                ],
                blocks: &[],
                unsupported: &["name", "default", "flags"],
            },
        )],
        unsupported: &["namespace", "partition"],
    },
    computed: &["id", "var"],
};

const CONSUL_KEY_PREFIX: Schema = Schema {
    name: "consul_key_prefix",
    block: Block {
        attributes: &[
            required("path_prefix", Kind::Text),
            optional("subkeys", Kind::TextMap),
            optional("datacenter", Kind::Text),
            optional("token", Kind::Text),
        ],
        blocks: &[(
            "subkey",
            Block {
                attributes: &[required("path", Kind::Text), required("value", Kind::Text)],
                blocks: &[],
                unsupported: &["flags"],
            },
        )],
        unsupported: &["namespace", "partition"],
    },
    computed: &["id"],
};

const OBJECT_ATTRIBUTES: &[Attribute] = &[
    required("name", Kind::Text),
    optional("description", Kind::Text),
    optional("config", Kind::TextMap),
    optional("project", Kind::Text),
    optional("remote", Kind::Text),
];

const NETWORK_ATTRIBUTES: &[Attribute] = &[
    OBJECT_ATTRIBUTES[0],
    OBJECT_ATTRIBUTES[1],
    OBJECT_ATTRIBUTES[2],
    OBJECT_ATTRIBUTES[3],
    OBJECT_ATTRIBUTES[4],
    optional("type", Kind::Text),
];

const POOL_ATTRIBUTES: &[Attribute] = &[
    OBJECT_ATTRIBUTES[0],
    OBJECT_ATTRIBUTES[1],
    OBJECT_ATTRIBUTES[2],
    OBJECT_ATTRIBUTES[3],
    OBJECT_ATTRIBUTES[4],
    required("driver", Kind::Text),
    optional("source", Kind::Text),
];

const VOLUME_ATTRIBUTES: &[Attribute] = &[
    OBJECT_ATTRIBUTES[0],
    OBJECT_ATTRIBUTES[1],
    OBJECT_ATTRIBUTES[2],
    OBJECT_ATTRIBUTES[3],
    OBJECT_ATTRIBUTES[4],
    required("pool", Kind::Text),
    optional("type", Kind::Text),
    optional("content_type", Kind::Text),
];

const fn object(
    name: &'static str,
    attributes: &'static [Attribute],
    blocks: &'static [(&'static str, Block)],
) -> Schema {
    let unsupported = &["target", "source_volume", "source_file", "file"];
    Schema {
        name,
        block: Block { attributes, blocks, unsupported },
        computed: &["id", "managed", "location", "status"],
    }
}

const FILE_ATTRIBUTES: &[Attribute] = &[
    optional("instance", Kind::Text),
    optional("container_name", Kind::Text),
    optional("instance_name", Kind::Text),
    optional("target_path", Kind::Text),
    optional("target_file", Kind::Text),
    optional("content", Kind::Text),
    optional("source", Kind::Text),
    optional("source_path", Kind::Text),
    optional("uid", Kind::Number),
    optional("gid", Kind::Number),
    optional("mode", Kind::Text),
    optional("create_directories", Kind::Truth),
    optional("append", Kind::Truth),
    optional("project", Kind::Text),
    optional("remote", Kind::Text),
];

const fn file(name: &'static str) -> Schema {
    Schema { name, block: Block { attributes: FILE_ATTRIBUTES, blocks: &[], unsupported: &[] }, computed: &["id"] }
}

const IMAGE_ATTRIBUTES: &[Attribute] = &[
    optional("source_remote", Kind::Text),
    optional("source_image", Kind::Any),
    optional("aliases", Kind::Texts),
    optional("project", Kind::Text),
    optional("remote", Kind::Text),
];

const fn image(name: &'static str) -> Schema {
    let unsupported = &["type", "copy_aliases", "source_file", "source_instance", "architecture", "alias"];
    Schema {
        name,
        block: Block { attributes: IMAGE_ATTRIBUTES, blocks: &[], unsupported },
        computed: &["id", "created_at", "copied_aliases", "architecture"],
    }
}

/// The kinds of resources that are carried out.
pub static SCHEMAS: [Schema; 24] = [
    CONTAINER,
    instance("lxd_instance"),
    instance("incus_instance"),
    CONSUL_KEYS,
    CONSUL_KEY_PREFIX,
    object("lxd_network", NETWORK_ATTRIBUTES, &[]),
    object("incus_network", NETWORK_ATTRIBUTES, &[]),
    object("lxd_profile", OBJECT_ATTRIBUTES, &[("device", DEVICE)]),
    object("incus_profile", OBJECT_ATTRIBUTES, &[("device", DEVICE)]),
    object("lxd_storage_pool", POOL_ATTRIBUTES, &[]),
    object("incus_storage_pool", POOL_ATTRIBUTES, &[]),
    object("lxd_volume", VOLUME_ATTRIBUTES, &[]),
    object("incus_storage_volume", VOLUME_ATTRIBUTES, &[]),
    file("lxd_container_file"),
    file("lxd_instance_file"),
    file("incus_instance_file"),
    image("lxd_cached_image"),
    image("lxd_image"),
    image("incus_image"),
    database::MYSQL_DATABASE,
    database::MYSQL_USER,
    database::MYSQL_GRANT,
    database::POSTGRESQL_ROLE,
    database::POSTGRESQL_DATABASE,
];

/// Returns the kind of resource called `name`.
pub fn find(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}
