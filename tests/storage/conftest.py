"""The two real forms of files, each with an empty folder for a log."""

from typing import NamedTuple

import pytest

from kbroker_storage import DiskFiles, Files, Log, LogConfig, MemoryFiles
from kbroker_storage.platform_calls import portable
from storage_frames import FORMAT


class Ground(NamedTuple):
    """Files, and where a log may live in them."""

    files: Files
    directory: str

    def open(self, config: LogConfig | None = None, *, clean: bool = True, **options: int) -> Log:
        config = LogConfig() if config is None else config
        options.setdefault("now_ms", 0)
        return Log.open(self.files, self.directory, FORMAT, config, clean=clean, **options)


@pytest.fixture(params=["disk", "portable", "memory"])
def ground(request, tmp_path):
    if request.param == "memory":
        yield Ground(MemoryFiles(), "/data/topic-0")
        return
    files = DiskFiles() if request.param == "disk" else DiskFiles(limit=2, calls=portable())
    yield Ground(files, f"{tmp_path}/data/topic-0")
    files.close()


@pytest.fixture
def files(ground):
    ground.files.make_directory(ground.directory)
    return ground.files
