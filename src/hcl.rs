//! Evaluation of HCL over the tree of `hcl-edit`, as Terraform and Packer evaluate it.
//!
//! The tree comes from the library; meaning is ours, because three things are needed that it does not have: positions
//! in every error, values known only after apply, and `try`/`can` that do not evaluate what they do not need.
//!
//! Sources: the HCL native syntax specification, Terraform's language and function reference, go-cty's conversions.

pub mod brackets;
pub mod condition;
pub mod convert;
pub mod eval;
pub mod function;
mod heredoc;
pub mod number;
pub mod operator;
pub mod reference;
pub mod source;
pub mod template;
pub mod traversal;
pub mod types;
pub mod value;
pub mod variable;

pub use self::eval::{LookUp, Scope};
pub use self::number::Number;
pub use self::source::Source;
pub use self::types::Type;
pub use self::value::Value;
