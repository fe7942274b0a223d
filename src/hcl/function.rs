//! The functions of Terraform and Packer that repositories use, and those beside them that one would expect.

pub mod charset;
pub mod collection;
pub mod csv;
pub mod date;
pub mod digest;
pub mod encoding;
pub mod file;
pub mod format;
pub mod kind;
pub mod network;
pub mod number;
pub mod text;
pub mod yaml;

use std::path::Path;

use hcl_edit::expr::FuncCall;

pub use self::file::{path, read};
use crate::hcl::eval::Scope;
use crate::hcl::value::{Mark, Value};
use crate::place::{Problem, nearest};

/// A function.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How many arguments it takes at least.
    pub least: usize,
    /// And at most; `None` for any number.
    pub most: Option<usize>,
    /// What it makes of values that are not there.
    pub takes: Takes,
    /// What it does.
    pub body: Body,
}

/// Computes a result of arguments that are not marked sensitive. `Err` is a fragment of a message.
pub type Body = fn(&Files<'_>, Vec<Value>) -> Result<Value, String>;

/// The files that expressions read.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// Where relative paths start.
    pub directory: &'a Path,
    /// Whether a file that is not there will be written by a later step, e.g. a secret that the image build makes.
    pub comes_later: &'a dyn Fn(&Path) -> bool,
}

/// Which arguments reach the body of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Known ones that are not null. With an unknown one the result is unknown.
    Present,
    /// Known ones, null too.
    Known,
    /// All that is not unknown itself; unknown and null may be inside.
    Partly,
    /// All.
    All,
}

const TABLES: [&[Function]; 13] = [
    charset::FUNCTIONS,
    collection::FUNCTIONS,
    csv::FUNCTIONS,
    date::FUNCTIONS,
    digest::FUNCTIONS,
    encoding::FUNCTIONS,
    file::FUNCTIONS,
    format::FUNCTIONS,
    kind::FUNCTIONS,
    network::FUNCTIONS,
    number::FUNCTIONS,
    text::FUNCTIONS,
    yaml::FUNCTIONS,
];

/// Functions that the evaluator knows itself, because they do not evaluate all their arguments first.
const SPECIAL: [&str; 4] = ["try", "can", "templatefile", "templatestring"];

/// Functions of Terraform that are refused, with what to do instead.
const REFUSED: [(&str, &str); 4] = [
    ("list", "write `tolist([…])`"),
    ("map", "write `tomap({…})`"),
    ("rsadecrypt", "decrypt the text before and give it as a variable"),
    ("type", "it is there in `terraform console` only"),
];

/// Returns the function called `name`.
pub fn find(name: &str) -> Option<&'static Function> {
    TABLES.into_iter().flatten().find(|function| function.name == name)
}

/// Whether there is a function called `name`.
pub fn exists(name: &str) -> bool {
    SPECIAL.contains(&name) || find(name).is_some()
}

