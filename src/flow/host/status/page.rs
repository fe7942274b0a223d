//! How hosts are, as one page for a browser: no script, nothing from elsewhere, every foreign text escaped.
//!
//! Each host is a picture of boxes in boxes: projects and modules, their instances, on the upper edge of an instance the
//! ports that lead to it, on its lower edge what is mounted in it.

use std::fmt::Write as _;

use crate::flow::figures::{day, gib, minute, percent, span};
use crate::flow::host::status::{Instance, Mount, Port, Status, Unit};

const STYLE: &str = include_str!("page.css");

/// Returns the page. `now` is in seconds since 1970; what cannot be looked at stands there with its reason.
pub fn page(hosts: &[(String, Result<Status, String>)], now: u64) -> String {
    let names: Vec<&str> = hosts.iter().map(|(name, _)| name.as_str()).collect();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>ryo: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>Hosts</h1><p>as of {} UTC</p></header>\n",
        escaped(&names.join(", ")),
        minute(now),
    );
    for (name, seen) in hosts {
        match seen {
            Ok(status) => host(&mut html, status, now),
            Err(why) => {
                let _ = write!(
                    html,
                    "<section class=\"host\">\n<h2>{} {}</h2>\n<ul class=\"problems\"><li>cannot be looked at: {}</li></ul>\n\
                     </section>\n",
                    mark(false),
                    escaped(name),
                    escaped(why)
                );
            }
        }
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn host(html: &mut String, status: &Status, now: u64) {
    let consul = status.consul.as_ref().map_or("no Consul".to_owned(), |version| format!("consul {version}"));
    let up = format!("up {}", span(status.up));
    let linux = format!("Linux {}", status.kernel);
    let facts = [&status.system, &linux, &up, &status.server, &consul].map(|fact| escaped(fact)).join(" · ");
    let problems = problems(status, now);
    let well = problems.is_empty() && status.instances.iter().all(|it| it.problems.is_empty());
    let _ = writeln!(html, "<section class=\"host\">\n<h2>{} {}</h2>", mark(well), escaped(&status.host));
    let _ = writeln!(html, "<p class=\"facts\">{facts}</p>");
    list(html, "problems", &problems);
    html.push_str("<div class=\"spaces\">\n");
    for space in &status.spaces {
        let share = percent(space.used, space.total).min(100);
        let full = if share >= 90 { " full" } else { "" };
        let _ = writeln!(
            html,
            "<div class=\"space{full}\"><span>{}</span><i><b style=\"width:{share}%\"></b></i>\
             <span>{} of {} GiB</span></div>",
            escaped(&space.name),
            gib(space.used),
            gib(space.total)
        );
    }
    html.push_str(
        "</div>\n<p class=\"legend\"><span class=\"port\">port of the host → port in the container</span> \
         <span class=\"mount\">path in the container ← directory of the host</span></p>\n<div class=\"units\">\n",
    );
    let of_kind = |kind: Option<&'static str>| status.units.iter().filter(move |unit| unit.kind == kind);
    for unit in of_kind(Some("project")).chain(of_kind(Some("module"))).chain(of_kind(None)) {
        self::unit(html, status, unit, now);
    }
    let others: Vec<&Instance> = status.instances.iter().filter(|it| it.owner.is_none()).collect();
    if !others.is_empty() {
        html.push_str("<article class=\"unit other\">\n<h3>Others</h3>\n");
        for it in others {
            instance(html, it, None);
        }
        html.push_str("</article>\n");
    }
    if status.units.is_empty() && status.instances.is_empty() {
        html.push_str("<p class=\"facts\">Nothing is deployed.</p>\n");
    }
    html.push_str("</div>\n</section>\n");
}

/// What a person should see to on the host itself.
fn problems(status: &Status, now: u64) -> Vec<String> {
    let reboot = status.reboot.iter().map(|why| format!("should start again: {why}"));
    let consul = status.consul_error.iter().cloned();
    let ends = status.certificate_until.filter(|until| *until < now + 30 * 86_400);
    let certificate = ends.map(|until| format!("the server's certificate ends on {}", day(until)));
    let journal = (status.damaged > 0).then(|| format!("{} damaged lines in the journal", status.damaged));
    reboot.chain(consul).chain(certificate).chain(journal).collect()
}

fn unit(html: &mut String, status: &Status, unit: &Unit, now: u64) {
    let kind = unit.kind.unwrap_or("not in the lists of this computer");
    let _ = writeln!(
        html,
        "<article class=\"unit {}\">\n<h3>{} {} <small>{kind}</small></h3>",
        unit.kind.unwrap_or("other"),
        mark(unit.problems.is_empty() && !unit.instances.is_empty()),
        escaped(&unit.name),
    );
    let versions = if unit.versions.is_empty() { "-".to_owned() } else { unit.versions.join(", ") };
    let changed = unit
        .change
        .as_ref()
        .map_or_else(|| "-".to_owned(), |change| format!("{} by {}", unit.changed(now), change.who));
    let rows = [
        ("version", versions),
        ("last change", changed),
        ("outage", unit.outage()),
        ("last backup", unit.backed_up(now)),
    ];
    html.push_str("<dl>");
    for (name, value) in rows.iter().filter(|(_, value)| value != "-") {
        let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    html.push_str("</dl>\n");
    if unit.instances.is_empty() {
        html.push_str("<ul class=\"problems\"><li>it has no instance</li></ul>\n");
    }
    for it in status.instances.iter().filter(|it| it.owner.as_ref() == Some(&unit.name)) {
        instance(html, it, Some(&unit.name));
    }
    if !unit.keys.is_empty() {
        let noun = if unit.keys.len() == 1 { "key" } else { "keys" };
        let _ = write!(html, "<details><summary>{} Consul {noun}</summary>", unit.keys.len());
        list(html, "keys", &unit.keys);
        html.push_str("</details>\n");
    }
    html.push_str("</article>\n");
}

fn instance(html: &mut String, instance: &Instance, owner: Option<&str>) {
    html.push_str("<div class=\"instance\">\n");
    if !instance.ports.is_empty() {
        html.push_str("<ul class=\"ports\">");
        for it in &instance.ports {
            port(html, it);
        }
        html.push_str("</ul>\n");
    }
    let addresses = instance.addresses.join(", ");
    let _ = writeln!(
        html,
        "<div class=\"box\"><h4>{} {}</h4><p>{} {}</p>",
        mark(instance.problems.is_empty()),
        escaped(&instance.name),
        escaped(&instance.status.to_lowercase()),
        escaped(&addresses)
    );
    list(html, "problems", &instance.problems);
    html.push_str("</div>\n");
    if !instance.mounts.is_empty() {
        html.push_str("<ul class=\"mounts\">");
        for it in &instance.mounts {
            mount(html, it, owner);
        }
        html.push_str("</ul>\n");
    }
    html.push_str("</div>\n");
}

fn port(html: &mut String, port: &Port) {
    let _ = write!(
        html,
        "<li><code>{}</code> <span class=\"to\">→</span> <code>{}</code></li>",
        broken(&port.listen),
        broken(&port.connect)
    );
}

/// What is mounted from the data of another project or module is marked.
fn mount(html: &mut String, mount: &Mount, owner: Option<&str>) {
    let foreign = mount.of().filter(|of| owner.is_some_and(|owner| owner != *of));
    let class = if foreign.is_some() { " class=\"foreign\"" } else { "" };
    let notes = foreign.map(|of| format!("of {of}")).into_iter().chain(mount.read_only.then(|| "read only".to_owned()));
    let notes: Vec<String> = notes.map(|note| format!(" <em>{}</em>", escaped(&note))).collect();
    let _ = write!(
        html,
        "<li{class}><code>{}</code>{} <span class=\"to\">←</span> <code>{}</code></li>",
        broken(&mount.path),
        notes.concat(),
        broken(&mount.source)
    );
}

fn list(html: &mut String, class: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let items: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", broken(item))).collect();
    let _ = writeln!(html, "<ul class=\"{class}\">{}</ul>", items.concat());
}

/// A sign that those see, too, who see no colours.
fn mark(well: bool) -> &'static str {
    if well {
        "<span class=\"mark well\" role=\"img\" aria-label=\"healthy\">✓</span>"
    } else {
        "<span class=\"mark ill\" role=\"img\" aria-label=\"not healthy\">!</span>"
    }
}

/// Foreign text as text.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

/// The same with places where a long path may go on in the next line.
fn broken(text: &str) -> String {
    escaped(text).replace('/', "/<wbr>")
}
