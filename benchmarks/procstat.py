"""What Linux tells about processes and the machine: CPU time, memory, who listens on a port."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")  # 100: CPU times come in steps of 10 ms
LISTEN = "0A"  # a state in /proc/net/tcp


def _times(pid: int) -> list[int]:
    """utime, stime, cutime, cstime in ticks. Raises FileNotFoundError or ProcessLookupError once it is gone."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(ticks) for ticks in after_name[11:15]]


def family(pid: int) -> list[int]:
    """The process and everything it started that still runs."""
    found, at = [pid], 0
    while at < len(found):
        for task in Path(f"/proc/{found[at]}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                pass  # ended meanwhile
        at += 1
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its family, children that have ended included."""
    ticks = 0
    for each in family(pid):
        try:
            ticks += sum(_times(each))
        except OSError:
            pass
    return ticks / TICKS_PER_S


@dataclass
class CpuUse:
    """CPU seconds of one process between two moments; 0 until the second."""

    seconds: float = 0.0


@contextmanager
def cpu_of(pid: int) -> Iterator[CpuUse]:
    use, before = CpuUse(), cpu_s(pid)
    yield use
    use.seconds = cpu_s(pid) - before


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its family; pages they share are counted for each."""
    total = 0
    for each in family(pid):
        for line in Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def machine_busy_s() -> float:
    """CPU seconds of all processors that were not idle, since boot: user, nice, system, interrupts, stolen."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(ticks) for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def busy_cores(window_s: float) -> float:
    """How many processors are busy just now: the load of a moment, which the kernel's 1-minute average can not show."""
    started, before = time.monotonic(), machine_busy_s()
    time.sleep(window_s)
    return (machine_busy_s() - before) / (time.monotonic() - started)


def listens(pid: int, port: int) -> bool:
    """Does this very process listen on the port? An orphan of an earlier run there would falsify a measurement."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor) in inodes:
                return True
        except FileNotFoundError:
            pass  # closed meanwhile
    return False
