"""What one sync round must do for one log: made on the owner's thread, run in another."""

from collections.abc import Sequence

from .files import Files, Lease


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

    def release(self) -> None:
        """Give the leases back; the log does it."""
        for lease in self.leases:
            lease.close()
