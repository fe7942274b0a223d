"""Plays the cases. See `make`."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ansible, root, chosen = sys.argv[1], os.path.realpath(sys.argv[2]), sys.argv[3:]


def tree(directory):
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            mode = format(os.stat(path).st_mode & 0o7777, "04o")
            text = open(path, encoding="utf-8").read().replace(directory, "OUT")
            found[os.path.relpath(path, directory)] = {"mode": mode, "text": text}
    return found


def recap(text):
    hosts = {}
    for host, counts in re.findall(r"^(\S+) +: (ok=.*)$", text, re.M):
        hosts[host] = {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", counts)}
    return hosts


def outcome(case, flags):
    with tempfile.TemporaryDirectory() as out:
        os.mkdir(os.path.join(out, "inventory"))
        command = [f"{ansible}/bin/ansible-playbook", "-i", f"{root}/hosts.ini", "-e", f"out={out}", "-e", "extra=extra"]
        ran = subprocess.run(
            command + [word.replace("OUT", out) for word in shlex.split(flags)] + ["site.yml"],
            cwd=os.path.join(root, case),
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "False", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
        )
        if os.environ.get("SHOW"):
            print(ran.stdout, ran.stderr)
        return {"recap": recap(ran.stdout), "failed": ran.returncode != 0, "files": tree(out)}


for case in sorted(os.listdir(root)):
    place = os.path.join(root, case)
    if not os.path.isdir(place) or (chosen and case not in chosen):
        continue
    flags = os.path.join(place, "flags")
    if os.path.exists(flags):
        result = {line: outcome(case, line) for line in open(flags).read().splitlines()}
    else:
        result = outcome(case, "")
    with open(os.path.join(place, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")
    print(case)

place = os.path.join(root, "tags")
listed = {}
for flags in ["--list-tasks", "--list-tags", "--list-tasks --tags one"]:
    command = [f"{ansible}/bin/ansible-playbook", "-i", f"{root}/hosts.ini"] + shlex.split(flags) + ["site.yml"]
    listed[flags] = subprocess.run(command, cwd=place, capture_output=True, text=True).stdout
with open(os.path.join(place, "listed.json"), "w") as file:
    json.dump(listed, file, indent=2)
    file.write("\n")
