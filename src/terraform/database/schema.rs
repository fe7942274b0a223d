//! What the blocks of databases take.

use crate::terraform::schema::{Attribute, Block, Kind, Schema, optional, required};

const fn schema(name: &'static str, attributes: &'static [Attribute], unsupported: &'static [&'static str]) -> Schema {
    Schema { name, block: Block { attributes, blocks: &[], unsupported }, computed: &["id"] }
}

/// `mysql_database`.
pub const MYSQL_DATABASE: Schema = schema(
    "mysql_database",
    &[
        required("name", Kind::Text),
        optional("default_character_set", Kind::Text),
        optional("default_collation", Kind::Text),
    ],
    &[],
);

/// `mysql_user`.
pub const MYSQL_USER: Schema = schema(
    "mysql_user",
    &[
        required("user", Kind::Text),
        optional("host", Kind::Text),
        optional("plaintext_password", Kind::Text),
        optional("password", Kind::Text),
        optional("tls_option", Kind::Text),
    ],
    &["auth_plugin", "auth_string_hashed", "aad_identity", "retain_old_password", "discard_old_password"],
);

/// `mysql_grant`.
pub const MYSQL_GRANT: Schema = schema(
    "mysql_grant",
    &[
        required("user", Kind::Text),
        optional("host", Kind::Text),
        required("database", Kind::Text),
        optional("table", Kind::Text),
        required("privileges", Kind::Texts),
        optional("grant", Kind::Truth),
    ],
    &["role", "roles", "tls_option"],
);

/// `postgresql_role`.
pub const POSTGRESQL_ROLE: Schema = schema(
    "postgresql_role",
    &[
        required("name", Kind::Text),
        optional("superuser", Kind::Truth),
        optional("create_database", Kind::Truth),
        optional("create_role", Kind::Truth),
        optional("inherit", Kind::Truth),
        optional("login", Kind::Truth),
        optional("replication", Kind::Truth),
        optional("bypass_row_level_security", Kind::Truth),
        optional("connection_limit", Kind::Text),
        optional("password", Kind::Text),
        optional("valid_until", Kind::Text),
        // Of dropping, which is left to people.
        optional("skip_drop_role", Kind::Truth),
        optional("skip_reassign_owned", Kind::Truth),
        // Clear passwords are kept by no server of these days.
        optional("encrypted_password", Kind::Truth),
    ],
    &["roles", "search_path", "statement_timeout", "assume_role", "idle_in_transaction_session_timeout"],
);

/// `postgresql_database`.
pub const POSTGRESQL_DATABASE: Schema = schema(
    "postgresql_database",
    &[
        required("name", Kind::Text),
        optional("owner", Kind::Text),
        optional("template", Kind::Text),
        optional("encoding", Kind::Text),
        optional("lc_collate", Kind::Text),
        optional("lc_ctype", Kind::Text),
        optional("connection_limit", Kind::Text),
        optional("allow_connections", Kind::Truth),
    ],
    &["tablespace_name", "is_template", "alter_object_ownership"],
);

/// The provider `mysql`.
pub const MYSQL: Block = Block {
    attributes: &[
        required("endpoint", Kind::Text),
        required("username", Kind::Text),
        optional("password", Kind::Text),
        optional("tls", Kind::Text),
        optional("max_conn_lifetime_sec", Kind::Text),
        optional("max_open_conns", Kind::Text),
        optional("connect_retry_timeout_sec", Kind::Text),
        optional("authentication_plugin", Kind::Text),
        optional("version", Kind::Text),
    ],
    blocks: &[],
    unsupported: &["alias", "proxy", "conn_params", "iam_database_authentication", "azure_config", "custom_tls"],
};

/// The provider `postgresql`.
pub const POSTGRESQL: Block = Block {
    attributes: &[
        optional("host", Kind::Text),
        optional("port", Kind::Text),
        optional("database", Kind::Text),
        optional("username", Kind::Text),
        optional("password", Kind::Text),
        optional("sslmode", Kind::Text),
        optional("ssl_mode", Kind::Text),
        optional("superuser", Kind::Truth),
        optional("connect_timeout", Kind::Text),
        optional("max_connections", Kind::Text),
        optional("expected_version", Kind::Text),
        optional("version", Kind::Text),
    ],
    blocks: &[],
    unsupported: &["alias", "scheme", "clientcert", "sslrootcert", "database_username", "aws_rds_iam_auth"],
};
