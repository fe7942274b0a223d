//! The agent: the same binary at work on a target, over one pair of pipes.
