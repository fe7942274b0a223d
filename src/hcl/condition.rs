//! Conditions that files state: of variables, resources, outputs and checks.

use hcl_edit::structure::Block;

use crate::hcl::eval::Scope;
use crate::hcl::types::Type;
use crate::hcl::value::Value;
use crate::place::Problem;

/// What is said where a message must not be shown.
const HIDDEN: &str = "its message holds a sensitive value";

/// Returns the message of a block with a `condition` if the condition is false. One that is known only later is not.
///
/// # Errors
///
/// A [`Problem`] in the condition or its message.
pub fn refused(scope: &Scope<'_>, block: &Block) -> Result<Option<String>, Problem> {
    let attribute = |name: &str| block.body.get_attribute(name).map(|attribute| &attribute.value);
    let Some(condition) = attribute("condition") else {
        return Err(scope.problem(block, format!("this {} has no `condition`", block.ident.as_str())));
    };
    match scope.typed(condition, &Type::Bool)?.unmark().0 {
        Value::Bool(true) | Value::Unknown => return Ok(None),
        Value::Bool(false) => {}
        other => {
            let message = format!("a condition must be true or false, not {}", other.describe());
            return Err(scope.problem(condition, message));
        }
    }
    let text = attribute("error_message").map_or(Ok(Value::Null), |message| scope.typed(message, &Type::String))?;
    Ok(Some(match text {
        Value::String(text) => text,
        Value::Sensitive(_) => HIDDEN.to_owned(),
        _ => "a condition does not hold".to_owned(),
    }))
}
