"""One broker as a whole process: gc, threads, signals, logging, and what is printed.

Only here are these set up; an embedded broker leaves its process as it was.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

from .broker import serve
from .config import ConfigError, StartError
from .welcome import welcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cli import Run

GC_THRESHOLDS = (50_000, 20, 50)  # a request leaves no cycles behind; Python's 700 would look for them all the time
SWITCH_INTERVAL_S = 0.0005  # a thread back from a system call gives the loop its turn after this, not after 5 ms
# SIGHUP comes when the terminal is closed; SIGBREAK is Windows' Ctrl-Break, where SIGTERM never comes
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


def run_broker(run: Run) -> int:
    """Serve until a signal comes; the exit status.

    Raises StartError or ConfigError, and KeyboardInterrupt at a second Ctrl-C.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for warning in run.config.warnings:
        logging.getLogger(__name__).warning(warning)
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        trio.run(_until_stopped, run)
    except BaseExceptionGroup as group:
        cause = only_cause(group)
        if isinstance(cause, (ConfigError, StartError, KeyboardInterrupt)):
            raise cause from None
        raise
    return 0


def only_cause(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one exception at the bottom of nested nurseries; None when there are several."""
    cause: BaseException = group
    while isinstance(cause, BaseExceptionGroup):
        if len(cause.exceptions) != 1:
            return None
        cause = cause.exceptions[0]
    return cause


async def _until_stopped(run: Run) -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(stop_on_signal, stop)
        await serve(run.config, memory=run.memory, ready=partial(announce, run), stop=stop)
        nursery.cancel_scope.cancel()


async def stop_on_signal(stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """The first signal sets `stop`; those after it have their usual effect."""
    wanted = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        wanted.remove(signal.SIGHUP)  # nohup
    with trio.open_signal_receiver(*wanted) as signals:
        task_status.started()
        async for _ in signals:
            break
    stop.set()


def announce(run: Run, addresses: Sequence[str]) -> None:
    """Everything answers: say so, first on stdout. `addresses` are HOST:PORT, one for each listener."""
    gc.collect()
    gc.freeze()  # what is there now stays: no collection looks at it again
    line = f"kbroker ready {' '.join(addresses)}\n"
    _say(line)
    if run.ready_fd is not None:
        with contextlib.suppress(OSError), open(run.ready_fd, "w", encoding="ascii") as other:
            other.write(line)
    if run.overrides is not None:
        data = None if run.memory else os.path.abspath(run.config.data_dir)
        _say(welcome(addresses, data, run.overrides))


def _say(text: str) -> None:
    """Print at once. Nobody may be reading any more: a broker does not end for that."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
