//! Consul: KV and transactions.
