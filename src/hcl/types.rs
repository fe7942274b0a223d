//! Type constraints, as `variable` blocks write them.

use std::collections::BTreeMap;

use hcl_edit::expr::{Expression, FuncCall, Object};

use crate::hcl::eval::Scope;
use crate::hcl::value::Value;
use crate::place::{Problem, nearest};

/// What a value has to be, or can be converted to.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Anything.
    Any,
    /// `bool`.
    Bool,
    /// `number`.
    Number,
    /// `string`.
    String,
    /// `list(…)`.
    List(Box<Type>),
    /// `set(…)`.
    Set(Box<Type>),
    /// `map(…)`.
    Map(Box<Type>),
    /// `tuple([…])`.
    Tuple(Vec<Type>),
    /// `object({…})`.
    Object(BTreeMap<String, Attribute>),
}

/// One attribute of an object type.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// What its value has to be.
    pub kind: Type,
    /// What it is worth when it is left out; `None` for an attribute that must be there.
    pub default: Option<Value>,
}

const NAMES: [&str; 10] = ["any", "bool", "number", "string", "list", "set", "map", "tuple", "object", "optional"];

impl Type {
    /// Reads a type constraint. Defaults of `optional` are evaluated in `scope`.
    ///
    /// # Errors
    ///
    /// A [`Problem`] where `expression` is no type.
    pub fn read(expression: &Expression, scope: &Scope<'_>) -> Result<Self, Problem> {
        match expression {
            Expression::Variable(name) => Self::named(name.as_str(), expression, scope),
            // Terraform 0.11 wrote the names in quotes.
            Expression::String(name) => Self::named(name.as_str(), expression, scope),
            Expression::FuncCall(call) => Self::constructed(call, expression, scope),
            Expression::Parenthesis(inner) => Self::read(inner.inner(), scope),
            _ => Err(scope.problem(expression, "this is no type")),
        }
    }

    fn named(name: &str, at: &Expression, scope: &Scope<'_>) -> Result<Self, Problem> {
        match name {
            "any" => Ok(Self::Any),
            "bool" => Ok(Self::Bool),
            "number" => Ok(Self::Number),
            "string" => Ok(Self::String),
            "list" => Ok(Self::List(Box::new(Self::Any))),
            "set" => Ok(Self::Set(Box::new(Self::Any))),
            "map" => Ok(Self::Map(Box::new(Self::Any))),
            _ => Err(unknown(name, at, scope)),
        }
    }

    fn constructed(call: &FuncCall, at: &Expression, scope: &Scope<'_>) -> Result<Self, Problem> {
        let name = call.name.name.as_str();
        if name == "optional" {
            return Err(scope.problem(at, "`optional` stands only inside `object({…})`"));
        }
        let mut arguments = call.args.iter();
        let (Some(argument), None) = (arguments.next(), arguments.next()) else {
            return Err(scope.problem(at, format!("`{name}` takes one argument")));
        };
        match (name, argument) {
            ("list", element) => Ok(Self::List(Box::new(Self::read(element, scope)?))),
            ("set", element) => Ok(Self::Set(Box::new(Self::read(element, scope)?))),
            ("map", element) => Ok(Self::Map(Box::new(Self::read(element, scope)?))),
            ("tuple", Expression::Array(items)) => {
                items.iter().map(|item| Self::read(item, scope)).collect::<Result<_, _>>().map(Self::Tuple)
            }
            ("object", Expression::Object(attributes)) => Self::object(attributes, scope),
            ("tuple" | "object", _) => {
                let wanted = if name == "tuple" { "a list of types" } else { "names with their types" };
                Err(scope.problem(argument, format!("`{name}` takes {wanted}")))
            }
            _ => Err(unknown(name, at, scope)),
        }
    }

    fn object(attributes: &Object, scope: &Scope<'_>) -> Result<Self, Problem> {
        let mut read = BTreeMap::new();
        for (key, value) in attributes {
            let attribute = Attribute::read(value.expr(), scope)?;
            read.extend(scope.object_key(key)?.0.map(|name| (name, attribute)));
        }
        Ok(Self::Object(read))
    }

    /// Says what is wanted, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::String => "text",
            Self::List(_) | Self::Tuple(_) => "a list",
            Self::Set(_) => "a set",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
        }
    }
}

impl Attribute {
    fn read(expression: &Expression, scope: &Scope<'_>) -> Result<Self, Problem> {
        match expression {
            Expression::FuncCall(call) if call.name.name.as_str() == "optional" => {
                let Some(kind) = call.args.get(0) else {
                    return Err(scope.problem(expression, "`optional` takes a type and perhaps a default"));
                };
                let default = call.args.get(1).map_or(Ok(Value::Null), |default| scope.value(default))?;
                Ok(Self { kind: Type::read(kind, scope)?, default: Some(default) })
            }
            _ => Ok(Self { kind: Type::read(expression, scope)?, default: None }),
        }
    }
}

fn unknown(name: &str, at: &Expression, scope: &Scope<'_>) -> Problem {
    let problem = scope.problem(at, format!("there is no type `{name}`"));
    match nearest(name, NAMES) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}
