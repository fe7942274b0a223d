//! The modules that are carried out on the control node: their names and what they take.

/// What a module takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// These parameters.
    These(&'static [&'static str]),
    /// Any name.
    Anything,
}

/// Their names.
pub const NAMES: &[&str] = &[
    "add_host",
    "assert",
    "async_status",
    "debug",
    "fail",
    "fetch",
    "gather_facts",
    "group_by",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "pause",
    "ping",
    "reboot",
    "set_fact",
    "setup",
    "validate_argument_spec",
    "wait_for_connection",
];

/// The actions of `meta`.
pub const META: &[&str] = &[
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
];

/// What a module takes; nothing if it is none of these.
pub fn parameters(name: &str) -> Option<Takes> {
    Some(Takes::These(match name {
        "add_host" | "set_fact" => return Some(Takes::Anything),
        "async_status" => &["jid", "mode"],
        "assert" => &["that", "fail_msg", "msg", "success_msg", "quiet"],
        "debug" => &["msg", "var", "verbosity"],
        "fail" => &["msg"],
        "fetch" => &["src", "dest", "flat", "fail_on_missing", "validate_checksum"],
        "gather_facts" | "setup" => &["gather_subset", "gather_timeout", "filter"],
        "group_by" => &["key", "parents"],
        "import_role" | "include_role" => &[
            "name",
            "role",
            "tasks_from",
            "vars_from",
            "defaults_from",
            "handlers_from",
            "apply",
            "public",
            "allow_duplicates",
            "rolespec_validate",
        ],
        "import_tasks" | "include_tasks" => &["file", "apply"],
        "include_vars" => &[
            "file",
            "name",
            "dir",
            "depth",
            "files_matching",
            "ignore_files",
            "extensions",
            "ignore_unknown_extensions",
            "hash_behaviour",
        ],
        "meta" => &[],
        "pause" => &["seconds", "minutes"],
        "ping" => &["data"],
        "reboot" => &[
            "boot_time_command",
            "connect_timeout",
            "connect_timeout_sec",
            "msg",
            "post_reboot_delay",
            "post_reboot_delay_sec",
            "pre_reboot_delay",
            "pre_reboot_delay_sec",
            "reboot_command",
            "reboot_timeout",
            "reboot_timeout_sec",
            "search_paths",
            "test_command",
        ],
        "validate_argument_spec" => &["argument_spec", "provided_arguments", "validate_args_context"],
        "wait_for_connection" => &["delay", "sleep", "connect_timeout", "timeout"],
        _ => return None,
    }))
}

/// Whether it takes a line of text.
pub fn takes_text(name: &str) -> bool {
    matches!(name, "meta" | "include_vars" | "include_tasks" | "import_tasks")
}
