//! Evaluation of HCL expressions over the tree of `hcl-edit`.
