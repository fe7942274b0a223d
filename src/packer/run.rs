//! The evaluation of a template, and everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::Path;

use hcl_edit::structure::{Block, Structure};

use crate::hcl::function;
use crate::hcl::reference::in_body;
use crate::hcl::{Source, Value};
use crate::packer::block::Reader;
use crate::packer::provision;
use crate::packer::template::Template;
use crate::packer::{Build, Provisioner};
use crate::place::{Problem, nearest};

/// Returns the names of the variables that `template` declares.
///
/// # Errors
///
/// A [`Problem`]: the file cannot be read or is not HCL.
pub fn variables(template: &Path) -> Result<Vec<String>, Problem> {
    let source = Source::read(template)?;
    let nothing = BTreeMap::new();
    let names = Template::new(&source, &nothing, &mut vec![]).variables().map(str::to_owned).collect();
    Ok(names)
}

/// Evaluates `template` with the values that its variables are given.
///
/// Touches nothing: it reads the template and the files that its expressions name.
///
/// # Errors
///
/// All [`Problem`]s, sorted by place.
pub fn evaluate(template: &Path, variables: &BTreeMap<String, Value>) -> Result<Vec<Build>, Vec<Problem>> {
    let source = Source::read(template).map_err(|problem| vec![problem])?;
    let mut problems = vec![];
    let mut builds = read(&source, variables, &mut problems);
    problems.sort();
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems);
    }
    let prefixes = prefixes(&source, variables);
    let several = builds.len() > 1;
    for (at, build) in builds.iter_mut().enumerate() {
        let prefix = prefixes.as_ref().and_then(|prefixes| prefixes.get(at));
        build.alias_prefix = prefix.unwrap_or(&build.alias).clone();
        build.source.take_if(|_| !several);
        build.variables = variables.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
    }
    Ok(builds)
}

/// A value as it is written on Packer's command line.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The name of the variable that carries the version, in all templates of the field.
const VERSION: &str = "version";

/// Returns the alias of each build without the version: what two versions that have nothing in common agree on.
fn prefixes(source: &Source, variables: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    let with = |version: &str| {
        let mut variables = variables.clone();
        variables.insert(VERSION.to_owned(), Value::from(version))?;
        let mut problems = vec![];
        let builds = read(source, &variables, &mut problems);
        problems.is_empty().then_some(builds)
    };
    let (one, other) = (with("1571")?, with("2642")?);
    Some(one.iter().zip(&other).map(|(one, other)| shared(&one.alias, &other.alias)).collect())
}

fn shared(one: &str, other: &str) -> String {
    if one == other {
        return one.to_owned();
    }
    let same = |(a, b): &(char, char)| a == b;
    let start: String = one.chars().zip(other.chars()).take_while(same).map(|(a, _)| a).collect();
    let end: Vec<char> = one.chars().rev().zip(other.chars().rev()).take_while(same).map(|(a, _)| a).collect();
    let end: String = end.into_iter().rev().collect();
    let (start, end) = (start.trim_end_matches(['-', '_', '.', '/']), end.trim_start_matches(['-', '_', '.', '/']));
    if start.is_empty() || end.is_empty() { format!("{start}{end}") } else { format!("{start}-{end}") }
}

fn read(source: &Source, variables: &BTreeMap<String, Value>, problems: &mut Vec<Problem>) -> Vec<Build> {
    let template = Template::new(source, variables, problems);
    let declared: Vec<&str> = template.variables().collect();
    for name in variables.keys().filter(|name| !declared.contains(&name.as_str())) {
        let place = crate::place::Place::file(source.lines.file());
        problems.push(Problem::new(place, format!("the variable `{name}` is given but not declared")));
    }
    lint(source, &template, problems);
    template.check(problems);
    let mut sources = BTreeMap::new();
    let mut builds = vec![];
    for structure in &source.body {
        match structure {
            Structure::Block(block) => top(block, source, &mut sources, &mut builds, problems),
            Structure::Attribute(attribute) => {
                let message = format!("`{}` cannot stand outside of a block", attribute.key.as_str());
                problems.push(Problem::new(source.lines.place(&attribute.key), message));
            }
        }
    }
    let mut results = vec![];
    for block in builds {
        results.extend(build(block, source, &template, &sources, problems));
    }
    results
}

