//! A parsed file that can say where something stands.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hcl_edit::parser::parse_body;
use hcl_edit::structure::Body;
use hcl_edit::{Span, template::Template};

use crate::place::{Place, Problem};

/// A text and where its lines start.
#[derive(Clone, Debug)]
pub struct Lines {
    file: PathBuf,
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    fn new(file: &Path, text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), text, starts }
    }

    /// Returns the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns where `node` starts; the whole file for what has no position.
    pub fn place(&self, node: &impl Span) -> Place {
        node.span().map_or_else(|| Place::file(&self.file), |span| self.at(&span))
    }

    fn at(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start).max(1);
        let start = self.starts[line - 1];
        let column = self.text.get(start..span.start).map_or(0, |text| text.chars().count()) + 1;
        Place::new(&self.file, line, column)
    }
}

/// A file of blocks and attributes.
#[derive(Clone, Debug)]
pub struct Source {
    /// Positions.
    pub lines: Lines,
    /// What is in it.
    pub body: Body,
}

impl Source {
    /// Reads and parses `file`.
    ///
    /// # Errors
    ///
    /// A [`Problem`]: the file cannot be read, is not UTF-8 or is not HCL.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Problem::new(Place::file(file), format!("cannot be read: {error}")))?;
        Self::parse(file, text)
    }

    /// Parses `text`, which stands in `file`.
    ///
    /// # Errors
    ///
    /// A [`Problem`] where the text is not HCL.
    pub fn parse(file: &Path, text: String) -> Result<Self, Problem> {
        let body = parse_body(&text).map_err(|error| syntax(file, &error))?;
        Ok(Self { lines: Lines::new(file, text), body })
    }
}

/// Parses `text` of `file` as a template, as `templatefile` does.
///
/// # Errors
///
/// A [`Problem`] where the text is no template.
pub fn parse_template(file: &Path, text: String) -> Result<(Lines, Template), Problem> {
    let template = hcl_edit::parser::parse_template(&text).map_err(|error| syntax(file, &error))?;
    Ok((Lines::new(file, text), template))
}

fn syntax(file: &Path, error: &hcl_edit::parser::Error) -> Problem {
    let place = Place::new(file, error.location().line(), error.location().column());
    Problem::new(place, format!("not HCL: {}", error.message()))
}
