//! What a task sees of roles: of its own one, of those that brought it, and of those that are for all of the play.
//!
//! Source: ansible-core 2.15, `playbook/role/__init__.py`.

use crate::playbook::model::{Role, Vars};
use crate::playbook::scope::TaskScope;

impl TaskScope<'_> {
    fn own(&self) -> Option<&Role> {
        self.task?.role.as_deref()
    }

    /// The roles that brought the task's own one, the nearest first.
    fn parents(&self) -> impl Iterator<Item = &Role> {
        self.task.into_iter().flat_map(|task| &task.chain).map(AsRef::as_ref)
    }

    /// The task's role and those that brought it, the nearest first.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Role> {
        self.own().into_iter().chain(self.parents())
    }

    /// The roles that the task's own one depends on, the strongest first.
    fn dependencies(&self) -> impl Iterator<Item = &Role> {
        self.own().into_iter().flat_map(|role| role.dependencies.iter().rev()).map(AsRef::as_ref)
    }

    /// The roles that the play names, and those that it imported or included for all of it.
    pub(super) fn named(&self) -> impl DoubleEndedIterator<Item = &Role> {
        let lists = self.play.into_iter().flat_map(|play| [&play.roles, &play.exposed, self.exposed.as_ref()]);
        lists.flatten().map(AsRef::as_ref)
    }

    /// Those with the roles that they depend on, the strongest first.
    fn of_play(&self) -> impl Iterator<Item = &Role> {
        self.named()
            .rev()
            .flat_map(|role| std::iter::once(role).chain(role.dependencies.iter().rev().map(AsRef::as_ref)))
    }

    /// What entries of roles give them, the strongest first.
    pub(super) fn role_params(&self) -> impl Iterator<Item = &Vars> {
        self.chain().map(|role| &role.params)
    }

    /// Variables of roles, the strongest first.
    pub(super) fn role_vars(&self) -> impl Iterator<Item = &Vars> {
        let own = self.own().into_iter().flat_map(|role| [&role.given, &role.vars]);
        let parents = self.parents().flat_map(|role| [&role.vars, &role.given]);
        own.chain(self.dependencies().map(|role| &role.vars))
            .chain(parents)
            .chain(self.of_play().map(|role| &role.vars))
    }

    /// Defaults of roles, the strongest first.
    pub(super) fn role_defaults(&self) -> impl Iterator<Item = &Vars> {
        self.chain().chain(self.dependencies()).chain(self.of_play()).map(|role| &role.defaults)
    }
}
