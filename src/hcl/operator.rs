//! Operators.

use hcl_edit::expr::{BinaryOp, BinaryOperator, Expression, UnaryOp, UnaryOperator};

use crate::hcl::eval::Scope;
use crate::hcl::number::Number;
use crate::hcl::types::Type;
use crate::hcl::value::{Mark, Value};
use crate::place::Problem;

/// Evaluates `-x` and `!x`.
pub fn unary(scope: &Scope<'_>, operation: &UnaryOp) -> Result<Value, Problem> {
    match operation.operator.value() {
        UnaryOperator::Neg => {
            let (number, mark) = number(scope, &operation.expr)?;
            let negative = number.map(|number| Number::from(0_i128).combine(number, i128::checked_sub, |a, b| a - b));
            Ok(negative.flatten().map_or(Value::Unknown, Value::Number).marked(mark))
        }
        UnaryOperator::Not => {
            let (truth, mark) = truth(scope, &operation.expr)?;
            Ok(truth.map_or(Value::Unknown, |truth| Value::Bool(!truth)).marked(mark))
        }
    }
}

/// Evaluates an operator with two operands. Both are evaluated, as in Terraform.
pub fn binary(scope: &Scope<'_>, operation: &BinaryOp) -> Result<Value, Problem> {
    let (left, right) = (&operation.lhs_expr, &operation.rhs_expr);
    match operation.operator.value() {
        BinaryOperator::Eq => equal(scope, left, right, Wanted::Equal),
        BinaryOperator::NotEq => equal(scope, left, right, Wanted::Different),
        BinaryOperator::And => logic(scope, left, right, Decides::False),
        BinaryOperator::Or => logic(scope, left, right, Decides::True),
        operator => arithmetic(scope, operation, *operator),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Equal,
    Different,
}

fn equal(scope: &Scope<'_>, left: &Expression, right: &Expression, wanted: Wanted) -> Result<Value, Problem> {
    let (left, left_mark) = scope.value(left)?.unmark_deep();
    let (right, right_mark) = scope.value(right)?.unmark_deep();
    let mark = left_mark.and(right_mark);
    if left.has_unknown() || right.has_unknown() {
        return Ok(Value::Unknown.marked(mark));
    }
    Ok(Value::Bool((left == right) == (wanted == Wanted::Equal)).marked(mark))
}

#[derive(Clone, Copy, PartialEq)]
enum Decides {
    False,
    True,
}

fn logic(scope: &Scope<'_>, left: &Expression, right: &Expression, decides: Decides) -> Result<Value, Problem> {
    let (left, left_mark) = truth(scope, left)?;
    let (right, right_mark) = truth(scope, right)?;
    let deciding = decides == Decides::True;
    let result = if left == Some(deciding) || right == Some(deciding) {
        Value::Bool(deciding)
    } else if left.is_none() || right.is_none() {
        Value::Unknown
    } else {
        Value::Bool(!deciding)
    };
    Ok(result.marked(left_mark.and(right_mark)))
}

fn arithmetic(scope: &Scope<'_>, operation: &BinaryOp, operator: BinaryOperator) -> Result<Value, Problem> {
    let (left, left_mark) = number(scope, &operation.lhs_expr)?;
    let (right, right_mark) = number(scope, &operation.rhs_expr)?;
    let mark = left_mark.and(right_mark);
    let (Some(left), Some(right)) = (left, right) else {
        return Ok(Value::Unknown.marked(mark));
    };
    let zero = right == Number::from(0_i128);
    let result = match operator {
        BinaryOperator::Greater => return Ok(Value::Bool(left.order(right).is_gt()).marked(mark)),
        BinaryOperator::GreaterEq => return Ok(Value::Bool(left.order(right).is_ge()).marked(mark)),
        BinaryOperator::Less => return Ok(Value::Bool(left.order(right).is_lt()).marked(mark)),
        BinaryOperator::LessEq => return Ok(Value::Bool(left.order(right).is_le()).marked(mark)),
        BinaryOperator::Div | BinaryOperator::Mod if zero => {
            return Err(scope.problem(&operation.rhs_expr, "division by zero"));
        }
        BinaryOperator::Plus => left.combine(right, i128::checked_add, |a, b| a + b),
        BinaryOperator::Minus => left.combine(right, i128::checked_sub, |a, b| a - b),
        BinaryOperator::Mul => left.combine(right, i128::checked_mul, |a, b| a * b),
        BinaryOperator::Div => left.combine(right, exact_quotient, |a, b| a / b),
        BinaryOperator::Mod => left.combine(right, i128::checked_rem, |a, b| a % b),
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::And | BinaryOperator::Or => None,
    };
    let result = result.ok_or_else(|| scope.problem(&operation.lhs_expr, "the result is no number"))?;
    Ok(Value::Number(result).marked(mark))
}

fn exact_quotient(left: i128, right: i128) -> Option<i128> {
    (left.checked_rem(right)? == 0).then(|| left.checked_div(right)).flatten()
}

fn number(scope: &Scope<'_>, expression: &Expression) -> Result<(Option<Number>, Mark), Problem> {
    let (value, mark) = scope.typed(expression, &Type::Number)?.unmark();
    match value {
        Value::Number(number) => Ok((Some(number), mark)),
        Value::Unknown => Ok((None, mark)),
        other => Err(scope.problem(expression, format!("a number is required, not {}", other.describe()))),
    }
}

fn truth(scope: &Scope<'_>, expression: &Expression) -> Result<(Option<bool>, Mark), Problem> {
    let (value, mark) = scope.typed(expression, &Type::Bool)?.unmark();
    match value {
        Value::Bool(truth) => Ok((Some(truth), mark)),
        Value::Unknown => Ok((None, mark)),
        other => Err(scope.problem(expression, format!("a truth value is required, not {}", other.describe()))),
    }
}
