//! Expressions of HCL, held to what Terraform makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use ryo::hcl::function::Files;
use ryo::hcl::reference::Reference;
use ryo::hcl::{Number, Scope, Source, Value};
use ryo::place::Problem;
use serde_json::Value as Json;

fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => Value::Number(Number::parse(&number.to_string()).unwrap()),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(entries) => match entries.iter().next() {
            Some((key, items)) if key == "set" => Value::set(items.as_array().unwrap().iter().map(from_json)),
            Some((key, inner)) if key == "sensitive" => from_json(inner).sensitive(),
            Some((key, _)) if key == "unknown" => Value::Unknown,
            _ => Value::Map(entries.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()),
        },
    }
}

/// What `local.<name>` is worth in the tables.
fn locals() -> BTreeMap<&'static str, Value> {
    let text = r#"{
        "name": "hello", "count": 3, "yes": true, "none": null, "dash-ed": "d",
        "list": ["a", "b", "c"], "map": {"x": 1, "y": 2}, "objects": [{"id": "p", "n": 1}, {"id": "q", "n": 2}],
        "set": {"set": ["s", "r"]}, "secret": {"sensitive": "pw"}, "later": {"unknown": true}
    }"#;
    let parsed: BTreeMap<String, Json> = serde_json::from_str(text).unwrap();
    parsed.into_iter().map(|(name, value)| (&*name.leak(), from_json(&value))).collect()
}

fn evaluate(expression: &str, directory: &Path) -> Result<Value, Problem> {
    let source = Source::parse(Path::new("t.hcl"), format!("x = {expression}\n"))?;
    let locals = locals();
    let names = |reference: &Reference| match (reference.root.as_str(), reference.name.as_deref()) {
        ("local", Some(name)) if locals.contains_key(name) => Ok(locals[name].clone()),
        _ => Err(Problem::new(reference.place.clone(), format!("there is no `{}`", reference.text()))),
    };
    let files = Files { directory, comes_later: &|file| file.ends_with("later.yml") };
    let scope = Scope { lines: &source.lines, files, names: &names, bound: None };
    scope.value(&source.body.get_attribute("x").unwrap().value)
}

