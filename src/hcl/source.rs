//! A parsed file that can say where something stands.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hcl_edit::parser::parse_body;
use hcl_edit::structure::Body;
use hcl_edit::{Span, template::Template};

use crate::hcl::brackets::{self, Form};
use crate::place::{self, Place, Problem};

/// A text and where its lines start.
#[derive(Debug)]
struct Text {
    file: PathBuf,
    written: String,
    starts: Vec<usize>,
    rewritten: Option<Rewritten>,
}

/// A file that is no HCL, written again as HCL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The HCL.
    pub text: String,
    /// Where pieces of the HCL start, and where in the file they come from; sorted.
    pub origins: Vec<(usize, usize)>,
}

impl Text {
    fn new(file: &Path, written: String, rewritten: Option<Rewritten>) -> Self {
        let starts = std::iter::once(0).chain(written.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.to_owned(), written, starts, rewritten }
    }

    /// What was parsed.
    fn hcl(&self) -> &str {
        self.rewritten.as_ref().map_or(&self.written, |rewritten| &rewritten.text)
    }

    /// Refuses what is opened and not closed.
    fn closed(&self) -> Result<(), Problem> {
        let Some(at) = brackets::unclosed(self.hcl(), Form::Code) else { return Ok(()) };
        Err(Problem::new(self.at(at), format!("not HCL: {}", brackets::not_closed(&self.hcl()[at..]))))
    }

    /// The place of an offset of what was parsed.
    fn at(&self, offset: usize) -> Place {
        let Some(rewritten) = &self.rewritten else { return self.place(offset) };
        let next = rewritten.origins.partition_point(|(start, _)| *start <= offset);
        self.place(next.checked_sub(1).map_or(0, |last| rewritten.origins[last].1))
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self.written.get(start..offset).map_or(0, |text| text.chars().count()) + 1;
        Place::new(&self.file, line, column)
    }
}

/// Where the lines of a file start, and of the files that were joined with it.
#[derive(Clone, Debug)]
pub struct Lines {
    own: Arc<Text>,
    joined: Arc<Vec<(usize, Arc<Text>)>>,
}

impl Lines {
    fn new(text: Text) -> Self {
        let own = Arc::new(text);
        Self { joined: Arc::new(vec![(0, Arc::clone(&own))]), own }
    }

    /// Returns the file.
    pub fn file(&self) -> &Path {
        &self.own.file
    }

    /// Returns where `node` starts; the whole file for what has no position.
    pub fn place(&self, node: &impl Span) -> Place {
        node.span().map_or_else(|| Place::file(&self.own.file), |span| self.at(&span))
    }

    /// Returns the text of the file in front of `span`, and what is in it.
    pub fn around(&self, span: &Range<usize>) -> (&str, &str) {
        let next = self.joined.partition_point(|(start, _)| *start <= span.start).max(1);
        let (start, text) = &self.joined[next - 1];
        let part = |range: Range<usize>| text.hcl().get(range).unwrap_or_default();
        (part(0..span.start - start), part(span.start - start..span.end - start))
    }

    fn at(&self, span: &Range<usize>) -> Place {
        let next = self.joined.partition_point(|(start, _)| *start <= span.start).max(1);
        let (start, text) = &self.joined[next - 1];
        text.at(span.start - start)
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
        let bytes =
            std::fs::read(file).map_err(|error| Problem::new(Place::file(file), format!("cannot be read: {error}")))?;
        Self::parse(file, place::text(file, bytes)?)
    }

    /// Parses `text`, which stands in `file`.
    ///
    /// # Errors
    ///
    /// A [`Problem`] where the text is not HCL.
    pub fn parse(file: &Path, text: String) -> Result<Self, Problem> {
        let text = Text::new(file, text, None);
        text.closed()?;
        let body = parse_body(text.hcl()).map_err(|error| syntax(file, &error))?;
        Ok(Self { lines: Lines::new(text), body })
    }

    /// Parses what `text`, which stands in `file`, was written again as.
    ///
    /// # Errors
    ///
    /// A [`Problem`] at the piece that is not HCL.
    pub fn rewritten(file: &Path, text: String, rewritten: Rewritten) -> Result<Self, Problem> {
        let text = Text::new(file, text, Some(rewritten));
        text.closed()?;
        let body = parse_body(text.hcl()).map_err(|error| {
            let line = text.hcl().split_inclusive('\n').take(error.location().line() - 1).map(str::len).sum::<usize>();
            let place = text.at(line + error.location().column().saturating_sub(1));
            Problem::new(place, format!("not HCL: {}", error.message()))
        })?;
        Ok(Self { lines: Lines::new(text), body })
    }

    /// Gives the nodes of several files positions that are apart, so that a node of one can be put into another.
    ///
    /// # Errors
    ///
    /// None that was not told when the files were parsed.
    pub fn joined(sources: &[Self]) -> Result<Vec<Self>, Problem> {
        let mut start = 0;
        let mut texts = vec![];
        for source in sources {
            texts.push((start, Arc::clone(&source.lines.own)));
            start += source.lines.own.hcl().len() + 1;
        }
        let joined = Arc::new(texts);
        let parsed = joined.iter().map(|(start, text)| {
            let padded = format!("{}{}", " ".repeat(*start), text.hcl());
            let body = parse_body(&padded).map_err(|error| syntax(&text.file, &error))?;
            Ok(Self { lines: Lines { own: Arc::clone(text), joined: Arc::clone(&joined) }, body })
        });
        parsed.collect()
    }
}

/// Parses `text` of `file` as a template, as `templatefile` does.
///
/// # Errors
///
/// A [`Problem`] where the text is no template.
pub fn parse_template(file: &Path, text: String) -> Result<(Lines, Template), Problem> {
    let template = hcl_edit::parser::parse_template(&text).map_err(|error| syntax(file, &error))?;
    Ok((Lines::new(Text::new(file, text, None)), template))
}

fn syntax(file: &Path, error: &hcl_edit::parser::Error) -> Problem {
    let place = Place::new(file, error.location().line(), error.location().column());
    Problem::new(place, format!("not HCL: {}", error.message()))
}
