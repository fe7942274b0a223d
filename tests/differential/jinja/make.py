"""Renders the cases with Ansible's own Templar. See `make`."""

import datetime
import json
import os
import sys

root = os.path.realpath(sys.argv[1])
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "False"

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.yaml.objects import AnsibleUnicode
from ansible.playbook.conditional import Conditional
from ansible.plugins.loader import init_plugin_loader
from ansible.template import AnsibleEnvironment, Templar
from ansible.utils.display import Display
from ansible import __version__ as version
import jinja2

init_plugin_loader([])
Display().warning = lambda *args, **kwargs: None
Display().deprecated = lambda *args, **kwargs: None

place = os.path.join(root, "proto-fixtures/jinja")
loader = DataLoader()
loader.set_basedir(place)
os.chdir(place)

VARS = json.load(open(os.path.join(root, "tests/differential/jinja/vars.json")))


def variables():
    made = dict(VARS)
    made["ansible_search_path"] = [place]
    made["playbook_dir"] = place
    made["groups"] = {"all": ["host-1"], "ungrouped": ["host-1"]}
    made["hostvars"] = {"host-1": {}}
    made["inventory_hostname"] = "host-1"
    made["omit"] = "__omit_place_holder__"
    made["vars"] = dict(made)
    return made


def plain(value):
    """Returns what JSON can hold, or raises."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    raise TypeError(type(value).__name__)


def str_key(key):
    return list(json.loads(json.dumps({key: 0})))[0]


def fault(error):
    text = str(error)
    chain = [error]
    while getattr(chain[-1], "orig_exc", None) or chain[-1].__cause__ or chain[-1].__context__:
        chain.append(getattr(chain[-1], "orig_exc", None) or chain[-1].__cause__ or chain[-1].__context__)
        if len(chain) > 20:
            break
    if any(isinstance(it, jinja2.TemplateNotFound) for it in chain):
        return "failed"
    if any(isinstance(it, jinja2.TemplateSyntaxError) for it in chain):
        return "syntax"
    if isinstance(error, AnsibleUndefinedVariable) or "is undefined" in text or "has no attribute" in text and "object" in text:
        return "undefined"
    return "failed"


def render(kind, template):
    templar = Templar(loader, variables=variables())
    if kind == "text":
        return templar.template(template)
    if kind == "condition":
        conditional = Conditional(loader=loader)
        conditional.when = [template]
        return bool(conditional.evaluate_conditional(templar, variables()))
    search = [os.path.join(place, "templates"), place]
    made = variables()
    made["ansible_managed"] = "Ansible managed"
    templar = templar.copy_with_new_env(environment_class=AnsibleEnvironment, searchpath=search, newline_sequence="\n", available_variables=made)
    return templar.do_template(template, preserve_trailing_newlines=True, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": False})


cases, kind = [], None
for line in open(os.path.join(root, "tests/differential/jinja/cases.txt"), encoding="utf-8"):
    line = line.rstrip("\n")
    if line in ("[text]", "[file]", "[condition]"):
        kind = line[1:-1]
        continue
    if not line or line.startswith("# ") and kind != "file":
        continue
    template = line.replace("⏎", "\n")
    case = {"kind": kind, "template": template}
    try:
        case["value"] = plain(render(kind, template))
    except TypeError as error:
        case["fault"] = "failed"
        case["said"] = str(error)
    except Exception as error:
        case["fault"] = fault(error)
        case["said"] = str(error).replace(root, "ROOT")[:300]
    cases.append(case)

out = {"made with": f"ansible-core {version}, Jinja2 {jinja2.__version__}", "vars": VARS, "cases": cases}
with open(os.path.join(root, "proto-fixtures/jinja/expressions.json"), "w", encoding="utf-8") as file:
    json.dump(out, file, ensure_ascii=False, indent=1)
    file.write("\n")
print(f"{len(cases)} cases, {sum('fault' in case for case in cases)} of them faults")
