//! What an object of a file in JSON is: which of its properties are blocks, and how the others are read.

use crate::terraform::schema::{self, Block};
use crate::terraform::{consul, database};

/// Whose properties they are.
#[derive(Clone, Copy)]
pub enum Of {
    /// A `resource`, with what its kind takes where that is known.
    Resource(Option<&'static Block>),
    /// A block in one, likewise.
    Inner(Option<&'static Block>),
    /// A `dynamic` block for blocks that take this.
    Dynamic(Option<&'static Block>),
    /// A `lifecycle`.
    Lifecycle,
    /// A `variable`.
    Variable,
    /// An `output`.
    Output,
    /// A `module`.
    Module,
    /// A `provider`, likewise.
    Provider(Option<&'static Block>),
    /// A `check`.
    Check,
    /// `moved`, `import` or `removed`.
    Move,
    /// `terraform`: constants alone.
    Settings,
    /// Anything else: expressions alone.
    Free,
}

/// What a property is.
#[derive(Clone, Copy)]
pub enum Property {
    /// An expression.
    Expression,
    /// A constant: nothing in it is a template.
    Constant,
    /// A name of something else, or a list of them, or names by name.
    Reference,
    /// A type.
    Type,
    /// A block, or several, with so many labels.
    Block(usize, Of),
}

/// What a top-level block is: how many labels it has, and whose properties are in it.
pub fn top(kind: &str, first_label: Option<&str>) -> (usize, Of) {
    match kind {
        "resource" => (2, Of::Resource(first_label.and_then(schema::find).map(|schema| &schema.block))),
        "data" => (2, Of::Resource(None)),
        "variable" => (1, Of::Variable),
        "output" => (1, Of::Output),
        "module" => (1, Of::Module),
        "provider" => (1, Of::Provider(first_label.and_then(provider))),
        "check" => (1, Of::Check),
        "terraform" => (0, Of::Settings),
        "moved" | "import" | "removed" => (0, Of::Move),
        _ => (0, Of::Free),
    }
}

fn provider(name: &str) -> Option<&'static Block> {
    match name {
        "consul" => Some(&consul::PROVIDER),
        "mysql" => Some(&database::schema::MYSQL),
        "postgresql" => Some(&database::schema::POSTGRESQL),
        _ => None,
    }
}

fn inner(block: Option<&'static Block>, name: &str) -> Option<&'static Block> {
    block?.blocks.iter().find(|(known, _)| *known == name).map(|(_, block)| block)
}

/// What the property `name` of an object is; `first_label` is that of a block which has one.
pub fn property(of: Of, name: &str, first_label: Option<&str>) -> Property {
    match (of, name) {
        (Of::Resource(block) | Of::Inner(block) | Of::Provider(block), "dynamic") => {
            Property::Block(1, Of::Dynamic(first_label.and_then(|label| inner(block, label))))
        }
        (Of::Dynamic(block), "content") => Property::Block(0, Of::Inner(block)),
        (Of::Resource(_) | Of::Move, "lifecycle") => Property::Block(0, Of::Lifecycle),
        (Of::Resource(_) | Of::Move, "provisioner") => Property::Block(1, Of::Free),
        (Of::Resource(_), "connection")
        | (Of::Lifecycle, "precondition" | "postcondition")
        | (Of::Variable, "validation")
        | (Of::Output, "precondition")
        | (Of::Check, "assert") => Property::Block(0, Of::Free),
        (Of::Check, "data") => Property::Block(2, Of::Resource(None)),
        (Of::Resource(block) | Of::Inner(block) | Of::Provider(block), _) if inner(block, name).is_some() => {
            Property::Block(0, Of::Inner(inner(block, name)))
        }
        (Of::Resource(_) | Of::Output | Of::Module, "depends_on")
        | (Of::Resource(_) | Of::Move, "provider")
        | (Of::Module, "providers")
        | (Of::Lifecycle, "ignore_changes" | "replace_triggered_by")
        | (Of::Move, "from" | "to")
        | (Of::Dynamic(_), "iterator") => Property::Reference,
        (Of::Variable, "type") => Property::Type,
        (Of::Variable, "default" | "description")
        | (Of::Output, "description")
        | (Of::Module, "source" | "version")
        | (Of::Provider(_), "alias" | "version")
        | (Of::Settings, _) => Property::Constant,
        _ => Property::Expression,
    }
}
