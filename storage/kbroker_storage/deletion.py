"""Deleting a log: its folder is renamed at once, and removed later by whoever may wait for that."""

from .files import Files

MAX_NAME_BYTES = 255  # in a file name, on all file systems that matter
SUFFIX = "-delete"


def deleted_name(directory: str, token: str, kind: str = SUFFIX) -> str:
    """Kafka's name for a log that is being deleted: `<topic>-<partition>.<token>-delete`, the first part cut."""
    parent, slash, name = directory.rpartition("/")
    suffix = f".{token}{kind}"
    return f"{parent}{slash}{name[: MAX_NAME_BYTES - len(suffix)]}{suffix}"


def rename_away(files: Files, directory: str, token: str) -> "Removal":
    """Rename a deleted log's folder, if there is one; what is returned removes it. Raises OSError.

    token  32 hexadecimal digits that make the new name unique
    """
    if not files.exists(directory):
        return Removal(files, None)
    renamed = deleted_name(directory, token)
    files.rename(directory, renamed)
    return Removal(files, renamed)


class Removal:
    """Removes the files of a deleted log, or one of a log that goes on.

    path  the renamed folder, or with tree=False the renamed file; None if there never was one
    """

    def __init__(self, files: Files, path: str | None, *, tree: bool = True) -> None:
        self._files, self._tree = files, tree
        self.path = path

    def run(self) -> None:
        """Block until they are gone; may run in a thread. Raises OSError."""
        if self.path is not None:
            if self._tree:  # a power cut may bring the old name back, but never with half of what it named
                self._files.sync_directory(self.path.rpartition("/")[0])
            (self._files.remove_tree if self._tree else self._files.remove)(self.path)
