//! SSH: a machine, and streams to sockets and ports behind it.