/// Says that there is no function called `name`.
pub fn unknown(name: &str, place: crate::place::Place) -> Problem {
    if let Some((_, hint)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Problem::new(place, format!("the function `{name}` is not supported")).hint(*hint);
    }
    if name.contains("::") {
        return Problem::new(place, format!("the function `{name}` is not supported"));
    }
    let problem = Problem::new(place, format!("there is no function `{name}`"));
    let names = TABLES.into_iter().flatten().map(|function| function.name).chain(SPECIAL);
    match nearest(name, names) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// The name that a call is known by: `core::` in front of it changes nothing, what providers bring along is not there.
///
/// # Errors
///
/// A [`Problem`] that names the function.
pub fn name(scope: &Scope<'_>, call: &FuncCall) -> Result<String, Problem> {
    let words: Vec<&str> = call.name.namespace.iter().map(|word| word.as_str()).collect();
    match words.as_slice() {
        [] | ["core"] => Ok(call.name.name.to_string()),
        words => {
            let name = format!("{}::{}", words.join("::"), call.name.name.as_str());
            Err(unknown(&name, scope.lines.place(call)))
        }
    }
}

/// Calls a function that evaluates all its arguments first.
///
/// # Errors
///
/// A [`Problem`] at the call, or inside of an argument.
pub fn call(scope: &Scope<'_>, call: &FuncCall) -> Result<Value, Problem> {
    let name = call.name.name.as_str();
    let Some(function) = find(name) else {
        return Err(unknown(name, scope.lines.place(call)));
    };
    let mut mark = Mark::Clear;
    let mut arguments = vec![];
    for argument in arguments_of(scope, call)? {
        let (value, argument_mark) = argument.unmark_deep();
        mark = mark.and(argument_mark);
        arguments.push(value);
    }
    check_count(function, arguments.len()).map_err(|message| scope.problem(call, message))?;
    if stays_unknown(function.takes, &arguments) {
        return Ok(Value::Unknown.marked(mark));
    }
    if function.takes == Takes::Present
        && let Some(at) = arguments.iter().position(|argument| *argument == Value::Null)
    {
        return Err(scope.problem(call, format!("`{name}`: argument {} is null", at + 1)));
    }
    let result = (function.body)(&scope.files, arguments).map_err(|message| match mark {
        Mark::Clear => message,
        Mark::Sensitive => "a sensitive value does not suit; what is wrong with it is not shown".to_owned(),
    });
    let result = result.map_err(|message| scope.problem(call, format!("`{name}`: {message}")))?;
    Ok(match name {
        "sensitive" => result.sensitive(),
        "nonsensitive" => result,
        "issensitive" => Value::Bool(mark == Mark::Sensitive),
        _ => result.marked(mark),
    })
}

/// `f(list...)` hands the elements of the last argument over one by one.
fn arguments_of(scope: &Scope<'_>, call: &FuncCall) -> Result<Vec<Value>, Problem> {
    let mut values = call.args.iter().map(|argument| scope.value(argument)).collect::<Result<Vec<_>, _>>()?;
    if !call.args.expand_final() {
        return Ok(values);
    }
    let (last, mark) = values.pop().unwrap_or_default().unmark();
    match last {
        Value::List(items) | Value::Set(items) => values.extend(items.into_iter().map(|item| item.marked(mark))),
        Value::Unknown => values.push(Value::Unknown),
        other => return Err(scope.problem(call, format!("`...` needs a list, not {}", other.describe()))),
    }
    Ok(values)
}

fn check_count(function: &Function, count: usize) -> Result<(), String> {
    let Function { name, least, most, .. } = function;
    match most {
        _ if count < *least => Err(format!("`{name}` needs at least {}, not {count}", arguments(*least))),
        Some(most) if count > *most => Err(format!("`{name}` takes at most {}, not {count}", arguments(*most))),
        _ => Ok(()),
    }
}

fn arguments(count: usize) -> String {
    if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") }
}

fn stays_unknown(takes: Takes, arguments: &[Value]) -> bool {
    match takes {
        Takes::Present | Takes::Known => arguments.iter().any(Value::has_unknown),
        Takes::Partly => arguments.contains(&Value::Unknown),
        Takes::All => false,
    }
}

/// Takes the arguments of a body apart.
pub(crate) mod argument {
    use std::collections::BTreeMap;

    use crate::hcl::convert::convert;
    use crate::hcl::number::Number;
    use crate::hcl::types::Type;
    use crate::hcl::value::Value;

    /// The next argument as text.
    pub(crate) fn text(arguments: &mut impl Iterator<Item = Value>) -> Result<String, String> {
        match convert(arguments.next().unwrap_or_default(), &Type::String)? {
            Value::String(text) => Ok(text),
            other => Err(format!("text is required, not {}", other.describe())),
        }
    }

    /// The next argument as a number.
    pub(crate) fn number(arguments: &mut impl Iterator<Item = Value>) -> Result<Number, String> {
        match convert(arguments.next().unwrap_or_default(), &Type::Number)? {
            Value::Number(number) => Ok(number),
            other => Err(format!("a number is required, not {}", other.describe())),
        }
    }

    /// The next argument as a whole number.
    pub(crate) fn integer(arguments: &mut impl Iterator<Item = Value>) -> Result<i128, String> {
        let number = number(arguments)?;
        number.as_integer().ok_or_else(|| format!("a whole number is required, not {number}"))
    }

    /// The next argument as a list; sets are lists here.
    pub(crate) fn list(arguments: &mut impl Iterator<Item = Value>) -> Result<Vec<Value>, String> {
        match arguments.next().unwrap_or_default() {
            Value::List(items) | Value::Set(items) => Ok(items),
            other => Err(format!("a list is required, not {}", other.describe())),
        }
    }

    /// The next argument as a list of text.
    pub(crate) fn texts(arguments: &mut impl Iterator<Item = Value>) -> Result<Vec<String>, String> {
        list(arguments)?.into_iter().map(|item| text(&mut std::iter::once(item))).collect()
    }

    /// The next argument as a map.
    pub(crate) fn map(arguments: &mut impl Iterator<Item = Value>) -> Result<BTreeMap<String, Value>, String> {
        match arguments.next().unwrap_or_default() {
            Value::Map(entries) => Ok(entries),
            other => Err(format!("a map is required, not {}", other.describe())),
        }
    }
}
