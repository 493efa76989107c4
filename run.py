#!/usr/bin/env python3
"""From a fresh clone to a running broker or a test run, with nothing but Python 3.11 and its venv module.

    python3 run.py dev [OPTIONS]       a broker for development; options as of `kbroker dev`
    python3 run.py serve [OPTIONS]     a durable broker; options as of `kbroker serve`
    python3 run.py group|txn ...       look at groups, transactions; arguments as of the `kbroker` commands
    python3 run.py test [OPTIONS]      the tests; options as of pytest
    python3 run.py check               the static checks
    python3 run.py docs                what the documentation says of the code's tables, written anew
    python3 run.py lock                pin the development dependencies anew (needs uv)

The environment is `.venv` beside this file. It is made on the first run, and again when requirements-dev.txt changes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = HERE / "requirements-dev.txt"
STAMP = VENV / "installed"  # holds the hash of what was installed
NEEDED = (3, 11)


def main() -> int:
    command, *rest = sys.argv[1:] or [""]
    if command in {"dev", "serve", "group", "txn"}:
        return run("kbroker", command, *rest)
    if command == "test":
        return run("pytest", *(rest or ["-q"]))
    if command == "check":
        install()
        return subprocess.call([str(HERE / ".ci" / "check")])
    if command == "docs":
        return run("python", str(HERE / "docs" / "generate.py"))
    if command == "lock":
        return lock()
    print(__doc__)
    return 2


def run(program: str, *arguments: str) -> int:
    """The program of the environment in place of this process, so that signals and descriptors are its own."""
    install()
    path = str(BIN / program)
    if os.name != "nt":
        os.execv(path, [path, *arguments])
    return subprocess.call([path, *arguments])


def install() -> None:
    """Make or renew the environment; ends the process with status 1 and a sentence when it can not."""
    if sys.version_info < NEEDED:
        sys.exit(f"kbroker needs Python {NEEDED[0]}.{NEEDED[1]} or newer; this is {sys.version.split()[0]}")
    wanted = hashlib.sha256(LOCK.read_bytes() + (HERE / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    try:
        import ensurepip  # noqa: F401, PLC0415  # Debian leaves it out of python3: venv would fail half-way
        import venv  # noqa: PLC0415
    except ImportError:
        sys.exit("Python's venv module is missing: install it (on Debian: apt-get install python3-venv) and try again")
    print("making .venv (once)", file=sys.stderr, flush=True)
    venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(VENV)
    pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for arguments in (
        ["--require-hashes", "-r", str(LOCK)],
        ["--no-deps", "--no-build-isolation", "-e", str(HERE)],
    ):
        if subprocess.call([*pip, *arguments], stdout=sys.stderr):
            sys.exit("the environment could not be made; pip says above why")
    STAMP.write_text(wanted)


def lock() -> int:
    options = ["--extra", "dev", "--generate-hashes", "--universal", "--no-emit-index-url", "--no-annotate", "--quiet"]
    named = {
        "--python-version": ".".join(map(str, NEEDED)),
        "--custom-compile-command": "python3 run.py lock",
        "--output-file": LOCK.name,
    }
    pairs = [word for pair in named.items() for word in pair]
    return subprocess.call(["uv", "pip", "compile", "pyproject.toml", *options, *pairs], cwd=HERE)


if __name__ == "__main__":
    sys.exit(main())