fn lint(source: &Source, template: &Template<'_>, problems: &mut Vec<Problem>) {
    for block in source.body.blocks().filter(|block| !block.has_ident("variable") && !block.has_ident("packer")) {
        let mentioned = in_body(&block.body, &source.lines);
        for called in mentioned.functions.iter().filter(|called| !function::exists(&called.name)) {
            problems.push(function::unknown(&called.name, called.place.clone()));
        }
        for reference in mentioned.references.iter().filter(|reference| !template.declares(reference)) {
            problems.push(template.undeclared(reference));
        }
    }
}

fn top<'a>(
    block: &'a Block,
    source: &Source,
    sources: &mut BTreeMap<String, &'a Block>,
    builds: &mut Vec<&'a Block>,
    problems: &mut Vec<Problem>,
) {
    let label = |at: usize| block.labels.get(at).map_or("", |label| label.as_str());
    match block.ident.as_str() {
        "packer" | "variable" | "locals" | "local" => {}
        "source" => {
            let name = format!("{}.{}", label(0), label(1));
            if sources.insert(name.clone(), block).is_some() {
                problems.push(Problem::new(source.lines.place(block), format!("`{name}` is declared twice")));
            }
        }
        "build" => builds.push(block),
        other => {
            problems.push(Problem::new(source.lines.place(block), format!("the block `{other}` is not supported")));
        }
    }
}

fn build(
    block: &Block,
    source: &Source,
    template: &Template<'_>,
    sources: &BTreeMap<String, &Block>,
    problems: &mut Vec<Problem>,
) -> Vec<Build> {
    template.scoped(|scope| {
        let mut reader = Reader::new(block, scope);
        let names = reader.texts("sources", problems);
        let place = reader.place_of("sources");
        reader.without_effect(&["name", "description", "provisioner"]);
        reader.end(
            &["source", "post-processor", "post-processors", "error-cleanup-provisioner", "hcp_packer_registry"],
            problems,
        );
        let provisioners: Vec<Provisioner> =
            block.body.get_blocks("provisioner").filter_map(|block| provision::read(block, scope, problems)).collect();
        if names.is_empty() && problems.is_empty() {
            problems.push(Problem::new(source.lines.place(block), "this build has no `sources`"));
        }
        let mut builds = vec![];
        for name in names {
            let name = name.strip_prefix("source.").unwrap_or(&name);
            if let Some(block) = sources.get(name) {
                builds.extend(one(block, scope, &provisioners, problems));
                continue;
            }
            let problem = Problem::new(place.clone(), format!("there is no source `{name}`"));
            problems.push(match nearest(name, sources.keys().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `source.{near}`?")),
                None => problem,
            });
        }
        builds
    })
}

fn one(
    block: &Block,
    scope: &crate::hcl::Scope<'_>,
    provisioners: &[Provisioner],
    problems: &mut Vec<Problem>,
) -> Option<Build> {
    let mut reader = Reader::new(block, scope);
    let kind = block.labels.first().map_or("", |label| label.as_str());
    if !["lxd", "incus"].contains(&kind) {
        let problem = Problem::new(reader.place(), format!("the source `{kind}` is not supported"));
        problems.push(problem.hint("only `lxd` and `incus` are"));
        return None;
    }
    let image = reader.required("image", problems);
    let alias = reader.required("output_image", problems);
    let name = block.labels.get(1).map_or("", |label| label.as_str());
    let instance = reader.text("container_name", problems).unwrap_or_else(|| format!("packer-{name}"));
    let build = Build {
        place: reader.place(),
        image,
        profile: reader.text("profile", problems),
        alias_prefix: String::new(),
        alias,
        properties: reader.texts_by_name("publish_properties", problems),
        provisioners: provisioners.to_vec(),
        launch_config: reader.texts_by_name("launch_config", problems),
        instance: instance.rsplit(':').next().unwrap_or_default().to_owned(),
        source: Some(format!("{kind}.{name}")),
        variables: BTreeMap::new(),
    };
    // Readiness is waited for, and the image goes where it is built.
    reader.text("init_sleep", problems);
    reader.text("publish_remote_name", problems);
    for (name, wanted) in [
        ("virtual_machine", reader.truth("virtual_machine", problems)),
        ("skip_publish", reader.truth("skip_publish", problems)),
    ] {
        if wanted == Some(true) {
            problems.push(Problem::new(reader.place_of(name), format!("`{name}` is not supported")));
        }
    }
    reader.without_effect(&["reuse", "communicator"]);
    reader.end(&["command_wrapper"], problems);
    Some(build)
}
