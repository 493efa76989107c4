"""Measures kbroker side by side with its peers.

    python benchmarks/run.py --quick                     about two minutes
    python benchmarks/run.py --full --write-readme       about fifteen
    python benchmarks/run.py --rows produce,fetch --peers kbroker,apache-kafka --rounds 3

Runs from the development environment. What it needs beyond Python: cc; java for Apache Kafka; go for franz-go and
kfake. What is missing is reported as absent. See README.md for the rows and the method.
"""

import argparse
import datetime
import os
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compat-tests"))

import build
import machine
import report
from batches import GIB, MIB
from bench import Bench, Form
from figures import Row
from peers import KBROKER, KINDS, Ports
from rounds import Measured, measure
from rows import ROWS

HERE = Path(__file__).resolve().parent
FORMS = {
    "quick": Form(
        name="quick",
        rounds=3,
        round_s=0.4,
        verified_bytes=16 * MIB,
        round_bytes=512 * MIB,
        warm_up_jvm_s=6.0,
        warm_up_s=1.0,
        touched_bytes=GIB,
        log_bytes=256 * MIB,
        memory_load_bytes=0,
        records=100_000,
        latency_count=200,
        quiet_s=1.0,
        patience_s=45.0,
    ),
    "full": Form(
        name="full",
        rounds=5,
        round_s=0.7,
        verified_bytes=64 * MIB,
        round_bytes=2 * GIB,
        warm_up_jvm_s=20.0,
        warm_up_s=3.0,
        touched_bytes=4 * GIB,
        log_bytes=512 * MIB,
        memory_load_bytes=10 * GIB,
        records=300_000,
        latency_count=800,
        quiet_s=2.5,
        patience_s=180.0,
    ),
}
FREE_BYTES = 16 * GIB  # the most a run has on disk at one time is about 12


def main() -> int:
    wanted = _command_line().parse_args()
    form = FORMS["full" if wanted.full else "quick"]
    rows = _chosen_rows(wanted.rows, form)
    peers = _chosen_peers(wanted.peers)
    build.kload()
    _allow_many_descriptors()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that peers are stopped and folders removed
    load_average, started = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kbroker-bench-", dir=wanted.folder) as folder:
        if shutil.disk_usage(folder).free < FREE_BYTES:
            raise SystemExit(f"{folder} has less than {FREE_BYTES // GIB} GiB free: name another folder with --folder")
        bench = Bench(form, Path(folder), Ports(wanted.first_port))
        try:
            measured = _measure_all(bench, rows, peers, wanted.rounds)
        finally:
            bench.close()
    setting = report.Setting(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        form=form.name,
        command=shlex.join(["python", "benchmarks/run.py", *sys.argv[1:]]),
        machine=machine.described(),
        versions=machine.versions(),
        load_average=load_average,
        minutes=(time.monotonic() - started) / 60,
    )
    text = report.write(wanted.out, setting, measured)
    print(f"\n{text}\nwritten to {wanted.out}")
    if wanted.write_readme:
        report.write_into_readme(HERE / "README.md", text)
    return 1 if any(name.startswith(KBROKER) for each in measured for name in each.failed) else 0


def _command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measures kbroker side by side with its peers.")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="about two minutes (default)")
    length.add_argument("--full", action="store_true", help="about fifteen minutes")
    families = ", ".join(dict.fromkeys(row.family for row in ROWS))
    parser.add_argument("--rows", default="", help=f"families or parts of row names, by comma; families: {families}")
    parser.add_argument("--peers", default=",".join(KINDS), help=f"by comma (default all): {', '.join(KINDS)}")
    parser.add_argument("--rounds", type=int, default=0, help="in place of the form's own number")
    parser.add_argument("--folder", default=None, help="where brokers keep their data (default: the temporary folder)")
    parser.add_argument("--first-port", type=int, default=0, help="ports are counted up from here (default: any)")
    parser.add_argument("--out", type=Path, default=HERE / "build" / "results", help="for report.md and report.json")
    parser.add_argument("--write-readme", action="store_true", help="put the report into benchmarks/README.md as well")
    return parser


def _chosen_rows(text: str, form: Form) -> list[Row]:
    """The rows named on the command line, else all that are part of the form."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not any(_is_named(row, word) for row in ROWS):
            raise SystemExit(f"no row is called {word!r}; see --help")
    named = [row for row in ROWS if any(_is_named(row, word) for word in words)]
    if form.name == "full":
        return named or list(ROWS)
    return [row.shortened() for row in named or ROWS if named or row.quick]


def _is_named(row: Row, word: str) -> bool:
    return word == row.family or word in row.name


def _chosen_peers(text: str) -> frozenset[str]:
    chosen = frozenset(word.strip() for word in text.split(",") if word.strip())
    if unknown := chosen - set(KINDS):
        raise SystemExit(f"no peer is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    return chosen


def _measure_all(bench: Bench, rows: list[Row], chosen: frozenset[str], rounds: int) -> list[Measured]:
    _touch_page_cache(bench)
    _start_peers(bench, rows, chosen)
    measured = []
    for number, row in enumerate(rows, 1):
        if not any(later.shared for later in rows[number - 1 :]):
            bench.close()
        print(f"[{number}/{len(rows)}] {row.name}", file=sys.stderr)
        measured.append(measure(bench, row, chosen, rounds or _rounds(row, bench.form)))
    return measured


def _start_peers(bench: Bench, rows: list[Row], chosen: frozenset[str]) -> None:
    """All that run throughout are started and warm before the first round; its rows say which can not take part."""
    for name in KINDS:
        if name in chosen and any(row.shared and name in row.subjects for row in rows):
            print(f"starting and warming up {name}", file=sys.stderr)
            try:
                bench.peer(name)
            except RuntimeError as reason:
                print(f"  {name} can not take part: {reason}", file=sys.stderr)


def _rounds(row: Row, form: Form) -> int:
    own = row.rounds or (form.rounds, form.rounds)
    return own[0] if form.name == "quick" else own[1]


def _touch_page_cache(bench: Bench) -> None:
    """Writes and removes as much as the logs will need, so that their pages are not the first use of that memory."""
    path, chunk = bench.folder / "touched", bytes(MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(bench.form.touched_bytes // MIB):
            file.write(chunk)
    path.unlink()


def _allow_many_descriptors() -> None:
    """For 2,000 connections, here and in the brokers, which inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if most != resource.RLIM_INFINITY else 1 << 16, most))


if __name__ == "__main__":
    sys.exit(main())
