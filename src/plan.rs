//! Steps, plans, and how a plan is printed.
