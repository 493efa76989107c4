"""Files that fail on demand, over files in memory: the n-th call of a kind raises, a write after some of its bytes."""

import errno
from collections import Counter

from kbroker_storage import MemoryFiles


class FaultyFiles:
    """See kbroker_storage.Files. `calls` counts by kind; `fail(kind, nth)` makes the nth from now on fail.

    The kinds: open create append read truncate sync replace rename remove sync_path sync_directory make_directory.
    """

    def __init__(self, inner=None):
        self.inner = MemoryFiles() if inner is None else inner
        self.calls = Counter()
        self.plans = []

    def fail(self, kind, nth=1, number=errno.ENOSPC, *, partial=0, every=False):
        self.plans.append((kind, self.calls[kind] + nth, number, partial, every))

    def heal(self):
        self.plans.clear()

    def step(self, kind):
        """Count a call; how many bytes to write before failing, or None."""
        self.calls[kind] += 1
        for plan in self.plans:
            planned, at, number, partial, every = plan
            if planned == kind and (self.calls[kind] == at or (every and self.calls[kind] > at)):
                return number, partial
        return None

    def check(self, kind):
        planned = self.step(kind)
        if planned is not None:
            raise OSError(planned[0], f"injected at {kind}")

    def open(self, path, *, create=False):
        self.check("create" if create else "open")
        return FaultyFile(self, self.inner.open(path, create=create))

    def replace(self, path, data, *, sync):
        self.check("replace")
        self.inner.replace(path, data, sync=sync)

    def __getattr__(self, name):
        inner = getattr(self.inner, name)
        if name not in {"make_directory", "rename", "remove", "sync_path", "sync_directory"}:
            return inner

        def call(*arguments):
            self.check(name)
            return inner(*arguments)

        return call


class FaultyFile:
    def __init__(self, files, inner):
        self.files, self.inner = files, inner

    def append(self, buffers, nbytes, position):
        planned = self.files.step("append")
        if planned is not None:
            number, partial = planned
            data = b"".join(buffers)[:partial]
            self.inner.append([data], len(data), position)
            raise OSError(number, "injected at append")
        self.inner.append(buffers, nbytes, position)

    def lease(self):
        return FaultyLease(self.files, self.inner.lease())

    def __getattr__(self, name):
        inner = getattr(self.inner, name)
        if name not in {"read", "truncate", "sync", "remove"}:
            return inner

        def call(*arguments):
            self.files.check(name)
            return inner(*arguments)

        return call

    @property
    def path(self):
        return self.inner.path


class FaultyLease:
    def __init__(self, files, inner):
        self.files, self.inner = files, inner

    def sync(self):
        self.files.check("sync")
        self.inner.sync()

    def write_back(self):
        self.inner.write_back()

    def fileno(self):
        return self.inner.fileno()

    def close(self):
        self.inner.close()
