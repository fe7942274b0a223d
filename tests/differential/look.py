"""Tells what a machine is: every file, package and unit, as one JSON object."""

import hashlib
import json
import os
import stat
import subprocess

# What differs from one boot, one package list or one tool to the next.
PASSING = (
    "/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/log", "/var/cache", "/var/lib/apt/lists",
    "/var/lib/apt/extended_states", "/var/lib/dpkg", "/var/lib/systemd", "/var/lib/private", "/var/lib/ryo",
    "/var/lib/cloud", "/var/lib/dhcp", "/root/.ansible", "/root/.cache", "/root/results.json", "/etc/machine-id",
    "/etc/ld.so.cache", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/python3", "/var/lib/ucf", "/etc/mtab",
    "/var/lib/mysql", "/var/lib/postgresql", "/var/backups",
)


# Holds for every account the day on which its password was set: the two may be asked on two days. 0 asks for a new one.
SHADOW = ("/etc/shadow", "/etc/shadow-")


def without_days(content):
    rows = [row.split(b":") for row in content.split(b"\n")]
    for row in rows:
        if len(row) > 2 and row[2] not in (b"", b"0"):
            row[2] = b"day"
    return b"\n".join(b":".join(row) for row in rows)


def entry(path):
    about = os.lstat(path)
    kind = stat.S_IFMT(about.st_mode)
    told = {"mode": oct(about.st_mode), "uid": about.st_uid, "gid": about.st_gid}
    if stat.S_ISLNK(kind):
        told["target"] = os.readlink(path)
    elif stat.S_ISREG(kind):
        told["links"] = about.st_nlink
        with open(path, "rb") as file:
            content = file.read()
        if path in SHADOW:
            content = without_days(content)
        told["sha1"] = hashlib.sha1(content).hexdigest()
        if len(content) < 400:
            told["text"] = content.decode("utf-8", "replace")
    return told


def files():
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders
                      if not os.path.join(folder, name).startswith(PASSING) and name != "__pycache__"]
        for name in folders + names:
            path = os.path.join(folder, name)
            if not path.startswith(PASSING):
                yield path, entry(path)


def lines(*words):
    text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return [line.split() for line in text.splitlines() if line.strip()]


found = dict(files())
for words in lines("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n"):
    found["package " + words[0]] = " ".join(words[1:])
for words in lines("systemctl", "list-unit-files", "--no-legend", "--no-pager"):
    found["unit file " + words[0]] = words[1]
for words in lines("systemctl", "list-units", "--all", "--type=service", "--plain", "--no-legend", "--no-pager"):
    # A unit that is not loaded any more has not been asked for since.
    if words[2] != "inactive" and not words[0].startswith(("session-", "user@", "user-runtime-dir@", "systemd-")):
        found["unit " + words[0]] = words[2]
print(json.dumps(found))