fn shown(result: Result<Value, Problem>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn expressions_are_worth_what_terraform_says() {
    let table: Vec<(String, Json)> =
        serde_json::from_str(include_str!("../../proto-fixtures/hcl/values.json")).unwrap();
    for (expression, expected) in table {
        let value = evaluate(&expression, Path::new("/nowhere"));
        assert_eq!(shown(value), format!("{:?}", from_json(&expected)), "{expression}");
    }
}

#[test]
fn wrong_expressions_say_what_is_wrong_and_where() {
    let table: Vec<(String, String)> =
        serde_json::from_str(include_str!("../../proto-fixtures/hcl/problems.json")).unwrap();
    let told: Vec<(String, String)> =
        table.iter().map(|(text, _)| (text.clone(), shown(evaluate(text, Path::new("/nowhere"))))).collect();
    assert_eq!(told, table);
}

#[test]
fn files_are_read_relative_to_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("sub")).unwrap();
    std::fs::write(directory.path().join("sub/a.yml"), "key: 0644\ntruth: yes\nbig: 123456789012345678901234\n")
        .unwrap();
    std::fs::write(directory.path().join("t.tpl"), "Hello ${name}%{ for x in items }, ${x}%{ endfor }!\n").unwrap();
    std::fs::write(directory.path().join("bad.tpl"), "a\nb ${nme}\n").unwrap();
    let at = |expression: &str| shown(evaluate(expression, directory.path()));
    assert_eq!(at(r#"yamldecode(file("sub/a.yml"))["key"]"#), "644");
    assert_eq!(at(r#"yamldecode(file("sub/../sub/a.yml")).truth"#), "true");
    assert_eq!(at(r#"join("", [yamldecode(file("sub/a.yml"))["big"]])"#), "\"123456789012345678901234\"");
    assert_eq!(at(r#"fileexists("sub/a.yml")"#), "true");
    assert_eq!(at(r#"fileexists("sub/b.yml")"#), "false");
    assert_eq!(at(r#"yamldecode(file("later.yml"))["x"]"#), "(unknown)");
    assert_eq!(
        at(r#"templatefile("t.tpl", { name = local.name, items = local.list })"#),
        "\"Hello hello, a, b, c!\\n\""
    );
    assert_eq!(
        at(r#"templatefile("bad.tpl", { name = 1 })"#),
        format!(
            "{}:2:5: there is no variable `nme` (did you mean `name`?)",
            directory.path().join("bad.tpl").display()
        )
    );
    assert_eq!(
        at(r#"file("none.yml")"#),
        format!("t.hcl:1:5: `file`: there is no file `{}`", directory.path().join("none.yml").display())
    );
    assert_eq!(at(r#"abspath(".")"#), format!("{:?}", directory.path().display().to_string()));
    assert_eq!(at(r#"fileset(".", "*")"#), r#"{"bad.tpl", "t.tpl"}"#);
    assert_eq!(at(r#"fileset(".", "**")"#), r#"{"bad.tpl", "sub/a.yml", "t.tpl"}"#);
    assert_eq!(at(r#"fileset(".", "*/[a-c].{yml,yaml}")"#), r#"{"sub/a.yml"}"#);
    assert_eq!(at(r#"fileset("sub", "?.yml")"#), r#"{"a.yml"}"#);
    assert_eq!(at(r#"fileset("sub", "[!a].yml")"#), "{}");
    assert_eq!(at(r#"fileset("gone", "*")"#), "{}");
    assert_eq!(at(r#"filemd5("bad.tpl") == md5(file("bad.tpl"))"#), "true");
    assert_eq!(at(r#"filebase64sha512("bad.tpl") == base64sha512(file("bad.tpl"))"#), "true");
    assert_eq!(
        at(r#"[filesha1("later.yml"), templatefile("later.yml", {}), filebase64("later.yml")]"#),
        "[(unknown), (unknown), (unknown)]"
    );
    assert_eq!(at(r#"filesha256("none.yml")"#), at(r#"filesha512("none.yml")"#).replace("512", "256"));
}

/// The bytes are another compressor's than Terraform's; what is in them is the same.
#[test]
fn compressed_text_can_be_read_again() {
    use base64::Engine as _;
    use std::io::Read as _;
    let Value::String(encoded) = evaluate(r#"base64gzip("hello, hello, hello")"#, Path::new("/")).unwrap() else {
        panic!("no text")
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello, hello, hello");
}

#[test]
fn a_wrong_template_in_a_text_is_told_with_its_place_in_the_text() {
    let text = "x = templatestring(local.t, { name = 1 })\n";
    let source = Source::parse(Path::new("t.hcl"), text.to_owned()).unwrap();
    let names = |_: &Reference| Ok(Value::from("a\nb ${nme}"));
    let files = Files { directory: Path::new("/"), comes_later: &|_| false };
    let scope = Scope { lines: &source.lines, files, names: &names, bound: None };
    assert_eq!(
        shown(scope.value(&source.body.get_attribute("x").unwrap().value)),
        "t.hcl:1:5: `templatestring`: there is no variable `nme` (line 2, column 5 of the template) \
         (did you mean `name`?)"
    );
}

#[test]
fn sensitive_values_are_never_shown() {
    let value = evaluate(r#"{ a = "x-${local.secret}", b = [local.secret] }"#, Path::new("/")).unwrap();
    assert_eq!(format!("{value:?}"), r#"{"a": (sensitive), "b": [(sensitive)]}"#);
}

proptest! {
    #[test]
    fn no_text_makes_the_evaluator_panic(text in r#"[-a-z0-9"'${}%~\[\]().,:?=<>!&|+*/ \n#]{0,60}"#) {
        let _ = evaluate(&text, Path::new("/nowhere"));
    }

    #[test]
    fn no_call_makes_a_function_panic(
        name in prop::sample::select(vec!["substr", "range", "element", "cidrhost", "cidrsubnet", "format", "indent",
            "slice", "chunklist", "pow", "formatdate", "timeadd", "timecmp", "csvdecode", "cidrsubnets", "setproduct",
            "matchkeys", "log", "urldecode", "yamlencode", "textdecodebase64", "fileset", "strrev", "parseint", "split", "replace", "regexall", "formatlist", "sum", "min"]),
        arguments in prop::collection::vec(prop::sample::select(vec!["-1", "0", "1", "99999999999999999999", "1.5",
            "\"\"", "\"äb%s\"", "\"10.0.0.0/8\"", "\"::/0\"", "[]", "[1, 2]", "null", "true", "{}", "\"%5d%%\""]), 0..5),
    ) {
        let _ = evaluate(&format!("{name}({})", arguments.join(", ")), Path::new("/nowhere"));
    }
}

#[test]
fn what_is_opened_and_not_closed_is_told_before_anything_is_parsed() {
    let table = [
        (
            // What closes is not what was opened.
            "a = 1\nb = {\n  c = [1,\n}\n",
            "x.hcl:3:7: not HCL: `[` is not closed",
        ),
        ("a = {\n  b = 1\n", "x.hcl:1:5: not HCL: `{` is not closed"),
        ("a {\n  b = f(1\n", "x.hcl:2:8: not HCL: `(` is not closed"),
        ("a = \"b\nc = 1\n", "x.hcl:1:5: not HCL: `\"` is not closed"),
        ("a = \"b ${c\"\n", "x.hcl:1:11: not HCL: `\"` is not closed"),
        ("a = \"b ${c", "x.hcl:1:8: not HCL: `${` is not closed"),
        ("a = \"%{ if b \n", "x.hcl:1:6: not HCL: `%{` is not closed"),
        ("a = 1)\n", "x.hcl:1:6: not HCL: expected newline or eof"),
        ("a = 1\n/* b\n", "x.hcl:2:1: not HCL: `/*` is not closed"),
        ("a = <<-END\n  b\n", "x.hcl:1:5: not HCL: `<<-END` is not closed"),
    ];
    for (text, expected) in table {
        assert_eq!(Source::parse(Path::new("x.hcl"), text.to_owned()).unwrap_err().to_string(), expected, "{text}");
    }
    let sound = [
        "a = \"(\" # {\nb = \"\\\"[\" // (\n/* { */ c = [1]\n",
        "a = \"$${ %%{ ${\"}\"} ${{ b = \"{\" }.b}\"\n",
        "a = <<END\n ( ${b(\"END\")}\n { $${\n  END\nb = 1 < 2\n",
        "a = <<-E-1\n${1 /* } */}\nE-1\n",
    ];
    for text in sound {
        Source::parse(Path::new("x.hcl"), text.to_owned()).unwrap_or_else(|problem| panic!("{problem}: {text}"));
    }
}
