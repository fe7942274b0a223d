//! Filters that choose and order: by chance, by all ways there are.

use rand::seq::SliceRandom as _;

use crate::playbook::jinja::arguments::{self, Arguments};
use crate::playbook::jinja::eval::LONGEST;
use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::mersenne::Mersenne;
use crate::playbook::jinja::value::{Dict, Value};

/// Their names.
pub const NAMES: &[&str] = &["combinations", "counter", "permutations", "product", "random", "shuffle"];

/// Most rows that a filter may make.
const MOST: usize = LONGEST / 16;

/// Applies one.
pub fn apply(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    match name {
        "combinations" => {
            let [size] = args.bind(["r"])?;
            let items = input.iterate()?;
            let size = arguments::size(Some(size.ok_or("needs a number of items")?), 0)?;
            rows(&items, size, Ways::Combinations)
        }
        "permutations" => {
            let [size] = args.bind(["r"])?;
            let items = input.iterate()?;
            let size = arguments::size(size.filter(|size| !matches!(size, Value::None)), items.len())?;
            rows(&items, size, Ways::Permutations)
        }
        "counter" => Ok(counter(input)?),
        "product" => product(input, args),
        _ => chance(name, input, args),
    }
}

/// How rows are made of items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ways {
    /// Each item once, in the order of the list.
    Combinations,
    /// Each item once, in any order.
    Permutations,
}

fn rows(items: &[Value], size: usize, ways: Ways) -> Result<Value, Trouble> {
    let mut rows: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..size {
        let mut longer = vec![];
        for row in &rows {
            let first = if ways == Ways::Combinations { row.last().map_or(0, |last| last + 1) } else { 0 };
            for next in (first..items.len()).filter(|next| !row.contains(next)) {
                longer.push([row.as_slice(), &[next]].concat());
            }
            if longer.len() > MOST {
                return Err("would make a list that is too long".into());
            }
        }
        rows = longer;
    }
    let row = |row: Vec<usize>| Value::tuple(row.into_iter().filter_map(|at| items.get(at).cloned()).collect());
    Ok(Value::list(rows.into_iter().map(row).collect()))
}

fn counter(input: &Value) -> Result<Value, String> {
    let mut counts = Dict::default();
    for item in input.iterate()? {
        let count = counts.get_value(&item).and_then(Value::as_int).unwrap_or(0);
        counts.insert(item, Value::Int(count + 1));
    }
    Ok(Value::Dict(counts.into()))
}

fn product(input: &Value, args: Arguments) -> Result<Value, Trouble> {
    let [repeat] = Arguments { places: vec![], names: args.names }.bind(["repeat"])?;
    let mut columns = vec![input.iterate()?];
    for other in &args.places {
        columns.push(other.iterate()?);
    }
    let times = arguments::size(repeat, 1)?.min(64);
    let columns: Vec<Vec<Value>> = (0..times).flat_map(|_| columns.iter().cloned()).collect();
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for column in columns {
        if rows.len().saturating_mul(column.len()) > MOST {
            return Err("would make a list that is too long".into());
        }
        rows = rows
            .iter()
            .flat_map(|row| column.iter().map(move |item| [row.as_slice(), std::slice::from_ref(item)].concat()))
            .collect();
    }
    Ok(Value::list(rows.into_iter().map(Value::tuple).collect()))
}

/// Where chance comes from.
enum Chance {
    /// From the system: differs each time.
    System,
    /// From a seed: the same each time, and the same as in Python.
    Seeded(Box<Mersenne>),
}

impl Chance {
    fn of(seed: Option<Value>) -> Result<Self, String> {
        match seed.filter(|seed| !matches!(seed, Value::None)) {
            None => Ok(Self::System),
            Some(seed) => Ok(Self::Seeded(Box::new(Mersenne::seeded(&seed)?))),
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        match self {
            Self::System => rand::random_range(0..end),
            Self::Seeded(random) => random.below(end),
        }
    }
}

/// `random` and `shuffle`.
fn chance(name: &str, input: &Value, args: Arguments) -> Result<Value, Trouble> {
    if name == "shuffle" {
        let [seed] = args.bind(["seed"])?;
        let mut items = input.iterate()?;
        match Chance::of(seed.filter(Value::truth))? {
            Chance::System => items.shuffle(&mut rand::rng()),
            Chance::Seeded(mut random) => random.shuffle(&mut items),
        }
        return Ok(Value::list(items));
    }
    let [start, step, seed] = args.bind(["start", "step", "seed"])?;
    let mut chance = Chance::of(seed)?;
    if let Some(end) = input.as_int() {
        let step = arguments::int(step, 1)?.max(1);
        let start = arguments::int(start, 0)?;
        let count = (end.saturating_sub(start).saturating_add(step - 1) / step).max(0);
        if count == 0 {
            return Err("needs a number above the start".into());
        }
        let chosen = i64::try_from(chance.below(count.unsigned_abs())).unwrap_or(0);
        return Ok(Value::Int(start + step * chosen));
    }
    if start.is_some() || step.is_some() {
        return Err("takes `start` and `step` with a number only".into());
    }
    let items = input.iterate()?;
    if items.is_empty() {
        return Err("needs at least one item".into());
    }
    let at = usize::try_from(chance.below(items.len() as u64)).unwrap_or(0);
    Ok(items[at].clone())
}
