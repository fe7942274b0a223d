//! A machine inside a server: a process in an instance, over LXD's or Incus' exec.
