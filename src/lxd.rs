//! The client for LXD and Incus: one client, branching on `api_extensions`.
