"""Makes packages of Python, the same each time."""

import os
import zipfile

PACKAGES = [("left", "1.0", ""), ("left", "2.0", ""), ("right_pad", "1.5", "left>=1.0"), ("both", "0.1", "")]

os.makedirs("/srv/wheels", exist_ok=True)
for name, version, needs in PACKAGES:
    about = "%s-%s.dist-info" % (name, version)
    head = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name.replace("_", "-"), version)
    files = {
        "%s.py" % name: "VERSION = %r\n" % version,
        about + "/METADATA": head + ("Requires-Dist: %s\n" % needs if needs else ""),
        about + "/WHEEL": "Wheel-Version: 1.0\nGenerator: case\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[about + "/RECORD"] = "".join("%s,,\n" % path for path in [*files, about + "/RECORD"])
    with zipfile.ZipFile("/srv/wheels/%s-%s-py3-none-any.whl" % (name, version), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path), text)

os.makedirs("/srv/source", exist_ok=True)
with open("/srv/source/setup.py", "w") as file:
    file.write("from setuptools import setup\nsetup(name='source', version='3.0', py_modules=['source'])\n")
with open("/srv/source/source.py", "w") as file:
    file.write("VERSION = '3.0'\n")
