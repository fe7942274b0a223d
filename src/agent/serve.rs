//! The agent's side: requests from standard input, answers to standard output.
