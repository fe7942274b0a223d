//! Events → progress bars, plain log, JSON lines.
