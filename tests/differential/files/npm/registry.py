"""Makes a registry of packages of Node.js, the same each time, and says nothing."""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile

ROOT = "/srv/registry"
PACKAGES = {
    "left": {"1.0.0": {}, "1.1.0": {}, "2.0.0": {}},
    "right": {"1.0.0": {"left": "^1.0.0"}},
    "tool": {"0.1.0": {}},
}

os.makedirs(ROOT + "/tarballs", exist_ok=True)
for name, versions in PACKAGES.items():
    about = {"name": name, "dist-tags": {"latest": list(versions)[-1]}, "versions": {}}
    for version, needs in versions.items():
        package = {"name": name, "version": version, "license": "MIT", "dependencies": needs, "main": "index.js"}
        if name == "tool":
            package["bin"] = {"tool": "index.js"}
        text = io.BytesIO()
        with tarfile.open(fileobj=text, mode="w") as archive:
            for path, content in [("package.json", json.dumps(package)), ("index.js", "#!/usr/bin/env node\n")]:
                member = tarfile.TarInfo("package/" + path)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content.encode()))
        data = gzip.compress(text.getvalue(), mtime=0)
        file = "tarballs/%s-%s.tgz" % (name, version)
        with open(os.path.join(ROOT, file), "wb") as out:
            out.write(data)
        package["dist"] = {
            "tarball": "http://127.0.0.1:4873/" + file,
            "shasum": hashlib.sha1(data).hexdigest(),
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
        }
        about["versions"][version] = package
    with open(os.path.join(ROOT, name), "w") as out:
        json.dump(about, out)
