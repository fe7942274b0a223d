//! Arguments of a filter, test, function or macro, evaluated.

use crate::playbook::jinja::value::Value;

/// Arguments by place and by name.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// By place.
    pub places: Vec<Value>,
    /// By name.
    pub names: Vec<(String, Value)>,
}

impl Arguments {
    /// Arguments by place only.
    pub fn of(places: Vec<Value>) -> Self {
        Self { places, names: vec![] }
    }

    /// Gives every parameter its argument.
    ///
    /// # Errors
    ///
    /// An argument too many, a name that no parameter has, or a parameter given twice.
    pub fn bind<const N: usize>(self, params: [&str; N]) -> Result<[Option<Value>; N], String> {
        let mut bound = [const { None }; N];
        if self.places.len() > N {
            return Err(format!("takes at most {N} arguments, got {}", self.places.len()));
        }
        for (slot, value) in bound.iter_mut().zip(self.places) {
            *slot = Some(value);
        }
        for (name, value) in self.names {
            let Some(index) = params.iter().position(|param| *param == name) else {
                return Err(format!("has no parameter `{name}`"));
            };
            if bound[index].replace(value).is_some() {
                return Err(format!("got `{name}` twice"));
            }
        }
        Ok(bound)
    }

    /// Takes the first argument by place.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn shift(&mut self, what: &str) -> Result<Value, String> {
        if self.places.is_empty() { Err(format!("needs {what}")) } else { Ok(self.places.remove(0)) }
    }
}

/// Reads an optional text argument.
pub fn text(value: Option<Value>, default: &str) -> String {
    value.map_or_else(|| default.to_owned(), |value| value.to_string())
}

/// Reads an optional whole number.
pub fn int(value: Option<Value>, default: i64) -> Result<i64, String> {
    match value {
        None => Ok(default),
        Some(value) => value.as_int().ok_or_else(|| format!("needs a whole number, got {}", value.kind())),
    }
}

/// Reads an optional size.
pub fn size(value: Option<Value>, default: usize) -> Result<usize, String> {
    match value {
        None => Ok(default),
        Some(value) => value
            .as_int()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| *size <= super::eval::LONGEST)
            .ok_or_else(|| "needs a number that is not negative and not huge".to_owned()),
    }
}

/// Reads an optional truth value.
pub fn truth(value: Option<&Value>, default: Truth) -> bool {
    value.map_or(default == Truth::Yes, Value::truth)
}

/// The default of a truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// True.
    Yes,
    /// False.
    No,
}
