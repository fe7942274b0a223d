//! HTTP over any byte stream.
