//! `variable` blocks, of Terraform and Packer alike.

use hcl_edit::expr::Expression;
use hcl_edit::structure::Block;

use crate::hcl::condition;
use crate::hcl::convert::convert;
use crate::hcl::eval::Scope;
use crate::hcl::reference::Reference;
use crate::hcl::{Type, Value};
use crate::place::{Place, Problem};

/// A variable as declared.
pub struct Variable<'a> {
    /// Its name.
    pub name: String,
    /// What it has to be.
    pub kind: Type,
    /// Its default; `None` if it must be given.
    pub default: Option<Value>,
    /// Whether null is a value, and not a wish for the default.
    pub nullable: bool,
    /// Whether its value is not to be shown.
    pub sensitive: bool,
    block: &'a Block,
    scope: Scope<'a>,
}

impl<'a> Variable<'a> {
    /// Reads a `variable` block.
    ///
    /// # Errors
    ///
    /// A [`Problem`] in its type or default.
    pub fn read<'s: 'a>(block: &'a Block, scope: &Scope<'s>) -> Result<Self, Problem> {
        let attribute = |name: &str| block.body.get_attribute(name).map(|attribute| &attribute.value);
        let kind = attribute("type").map_or(Ok(Type::Any), |kind| Type::read(kind, scope))?;
        let default = match attribute("default") {
            Some(expression) => Some(scope.typed(expression, &kind)?),
            None => None,
        };
        Ok(Self {
            name: block.labels.first().map_or("", |label| label.as_str()).to_owned(),
            kind,
            default,
            nullable: attribute("nullable").and_then(Expression::as_bool) != Some(false),
            sensitive: attribute("sensitive").and_then(Expression::as_bool) == Some(true),
            block,
            scope: *scope,
        })
    }

    /// Returns what the variable is worth when it is `given`. `place` is where the given value stands, or where it
    /// should.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: no value, one of the wrong type, or one that a `validation` block refuses.
    pub fn value(&self, given: Option<Value>, place: &Place) -> Result<Value, Problem> {
        let value = self.converted(given, place)?;
        self.validate(&value, place)?;
        Ok(value)
    }

    /// As [`Self::value`], without asking the `validation` blocks.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: no value, or one of the wrong type.
    pub fn converted(&self, given: Option<Value>, place: &Place) -> Result<Value, Problem> {
        let Self { name, .. } = self;
        let given = given.filter(|value| self.nullable || *value != Value::Null);
        let value = match (given, &self.default) {
            (Some(value), _) => convert(value, &self.kind)
                .map_err(|message| Problem::new(place.clone(), format!("variable `{name}`: {message}")))?,
            (None, Some(default)) => default.clone(),
            (None, None) => return Err(Problem::new(place.clone(), format!("the variable `{name}` has no value"))),
        };
        Ok(if self.sensitive { value.sensitive() } else { value })
    }

    /// Asks the `validation` blocks about a value that stands at `place`.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: one of them refuses it, or is wrong itself.
    pub fn validate(&self, value: &Value, place: &Place) -> Result<(), Problem> {
        for validation in self.block.body.get_blocks("validation") {
            let names = |reference: &Reference| {
                if reference.root == "var" && reference.name.as_deref() == Some(&self.name) {
                    return Ok(value.clone());
                }
                (self.scope.names)(reference)
            };
            let scope = Scope { names: &names, ..self.scope };
            if let Some(message) = condition::refused(&scope, validation)? {
                let problem = Problem::new(place.clone(), format!("variable `{}` is refused", self.name));
                return Err(problem.hint(message));
            }
        }
        Ok(())
    }
}
