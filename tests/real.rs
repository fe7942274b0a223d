//! Against real servers on this machine; `tests/run` starts them and says where they are.
