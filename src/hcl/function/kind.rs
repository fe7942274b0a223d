//! Conversions and marks.

use crate::hcl::convert::convert;
use crate::hcl::function::{Files, Function, Takes};
use crate::hcl::types::Type;
use crate::hcl::value::Value;

/// The functions of this file.
pub const FUNCTIONS: &[Function] = &[
    Function { name: "tostring", least: 1, most: Some(1), takes: Takes::Known, body: to_string },
    Function { name: "tonumber", least: 1, most: Some(1), takes: Takes::Known, body: to_number },
    Function { name: "tobool", least: 1, most: Some(1), takes: Takes::Known, body: to_bool },
    Function { name: "tolist", least: 1, most: Some(1), takes: Takes::Partly, body: to_list },
    Function { name: "toset", least: 1, most: Some(1), takes: Takes::Partly, body: to_set },
    Function { name: "tomap", least: 1, most: Some(1), takes: Takes::Partly, body: to_map },
    // The marks themselves are set where functions are called.
    Function { name: "sensitive", least: 1, most: Some(1), takes: Takes::All, body: same },
    Function { name: "nonsensitive", least: 1, most: Some(1), takes: Takes::All, body: same },
    // Nothing here is ephemeral.
    Function { name: "ephemeralasnull", least: 1, most: Some(1), takes: Takes::All, body: same },
    Function { name: "issensitive", least: 1, most: Some(1), takes: Takes::All, body: same },
];

fn first(arguments: Vec<Value>) -> Value {
    arguments.into_iter().next().unwrap_or_default()
}

fn to_string(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::String)
}

fn to_number(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::Number)
}

fn to_bool(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::Bool)
}

fn to_list(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::List(Box::new(Type::Any)))
}

fn to_set(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::Set(Box::new(Type::Any)))
}

fn to_map(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    convert(first(arguments), &Type::Map(Box::new(Type::Any)))
}

#[expect(clippy::unnecessary_wraps, reason = "the functions of the table have one shape")]
fn same(_: &Files<'_>, arguments: Vec<Value>) -> Result<Value, String> {
    Ok(first(arguments))
}
