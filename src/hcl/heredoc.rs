//! `<<-` heredocs: the indentation that all lines share goes.
//!
//! Source: HCL, `hclsyntax/parser_template.go`, `flushHeredocTemplateParts`: white space that `~` takes is gone before,
//! the lines in directives count as any others, and a line that is nothing but white space does not.

use std::collections::HashMap;
use std::mem::replace;

use hcl_edit::template::{Directive, Element, Template};

use crate::hcl::template::{Edges, sides, taken};

/// The literals of a heredoc without what goes.
pub struct Flushed(HashMap<usize, String>);

impl Flushed {
    /// Looks through a heredoc in front of which there are `padding` spaces that are not part of it.
    pub fn of(template: &Template, padding: usize) -> Self {
        let mut walk = Walk { padding, at_start: true, least: usize::MAX, pieces: vec![] };
        walk.template(template, Edges::default());
        let mut texts: HashMap<usize, String> = HashMap::new();
        for Piece { literal, text, indented } in walk.pieces {
            let skipped = if indented { walk.least } else { 0 };
            texts.entry(literal).or_default().extend(text.chars().skip(skipped));
        }
        Self(texts)
    }

    /// What is left of a literal of that heredoc.
    pub fn get(&self, literal: &str) -> Option<&str> {
        self.0.get(&literal.as_ptr().addr()).map(String::as_str)
    }
}

/// A line of a literal, or what is left of it.
struct Piece<'t> {
    /// Which literal.
    literal: usize,
    text: &'t str,
    /// Whether it loses its indentation.
    indented: bool,
}

struct Walk<'t> {
    padding: usize,
    at_start: bool,
    least: usize,
    pieces: Vec<Piece<'t>>,
}

impl<'t> Walk<'t> {
    fn template(&mut self, template: &'t Template, edges: Edges) {
        let elements: Vec<&Element> = template.iter().collect();
        for (at, element) in elements.iter().enumerate() {
            match element {
                Element::Literal(literal) => self.literal(literal, taken(&elements, at, edges)),
                Element::Interpolation(_) => self.mark(),
                Element::Directive(directive) => self.directive(directive),
            }
        }
    }

    fn directive(&mut self, directive: &'t Directive) {
        self.mark();
        match directive {
            Directive::If(it) => {
                let end = sides(it.endif_expr.strip).start;
                let until = it.else_expr.as_ref().map_or(end, |other| sides(other.strip).start);
                self.template(&it.if_expr.template, Edges { start: sides(it.if_expr.strip).end, end: until });
                if let Some(other) = &it.else_expr {
                    self.mark();
                    self.template(&other.template, Edges { start: sides(other.strip).end, end });
                }
            }
            Directive::For(it) => {
                let edges = Edges { start: sides(it.for_expr.strip).end, end: sides(it.endfor_expr.strip).start };
                self.template(&it.for_expr.template, edges);
            }
        }
        self.mark();
    }

    /// What begins with no white space.
    fn mark(&mut self) {
        if replace(&mut self.at_start, false) {
            self.least = 0;
        }
    }

    fn literal(&mut self, literal: &'t str, taken: Edges) {
        let padding = replace(&mut self.padding, 0);
        let count = literal.split_inclusive('\n').count();
        for (at, mut text) in literal.split_inclusive('\n').enumerate() {
            if at == 0 {
                text = text.get(padding..).unwrap_or_default();
            }
            if taken.start && at == 0 {
                text = text.trim_start();
            }
            if taken.end && at + 1 == count {
                text = text.trim_end();
            }
            let rest = text.trim_start();
            let blank = rest.is_empty() && text.ends_with('\n');
            let indented = replace(&mut self.at_start, text.ends_with('\n')) && !blank;
            if indented {
                self.least = self.least.min(text.chars().count() - rest.chars().count());
            }
            self.pieces.push(Piece { literal: literal.as_ptr().addr(), text, indented });
        }
    }
}
