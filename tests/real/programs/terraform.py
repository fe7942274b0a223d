#!/usr/bin/python3
"""Stands in for Terraform with the providers `lxd` 1.5 and `consul` 2.12: what they make of the tiny repositories.

Beside it stand what each repository wants (`REPOSITORY.json`) and the calls (`calls`). As the real one, it makes another
instance when image or configuration differ from what it knows, and knows nothing of labels.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def lxc(*words, text=None):
    return subprocess.run(["lxc", *words], input=text, text=True, check=True, stdout=subprocess.PIPE).stdout


def tell(kind, action, name):
    hook = {"resource": {"addr": f"lxd_container.{name}"}, "action": action}
    print(json.dumps({"@level": "info", "@message": f"lxd_container.{name}: {action}", "hook": hook, "type": kind}), flush=True)


def fail(message):
    diagnostic = {"severity": "error", "summary": message, "detail": ""}
    print(json.dumps({"@level": "error", "@message": f"Error: {message}", "diagnostic": diagnostic, "type": "diagnostic"}))
    sys.exit(1)


def act(action, name, work):
    tell("apply_start", action, name)
    work()
    tell("apply_complete", action, name)


def make(name, image, wanted):
    lxc("init", image, name, text=json.dumps({"config": wanted["config"], "devices": wanted["devices"]}))
    lxc("start", name)
    while not any(
        address["family"] == "inet" and device != "lo"
        for device, about in (json.loads(lxc("query", f"/1.0/instances/{name}/state"))["network"] or {}).items()
        for address in about["addresses"]
    ):
        time.sleep(0.2)


def apply(repository, host, version):
    with open(f"{HERE}/{repository}.json") as file:
        wanted = json.load(file)
    name, image = wanted["name"], f"{repository}-{wanted['name']}-{version}"
    path = f"terraform.tfstate.d/{os.environ['TF_WORKSPACE']}/terraform.tfstate"
    known = json.load(open(path))["image"] if os.path.exists(path) else None
    there = next((it for it in json.loads(lxc("list", "--format", "json")) if it["name"] == name), None)
    if there and not known:
        fail(f"instance {name} exists already")
    if known and not there:
        fail(f"the state speaks of instance {name}, which is gone")
    if there:
        config = {key: value for key, value in there["config"].items() if key.startswith(("user.", "security."))}
        if known != image or config != wanted["config"]:
            act("delete", name, lambda: lxc("delete", "--force", name))
            there = None
    if not there:
        act("create", name, lambda: make(name, image, wanted))
    with open(path, "w") as file:
        json.dump({"image": image}, file)
    if os.path.exists(f"{HERE}/fails"):
        fail("no")
    for key, value in wanted["keys"].items():
        request = urllib.request.Request(f"{wanted['consul']}/v1/kv/{key}", data=value.encode(), method="PUT")
        urllib.request.urlopen(request).close()


def main(words):
    if words == ["--version"]:
        print("Terraform v1.11.4")
        return
    directory = words[0].removeprefix("-chdir=")
    os.chdir(directory)
    repository = os.path.basename(os.path.dirname(directory))
    with open(f"{HERE}/calls", "a") as calls:
        print(repository, *words[1:], file=calls)
    match words[1:]:
        case ["workspace", "new", host]:
            os.makedirs(f"terraform.tfstate.d/{host}")
        case ["workspace", "select", host]:
            os.stat(f"terraform.tfstate.d/{host}")
        case ["init", *_]:
            pass
        case ["apply", *options]:
            given = dict(option.split("=", 1) for option in options if not option.startswith("-"))
            apply(repository, given["host_id"], given["image_version"])
        case _:
            fail(f"what is {words}?")


main(sys.argv[1:])
