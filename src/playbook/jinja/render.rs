//! Statements.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::playbook::jinja::arguments::Arguments;
use crate::playbook::jinja::call::{Callable, Home, Module, call_macro};
use crate::playbook::jinja::eval::{DEEPEST, Evaluator, Frame, LONGEST, failed, undefined};
use crate::playbook::jinja::tree::{self, Absent, At, Expr, For, Kind, Stmt};
use crate::playbook::jinja::value::{Object, Value};
use crate::playbook::jinja::{Error, Fault, Source};

/// How a list of statements ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// At its end.
    On,
    /// At `continue`.
    Continue,
    /// At `break`.
    Break,
}

impl Evaluator<'_> {
    /// Renders statements to text.
    ///
    /// # Errors
    ///
    /// [`Error`] at the part that cannot be rendered.
    pub fn render(&mut self, statements: &[Stmt]) -> Result<String, Error> {
        let mut out = String::new();
        self.statements(statements, &mut out)?;
        Ok(out)
    }

    pub(super) fn statements(&mut self, statements: &[Stmt], out: &mut String) -> Result<Flow, Error> {
        for statement in statements {
            let flow = self.statement(statement, out)?;
            if flow != Flow::On {
                return Ok(flow);
            }
            if out.len() > LONGEST {
                return Err(failed("the text would be too long", At::default()));
            }
        }
        Ok(Flow::On)
    }

    fn statement(&mut self, statement: &Stmt, out: &mut String) -> Result<Flow, Error> {
        match statement {
            Stmt::Raw(text) => out.push_str(text),
            Stmt::Emit(expr) => {
                let value = self.used(expr)?;
                if let Some(missing) = value.find_missing() {
                    return Err(undefined(missing, expr.at));
                }
                // Ansible prints nothing for none at the outermost level.
                if !matches!(value, Value::None) {
                    out.push_str(&value.to_string());
                }
            }
            Stmt::For(looped) => self.looped(looped, 1, out)?,
            Stmt::If(test, yes, no) => {
                let branch = if self.truth(test)? { yes } else { no };
                return self.statements(branch, out);
            }
            Stmt::With(assignments, body) => {
                let mut values = vec![];
                for (target, value) in assignments {
                    values.push((target, self.expression(value)?));
                }
                self.frames.push(Frame::default());
                let result = values
                    .into_iter()
                    .try_for_each(|(target, value)| self.assign(target, value))
                    .and_then(|()| self.statements(body, out));
                self.frames.pop();
                return result;
            }
            Stmt::Set(target, value) => {
                let value = self.expression(value)?;
                self.assign(target, value)?;
            }
            Stmt::SetBlock(target, filter, body) => {
                let text = self.scoped(body)?;
                let value = self.gathered(text);
                let value = self.filtered(filter.as_ref(), value)?;
                self.assign(target, value)?;
            }
            Stmt::FilterBlock(filter, body) => {
                let text = self.scoped(body)?;
                let value = self.gathered(text);
                out.push_str(&self.filtered(Some(filter), value)?.to_string());
            }
            Stmt::Include(name, absent) => self.include(name, *absent, out)?,
            Stmt::Import(name, alias) => {
                let module = Value::Object(Arc::new(Module(self.module(name)?)));
                self.set(alias, module);
            }
            Stmt::FromImport(name, wanted) => {
                let module = Module(self.module(name)?);
                for (wanted, alias) in wanted {
                    let found = module.get(wanted).map_err(|message| failed(message, name.at))?;
                    self.set(alias, found.unwrap_or_else(|| Value::missing(wanted.as_str())));
                }
            }
            Stmt::Macro(definition) => {
                let home = Home::Here(self.frames.len());
                let callable = Callable { definition: definition.clone(), home };
                self.set(&definition.name.clone(), Value::Object(Arc::new(callable)));
            }
            Stmt::CallBlock(call, definition) => out.push_str(&self.call_block(call, definition)?.to_string()),
            Stmt::Do(expr) => drop(self.expression(expr)?),
            Stmt::Block(name, _) => out.push_str(&self.block(name, 0, At::default())?),
            Stmt::Extends(name) => return Err(failed("`extends` must stand at the top of a template", name.at)),
            Stmt::Continue => return Ok(Flow::Continue),
            Stmt::Break => return Ok(Flow::Break),
        }
        Ok(Flow::On)
    }

    fn scoped(&mut self, body: &[Stmt]) -> Result<String, Error> {
        self.frames.push(Frame::default());
        let result = self.render(body);
        self.frames.pop();
        result
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.set(name, value);
        }
    }

    fn assign(&mut self, target: &Expr, value: Value) -> Result<(), Error> {
        match &target.kind {
            Kind::Var(name) => self.set(name, value),
            Kind::Attr(base, name) => match self.used(base)? {
                Value::Object(object) => {
                    object.set(name, value).map_err(|message| failed(message, target.at))?;
                }
                _ => return Err(failed("only attributes of a `namespace` can be set", target.at)),
            },
            Kind::List(targets) | Kind::Tuple(targets) => {
                let items = value.iterate().map_err(|message| failed(message, target.at))?;
                if items.len() != targets.len() {
                    let message = format!("expected {} values to unpack, got {}", targets.len(), items.len());
                    return Err(failed(message, target.at));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item)?;
                }
            }
            _ => return Err(failed("this cannot be assigned to", target.at)),
        }
        Ok(())
    }

    /// Applies the filters of a `filter` or `set` block, whose innermost input is left out.
    fn filtered(&mut self, filter: Option<&Expr>, input: Value) -> Result<Value, Error> {
        let Some(Expr { at, kind: Kind::Filter(inner, name, args) }) = filter else {
            return Ok(input);
        };
        let input = self.filtered(inner.as_deref(), input)?;
        let args = self.arguments(args)?;
        self.apply_filter(name, input, args, *at)
    }

    fn looped(&mut self, looped: &Arc<For>, depth: usize, out: &mut String) -> Result<(), Error> {
        let items = self.used(&looped.iter)?.iterate().map_err(|message| failed(message, looped.iter.at))?;
        self.over(looped, items, depth, out)
    }

    /// Calls `loop(…)` of a loop that is `recursive`.
    pub(super) fn again(&mut self, state: &LoopState, arguments: Arguments, at: At) -> Result<Value, Error> {
        let looped = state.again.as_ref().ok_or_else(|| failed("`loop` can be called if it is `recursive`", at))?;
        let [items] = arguments.bind(["iterable"]).map_err(|message| failed(message, at))?;
        let items = items.unwrap_or(Value::None).iterate().map_err(|message| failed(message, at))?;
        let mut out = String::new();
        self.over(looped, items, state.depth + 1, &mut out)?;
        Ok(self.gathered(out))
    }

    fn over(&mut self, looped: &Arc<For>, mut items: Vec<Value>, depth: usize, out: &mut String) -> Result<(), Error> {
        if self.depth >= DEEPEST {
            return Err(failed("nested too deeply", looped.iter.at));
        }
        self.depth += 1;
        self.frames.push(Frame::default());
        let result = self.chosen(looped, &mut items);
        let empty = items.is_empty();
        self.iterated.push(items);
        let result = result.and_then(|()| self.each(looped, depth, out));
        self.iterated.pop();
        self.frames.pop();
        self.depth -= 1;
        result?;
        if empty {
            self.statements(&looped.otherwise, out)?;
        }
        Ok(())
    }

    fn chosen(&mut self, looped: &For, items: &mut Vec<Value>) -> Result<(), Error> {
        let Some(condition) = &looped.condition else { return Ok(()) };
        let mut kept = vec![];
        for item in items.drain(..) {
            self.assign(&looped.target, item.clone())?;
            if self.truth(condition)? {
                kept.push(item);
            }
        }
        *items = kept;
        Ok(())
    }

    fn each(&mut self, looped: &Arc<For>, depth: usize, out: &mut String) -> Result<(), Error> {
        let seen = Arc::new(Mutex::new(None));
        for index in 0.. {
            let Some(items) = self.iterated.last() else { break };
            let Some(item) = items.get(index).cloned() else { break };
            let state = LoopState {
                index,
                length: items.len(),
                depth,
                seen: seen.clone(),
                again: looped.recursive.then(|| looped.clone()),
                previous: index.checked_sub(1).and_then(|index| items.get(index)).cloned(),
                next: items.get(index + 1).cloned(),
            };
            if let Some(frame) = self.frames.last_mut() {
                frame.0.clear();
            }
            self.set("loop", Value::Object(Arc::new(state)));
            self.assign(&looped.target, item)?;
            if self.statements(&looped.body, out)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn source(&mut self, name: &Expr) -> Result<Option<Source>, Error> {
        let value = self.used(name)?;
        let names = match value.as_list() {
            Some(names) => names.iter().map(ToString::to_string).collect(),
            None => vec![value.to_string()],
        };
        for wanted in &names {
            if let Some(source) = self.scope.source(wanted).map_err(|message| failed(message, name.at))? {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }

    fn include(&mut self, name: &Expr, absent: Absent, out: &mut String) -> Result<(), Error> {
        match self.source(name)? {
            Some(source) => {
                self.frames.push(Frame::default());
                let result = self.nested(&source, name.at, Self::template);
                self.frames.pop();
                out.push_str(&result?);
                Ok(())
            }
            None if absent == Absent::IsIgnored => Ok(()),
            None => Err(self.no_template(name)),
        }
    }

    fn no_template(&mut self, name: &Expr) -> Error {
        let name = self.used(name).map(|value| value.to_string()).unwrap_or_default();
        failed(format!("there is no template `{name}` to include"), At::default())
    }

    fn module(&mut self, name: &Expr) -> Result<Frame, Error> {
        let Some(source) = self.source(name)? else {
            return Err(self.no_template(name));
        };
        let outer = std::mem::replace(&mut self.frames, vec![Frame::default()]);
        let result = self.nested(&source, name.at, Self::template);
        let frames = std::mem::replace(&mut self.frames, outer);
        result?;
        let shared = Arc::new(frames);
        let entries = shared.iter().flat_map(|frame| frame.0.iter()).map(|(key, value)| {
            let callable = match value {
                Value::Object(object) => object.as_any().downcast_ref::<Callable>(),
                _ => None,
            };
            let value = callable.map_or_else(
                || value.clone(),
                |callable| {
                    let home = Home::Frames(shared.clone());
                    Value::Object(Arc::new(Callable { definition: callable.definition.clone(), home }))
                },
            );
            (key.clone(), value)
        });
        Ok(Frame(entries.collect()))
    }

    pub(super) fn nested<T>(
        &mut self,
        source: &Source,
        at: At,
        work: impl FnOnce(&mut Self, &[Stmt]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= DEEPEST {
            return Err(failed("templates include each other too deeply", at));
        }
        let inside = |mut error: Error| {
            error.file.get_or_insert_with(|| source.path.clone());
            error
        };
        let text = source.text.replace("\r\n", "\n");
        let statements = tree::parse(super::strip_newline(&text), &super::syntax()?).map_err(inside)?;
        self.depth += 1;
        let result = work(self, &statements).map_err(inside);
        self.depth -= 1;
        result
    }

    fn call_block(&mut self, call: &Expr, definition: &Arc<tree::Macro>) -> Result<Value, Error> {
        let home = Home::Frames(Arc::new(self.frames.clone()));
        let caller = Value::Object(Arc::new(Callable { definition: definition.clone(), home }));
        let Kind::Call(callee, args) = &call.kind else {
            return Err(failed("`call` needs a macro", call.at));
        };
        let function = self.used(callee)?;
        let arguments: Arguments = self.arguments(args)?;
        match &function {
            Value::Object(object) => match object.as_any().downcast_ref::<Callable>() {
                Some(callable) => call_macro(self, callable, arguments, Some(caller), call.at),
                None => Err(Error::new(Fault::Failed, "`call` needs a macro", call.at)),
            },
            _ => Err(Error::new(Fault::Failed, "`call` needs a macro", call.at)),
        }
    }
}

/// `loop`.
#[derive(Debug)]
pub(super) struct LoopState {
    index: usize,
    length: usize,
    depth: usize,
    previous: Option<Value>,
    next: Option<Value>,
    seen: Arc<Mutex<Option<Vec<Value>>>>,
    again: Option<Arc<For>>,
}

impl LoopState {
    /// `loop.cycle(…)`.
    pub(super) fn cycle(&self, values: &[Value]) -> Result<Value, String> {
        values.get(self.index % values.len().max(1)).cloned().ok_or_else(|| "needs values".to_owned())
    }
}

impl LoopState {
    /// `loop.changed(…)`.
    pub(super) fn changed(&self, values: Vec<Value>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = seen.as_ref() != Some(&values);
        *seen = Some(values);
        changed
    }
}

impl Object for LoopState {
    fn get(&self, key: &str) -> Result<Option<Value>, String> {
        Ok(Some(match key {
            "index" => Value::count(self.index + 1),
            "index0" => Value::count(self.index),
            "revindex" => Value::count(self.length - self.index),
            "revindex0" => Value::count(self.length - self.index - 1),
            "first" => Value::Bool(self.index == 0),
            "last" => Value::Bool(self.index + 1 == self.length),
            "length" => Value::count(self.length),
            "depth" => Value::count(self.depth),
            "depth0" => Value::count(self.depth.saturating_sub(1)),
            "previtem" => self.previous.clone().unwrap_or_else(|| Value::missing("loop.previtem")),
            "nextitem" => self.next.clone().unwrap_or_else(|| Value::missing("loop.nextitem")),
            _ => return Ok(None),
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
