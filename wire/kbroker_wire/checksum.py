"""CRC-32C (Castagnoli), the checksum of record batches: the one door to the `crc32c` package.

Importing that package costs about 40 ms, nearly all of it for importlib.metadata, which it asks for its own version;
its extension module costs 1 ms. So the extension is loaded by its file, and the package only where that fails.
"""

from importlib.machinery import ExtensionFileLoader, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Crc32c(Protocol):
    """CRC-32C of `data`, continuing from `value`: any contiguous buffer; large ones are summed without the GIL."""

    def __call__(self, data: "Buffer", value: int = 0, /) -> int: ...


def _extension() -> ModuleType | None:
    """The compiled module of the crc32c package without the package around it; None if it is not where it was."""
    package = PathFinder.find_spec("crc32c")
    if package is None or package.submodule_search_locations is None:
        return None
    spec = PathFinder.find_spec("crc32c._crc32c", package.submodule_search_locations)
    if spec is None or not isinstance(spec.loader, ExtensionFileLoader):
        return None
    module = spec.loader.create_module(spec)
    spec.loader.exec_module(module)
    return module


def _load() -> Crc32c:
    found: Crc32c | None = getattr(_extension(), "crc32c", None)
    if found is not None:
        return found
    import crc32c as package  # noqa: PLC0415 - the slow way in

    return package.crc32c


crc32c: Crc32c = _load()
