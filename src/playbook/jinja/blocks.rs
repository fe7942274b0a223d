//! `extends` and `block`: a template that fills the blocks of another.

use std::any::Any;
use std::sync::Arc;

use crate::playbook::jinja::Error;
use crate::playbook::jinja::eval::{Evaluator, Frame, failed};
use crate::playbook::jinja::tree::{At, Stmt};
use crate::playbook::jinja::value::{Object, Value};

/// What a block says, in the template itself and in those that it extends.
pub type Levels = Vec<Arc<Vec<Stmt>>>;

/// `super()` in a block.
#[derive(Debug)]
pub struct Super {
    name: String,
    level: usize,
}

impl Object for Super {
    fn get(&self, _key: &str) -> Result<Option<Value>, String> {
        Ok(None)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Evaluator<'_> {
    /// Renders a whole template, whose blocks are its own.
    ///
    /// # Errors
    ///
    /// [`Error`] at the part that cannot be rendered.
    pub fn template(&mut self, statements: &[Stmt]) -> Result<String, Error> {
        let outer = std::mem::take(&mut self.blocks);
        let result = self.extended(statements);
        self.blocks = outer;
        result
    }

    fn extended(&mut self, statements: &[Stmt]) -> Result<String, Error> {
        self.collect(statements);
        let mut out = String::new();
        let at = statements.iter().position(|statement| matches!(statement, Stmt::Extends(_)));
        let Some((at, Stmt::Extends(name))) = at.and_then(|at| Some((at, statements.get(at)?))) else {
            self.statements(statements, &mut out)?;
            return Ok(out);
        };
        self.statements(&statements[..at], &mut out)?;
        // What stands outside of blocks sets names and says nothing.
        let mut unsaid = String::new();
        for statement in statements[at + 1..].iter().filter(|statement| !matches!(statement, Stmt::Block(..))) {
            self.statements(std::slice::from_ref(statement), &mut unsaid)?;
        }
        let source = self.source(name)?.ok_or_else(|| failed("there is no such template to extend", name.at))?;
        out.push_str(&self.nested(&source, name.at, Self::extended)?);
        Ok(out)
    }

    fn collect(&mut self, statements: &[Stmt]) {
        for statement in statements {
            if let Stmt::Block(name, body) = statement {
                match self.blocks.iter_mut().find(|(known, _)| known == name) {
                    Some((_, levels)) => levels.push(body.clone()),
                    None => self.blocks.push((name.clone(), vec![body.clone()])),
                }
                self.collect(body);
            }
        }
    }

    /// Whether there is a block of that name.
    pub(super) fn has_block(&self, name: &str) -> bool {
        self.blocks.iter().any(|(known, _)| known == name)
    }

    /// Renders a block as the template says that was rendered, or as one that it extends.
    pub(super) fn block(&mut self, name: &str, level: usize, at: At) -> Result<String, Error> {
        let levels: Option<&Levels> = self.blocks.iter().find(|(known, _)| known == name).map(|(_, levels)| levels);
        let body = levels.and_then(|levels| levels.get(level)).cloned();
        let body = body.ok_or_else(|| failed(format!("there is no block `{name}` above"), at))?;
        let mut frame = Frame::default();
        frame.set("super", Value::Object(Arc::new(Super { name: name.to_owned(), level })));
        self.frames.push(frame);
        let result = self.render(&body);
        self.frames.pop();
        result
    }

    /// Calls `super()`.
    pub(super) fn above(&mut self, of: &Super, at: At) -> Result<Value, Error> {
        self.block(&of.name, of.level + 1, at).map(|text| self.gathered(text))
    }
}
