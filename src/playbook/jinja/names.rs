//! What a template asks for, without rendering it.

use crate::playbook::jinja::tree::{Arg, Args, At, Expr, Kind, Stmt};
use crate::playbook::jinja::{call, filters, predicates};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Variables whose absence surely fails where they stand, if they are reached: not guarded by `default` or `is
    /// defined` anywhere in the template.
    pub needed: Vec<(String, At)>,
    /// Filters and tests that do not exist.
    pub unknown: Vec<(String, At)>,
}

struct Walk {
    found: Names,
    bound: Vec<Vec<String>>,
    guarded: Vec<String>,
}

/// Finds the names in statements.
pub fn names_in(statements: &[Stmt]) -> Names {
    let mut walk = Walk { found: Names::default(), bound: vec![vec![]], guarded: vec![] };
    walk.statements(statements);
    let guarded = walk.guarded;
    walk.found.needed.retain(|(name, _)| !guarded.contains(name));
    walk.found
}

/// Finds the names in an expression.
pub fn names_in_expression(expr: &Expr) -> Names {
    let mut walk = Walk { found: Names::default(), bound: vec![vec![]], guarded: vec![] };
    walk.expr(expr);
    let guarded = walk.guarded;
    walk.found.needed.retain(|(name, _)| !guarded.contains(name));
    walk.found
}

impl Walk {
    fn bind(&mut self, target: &Expr) {
        match &target.kind {
            Kind::Var(name) => {
                if let Some(scope) = self.bound.last_mut() {
                    scope.push(name.clone());
                }
            }
            Kind::List(items) | Kind::Tuple(items) => {
                for item in items {
                    self.bind(item);
                }
            }
            _ => {}
        }
    }

    fn bind_name(&mut self, name: &str) {
        if let Some(scope) = self.bound.last_mut() {
            scope.push(name.to_owned());
        }
    }

    fn scoped(&mut self, names: &[&str], work: impl FnOnce(&mut Self)) {
        self.bound.push(names.iter().map(|name| (*name).to_owned()).collect());
        work(self);
        self.bound.pop();
    }

    fn statements(&mut self, statements: &[Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Raw(_) | Stmt::Continue | Stmt::Break => {}
            Stmt::Emit(expr) | Stmt::Do(expr) | Stmt::Include(expr, _) | Stmt::Extends(expr) => self.expr(expr),
            Stmt::Block(_, body) => self.scoped(&["super", "self"], |walk| walk.statements(body)),
            Stmt::For(looped) => {
                self.expr(&looped.iter);
                self.scoped(&["loop"], |walk| {
                    walk.bind(&looped.target);
                    if let Some(condition) = &looped.condition {
                        walk.expr(condition);
                    }
                    walk.statements(&looped.body);
                });
                self.statements(&looped.otherwise);
            }
            Stmt::If(test, yes, no) => {
                self.expr(test);
                self.statements(yes);
                self.statements(no);
            }
            Stmt::With(assignments, body) => {
                for (_, value) in assignments {
                    self.expr(value);
                }
                self.scoped(&[], |walk| {
                    for (target, _) in assignments {
                        walk.bind(target);
                    }
                    walk.statements(body);
                });
            }
            Stmt::Set(target, value) => {
                self.expr(value);
                self.bind(target);
            }
            Stmt::SetBlock(target, filter, body) => {
                if let Some(filter) = filter {
                    self.expr(filter);
                }
                self.scoped(&[], |walk| walk.statements(body));
                self.bind(target);
            }
            Stmt::FilterBlock(filter, body) => {
                self.expr(filter);
                self.scoped(&[], |walk| walk.statements(body));
            }
            Stmt::Import(expr, alias) => {
                self.expr(expr);
                self.bind_name(alias);
            }
            Stmt::FromImport(expr, names) => {
                self.expr(expr);
                for (_, alias) in names {
                    self.bind_name(alias);
                }
            }
            Stmt::Macro(definition) => {
                self.bind_name(&definition.name);
                self.macro_body(definition);
            }
            Stmt::CallBlock(call, definition) => {
                self.expr(call);
                self.macro_body(definition);
            }
        }
    }

    fn macro_body(&mut self, definition: &crate::playbook::jinja::tree::Macro) {
        for default in &definition.defaults {
            self.expr(default);
        }
        let mut names: Vec<&str> = definition.params.iter().map(String::as_str).collect();
        names.extend(["varargs", "kwargs", "caller"]);
        self.scoped(&names, |walk| walk.statements(&definition.body));
    }

    fn args(&mut self, args: &Args) {
        for arg in args {
            match arg {
                Arg::Place(expr) | Arg::Name(_, expr) | Arg::Places(expr) | Arg::Names(expr) => self.expr(expr),
            }
        }
    }

    /// A name whose absence is asked for.
    fn guard(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Var(name) => self.guarded.push(name.clone()),
            Kind::Attr(base, _) | Kind::Item(base, _) => self.guard(base),
            Kind::Filter(Some(input), _, _) => self.guard(input),
            _ => {}
        }
        self.expr(expr);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Const(_) => {}
            Kind::Var(name) => {
                let local =
                    matches!(name.as_str(), "self" | "vars") || self.bound.iter().flatten().any(|bound| bound == name);
                if !local && !call::FUNCTIONS.contains(&name.as_str()) {
                    self.found.needed.push((name.clone(), expr.at));
                }
            }
            Kind::Attr(base, _) => self.expr(base),
            Kind::Item(base, key) => {
                self.expr(base);
                self.expr(key);
            }
            Kind::Slice(base, bounds) => {
                self.expr(base);
                bounds.iter().flatten().for_each(|bound| self.expr(bound));
            }
            Kind::Call(callee, args) => {
                self.expr(callee);
                self.args(args);
            }
            Kind::Filter(input, name, args) => {
                if !filters::known(name) {
                    self.found.unknown.push((format!("there is no filter `{name}`"), expr.at));
                }
                let guards = matches!(name.as_str(), "default" | "d" | "mandatory");
                if let Some(input) = input {
                    if guards {
                        self.guard(input);
                    } else {
                        self.expr(input);
                    }
                }
                self.args(args);
            }
            Kind::Test(input, name, args) => {
                let bare = name.strip_prefix("ansible.builtin.").unwrap_or(name);
                if !predicates::NAMES.contains(&bare) {
                    self.found.unknown.push((format!("there is no test `{name}`"), expr.at));
                }
                if matches!(bare, "defined" | "undefined") {
                    self.guard(input);
                } else {
                    self.expr(input);
                }
                self.args(args);
            }
            Kind::Not(inner) | Kind::Negative(inner) => self.expr(inner),
            Kind::And(a, b) | Kind::Or(a, b) | Kind::Binary(_, a, b) => {
                self.expr(a);
                self.expr(b);
            }
            Kind::Compare(first, rest) => {
                self.expr(first);
                for (_, expr) in rest {
                    self.expr(expr);
                }
            }
            Kind::If(test, yes, no) => {
                self.expr(test);
                self.expr(yes);
                if let Some(no) = no {
                    self.expr(no);
                }
            }
            Kind::List(items) | Kind::Tuple(items) => {
                for item in items {
                    self.expr(item);
                }
            }
            Kind::Dict(entries) => entries.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
        }
    }
}
