"""What is not yet on disk, and what one sync round must do about it.

A `FlushPlan` is made on the owner's thread, run in another, and brought back. Several may be under way; what the log
may call durable advances only past the oldest of them.
"""

from collections.abc import Iterable, Sequence

from .files import File, Files, Lease


class FlushPlan:
    """Syncs what makes the log durable up to `end`: files first, then the folders that name them.

    end          offset; what the log may call durable once the plan has run
    leases       open files with unsynced frames
    paths        small files and indexes, by name
    directories  folders whose entries changed

    A caller with many plans may sync the whole file system instead of running each. Either way the plan goes back to
    its log, to `flushed` or `flush_failed`, on the thread that made it.
    """

    __slots__ = ("_files", "directories", "done", "end", "leases", "paths")

    def __init__(
        self, files: Files, end: int, leases: Sequence[Lease], paths: Sequence[str], directories: Sequence[str]
    ) -> None:
        self._files = files
        self.end = end
        self.leases = leases
        self.paths = paths
        self.directories = directories
        self.done = False

    @property
    def fds(self) -> list[int]:
        """Descriptors of the leased files; empty for files in memory."""
        return [fd for lease in self.leases if (fd := lease.fileno()) >= 0]

    def run(self) -> None:
        """Block until all of it is on disk. Raises OSError, and must not be run again then."""
        for lease in self.leases:
            lease.sync()
        for path in self.paths:
            self._files.sync_path(path)
        for directory in self.directories:
            self._files.sync_directory(directory)


class Unsynced:
    """The files and folders of one log that changed since a plan last took them. Dicts serve as ordered sets."""

    __slots__ = ("_directories", "_files", "_paths", "_plans", "files")

    def __init__(self, files: Files) -> None:
        self._files = files
        self.files: dict[File, None] = {}  # appends write here without a call: `unsynced.files[file] = None`
        self._paths: dict[str, None] = {}
        self._directories: dict[str, None] = {}
        self._plans: list[FlushPlan] = []  # handed out and not yet done, oldest first

    def __bool__(self) -> bool:
        return bool(self.files or self._paths or self._directories)

    def add_path(self, path: str) -> None:
        """A file to be synced by name, with the folder that names it."""
        self._paths[path] = None
        self.add_directory(path.rpartition("/")[0])

    def add_directory(self, path: str) -> None:
        self._directories[path] = None

    def forget(self, file: File | None, paths: Iterable[str]) -> None:
        """These are being removed."""
        if file is not None:
            self.files.pop(file, None)
        for path in paths:
            self._paths.pop(path, None)

    def plan(self, end: int) -> FlushPlan:
        """Take all there is into a plan."""
        leases: list[Lease] = []
        try:
            leases.extend(file.lease() for file in self.files)
        except OSError:
            release(leases)
            raise
        plan = FlushPlan(self._files, end, leases, list(self._paths), list(self._directories))
        self.files, self._paths, self._directories = {}, {}, {}
        self._plans.append(plan)
        return plan

    def done(self, plan: FlushPlan) -> int:
        """The plan is back. The offset up to which none is missing any more; -1 if an older one is under way."""
        release(plan.leases)
        plan.done = True
        end = -1
        while self._plans and self._plans[0].done:
            end = max(end, self._plans.pop(0).end)
        return end

    def cut(self, offset: int) -> None:
        """The log was cut: no plan under way may make more than this durable."""
        for plan in self._plans:
            plan.end = min(plan.end, offset)


def release(leases: Iterable[Lease]) -> None:
    for lease in leases:
        lease.close()
