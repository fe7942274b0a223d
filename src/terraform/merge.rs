//! Files that override others: `override.tf`, `*_override.tf` and the same in JSON.
//!
//! Source: Terraform's language reference, "Override Files".

use std::path::Path;

use hcl_edit::structure::{Block, BlockLabel, Body, Structure};

use crate::hcl::Source;
use crate::place::Problem;

/// Whether a file overrides others.
pub fn is_one(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let bare = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json"));
    bare.is_some_and(|bare| bare == "override" || bare.ends_with("_override"))
}

/// Puts what overriding files say into the files of the same directory, one after the other.
pub fn merged(base: Vec<Source>, over: Vec<Source>, problems: &mut Vec<Problem>) -> Vec<Source> {
    let count = base.len();
    if over.is_empty() {
        return base;
    }
    let all: Vec<Source> = base.into_iter().chain(over).collect();
    let mut base = match Source::joined(&all) {
        Ok(joined) => joined,
        Err(problem) => {
            problems.push(problem);
            return vec![];
        }
    };
    for source in base.split_off(count) {
        let mut added = source.clone();
        added.body = Body::new();
        for structure in source.body.clone() {
            match structure {
                Structure::Block(block) => top(&mut base, block, &source, &mut added, problems),
                // Told where it is read.
                attribute @ Structure::Attribute(_) => added.body.push(attribute),
            }
        }
        base.push(added);
    }
    base
}

fn top(base: &mut [Source], block: Block, source: &Source, added: &mut Source, problems: &mut Vec<Problem>) {
    match block.ident.as_str() {
        "locals" => locals(base, block, source, problems),
        // It says nothing here.
        "terraform" => {}
        "moved" | "import" | "removed" | "check" => {
            let message = format!("`{}` cannot stand in a file that overrides others", block.ident.as_str());
            problems.push(Problem::new(source.lines.place(&block), message));
        }
        _ => {
            let found = base.iter_mut().flat_map(|source| source.body.blocks_mut()).find(|it| is_same(it, &block));
            match found {
                Some(found) => whole(found, block, source, problems),
                // A provider that nobody configures is there all the same.
                None if block.has_ident("provider") && alias(&block).is_none() => added.body.push(block),
                None => {
                    let labels: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
                    let message = format!("there is no `{} {}` to override", block.ident.as_str(), labels.join("."));
                    problems.push(Problem::new(source.lines.place(&block), message));
                }
            }
        }
    }
}

fn alias(block: &Block) -> Option<&str> {
    block.body.get_attribute("alias").and_then(|alias| alias.value.as_str())
}

fn is_same(one: &Block, other: &Block) -> bool {
    let labels = one.labels.iter().map(BlockLabel::as_str).eq(other.labels.iter().map(BlockLabel::as_str));
    one.ident.as_str() == other.ident.as_str() && labels && alias(one) == alias(other)
}

/// Each value is overridden by itself, in whichever block it stands.
fn locals(base: &mut [Source], block: Block, source: &Source, problems: &mut Vec<Problem>) {
    for structure in block.body {
        let Structure::Attribute(attribute) = structure else { continue };
        let name = attribute.key.as_str().to_owned();
        let mut blocks = base.iter_mut().flat_map(|source| source.body.get_blocks_mut("locals"));
        if let Some(found) = blocks.find(|block| block.body.has_attribute(&name)) {
            replace(&mut found.body, &name, attribute.into());
        } else {
            let message = format!("there is no `local.{name}` to override");
            problems.push(Problem::new(source.lines.place(&attribute.key), message));
        }
    }
}

/// Attributes are replaced or added; blocks of a kind take the place of all that were there.
fn whole(found: &mut Block, over: Block, source: &Source, problems: &mut Vec<Problem>) {
    if let Some(depends_on) = over.body.get_attribute("depends_on") {
        problems.push(Problem::new(source.lines.place(&depends_on.key), "`depends_on` cannot be overridden"));
        return;
    }
    let (blocks, attributes): (Vec<Structure>, Vec<Structure>) = over.body.into_iter().partition(Structure::is_block);
    for attribute in attributes {
        let name = attribute.as_attribute().map(|it| it.key.as_str().to_owned()).unwrap_or_default();
        replace(&mut found.body, &name, attribute);
    }
    let mut kept = vec![];
    for block in blocks.into_iter().filter_map(|block| block.into_block().ok()) {
        let inner = found.body.get_blocks_mut("lifecycle").next();
        match inner.filter(|_| block.has_ident("lifecycle")) {
            // Of this one alone the arguments are merged.
            Some(inner) => whole(inner, block, source, problems),
            None => kept.push(block),
        }
    }
    let overridden = |block: &Block| kept.iter().any(|other| kind(other) == kind(block));
    let stays: Vec<usize> = (0..found.body.len()).rev().collect();
    for at in stays {
        if found.body.get(at).and_then(Structure::as_block).is_some_and(overridden) {
            found.body.remove(at);
        }
    }
    for block in kept {
        found.body.push(block);
    }
}

/// What a block is of, whether it is written out or made by `dynamic`.
fn kind(block: &Block) -> &str {
    match block.labels.first() {
        Some(label) if block.has_ident("dynamic") => label.as_str(),
        _ => block.ident.as_str(),
    }
}

fn replace(body: &mut Body, name: &str, attribute: Structure) {
    let at = (0..body.len())
        .find(|at| body.get(*at).and_then(Structure::as_attribute).is_some_and(|known| known.key.as_str() == name));
    match at {
        Some(at) => {
            body.remove(at);
            body.insert(at, attribute);
        }
        None => body.push(attribute),
    }
}
