"""Builds the load generator (C) and the Go programs into build/, which git ignores."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
C_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread")


class BuildFailed(RuntimeError):
    """A compiler is missing or failed; the message says which, and what it said."""


@cache
def kload() -> Path:
    """The load generator, compiled if a source is newer than it."""
    program, sources = BUILD / "kload", sorted((HERE / "kload").glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return program
    BUILD.mkdir(exist_ok=True)
    unfinished = BUILD / "kload.unfinished"
    _run(["cc", *C_FLAGS, "-o", str(unfinished), *(str(source) for source in sources if source.suffix == ".c")], HERE)
    return unfinished.replace(program)


@cache
def go_program(name: str) -> Path:
    """A program of go/, built from the modules that go.sum pins."""
    BUILD.mkdir(exist_ok=True)
    _run(["go", "build", "-o", str(BUILD / name), f"./{name}"], HERE / "go")
    return BUILD / name


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise BuildFailed(f"{command[0]} is not on PATH")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BuildFailed(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
