"""What a report says of the machine and of the versions that were measured."""

import os
import platform
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def described() -> str:
    """Processors, memory and kernel; nothing that names this very machine."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} x {_processor()}, {memory_gib:.0f} GiB, {platform.system()} {kernel}"


def versions() -> str:
    """The commit of kbroker (with + if files differ from it), and the languages."""
    commit = _first_line("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD")
    changed = _first_line("git", "-C", str(REPOSITORY), "status", "--porcelain", "--untracked-files=no")
    java, go = _first_line("java", "-version"), _first_line("go", "version").removeprefix("go version ")
    found = [f"kbroker {commit or 'outside git'}{'+' if changed else ''}", f"Python {platform.python_version()}"]
    return ", ".join(found + [text for text in (java.replace('"', ""), go) if text])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(*command: str) -> str:
    """Of what a command says; empty without that command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).partition("\n")[0] if done.returncode == 0 else ""
