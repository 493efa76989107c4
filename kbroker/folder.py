"""The data folder: whose it is, whether it was closed cleanly, and the checkpoints beside the partitions.

.lock                                 held while a broker runs
meta.properties                       cluster.id, node.id, directory.id (KIP-858)
.kafka_cleanshutdown                  there only after a clean stop
recovery-point-offset-checkpoint      up to where each log is known to be on disk
log-start-offset-checkpoint           where each log begins, if not at its first segment
replication-offset-checkpoint         high watermarks
<topic>-<partition>/                  the logs; partition.metadata names the topic's id
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

from kbroker_storage import Files, Lock, Locked, StorageError
from kbroker_storage.checkpoints import HIGH_WATERMARK, LOG_START, RECOVERY_POINT, OffsetCheckpoint
from kbroker_wire.schema import uuid_from_text, uuid_to_text

from .config import StartError
from .env import Env
from .settings.properties import load_properties

log = logging.getLogger(__name__)

META_PROPERTIES = "meta.properties"
META_VERSION = 1
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
PARTITION_METADATA = "partition.metadata"

Key = tuple[str, int]  # topic, partition
Offsets = Mapping[Key, int]


@dataclass(slots=True)
class DataFolder:
    """An open, locked data folder.

    clean             the last broker here stopped cleanly
    recovery_points, log_starts, high_watermarks   (topic, partition) -> offset, as found at the start
    named             the partitions that the checkpoints on disk may know an offset above 0 of
    """

    files: Files
    path: str
    cluster_id: str
    node_id: int
    directory_id: bytes
    clean: bool
    recovery_points: dict[Key, int]
    log_starts: dict[Key, int]
    high_watermarks: dict[Key, int]
    named: set[Key]
    _lock: Lock

    @classmethod
    def open(cls, env: Env, path: str, node_id: int, cluster_id: str | None) -> DataFolder:
        """Lock `path`, creating it if it is not there, and read whose it is.

        cluster_id   the cluster this folder must belong to; None: whichever it says, a new one for a new folder

        Raises StartError: not writable, in use by another process, of another node or cluster, of a newer format.
        """
        files = env.files
        try:
            for changed in files.make_directory(path):
                files.sync_directory(changed)
            lock = files.lock(f"{path}/.lock")
        except Locked:
            raise StartError(
                f"the data folder {path} is in use by another broker: stop it or choose another folder"
            ) from None
        except OSError as error:
            raise StartError(f"can not use the data folder {path}: {error.strerror or error}") from None
        try:
            cluster, directory_id = _identity(env, path, node_id, cluster_id)
            clean = files.exists(f"{path}/{CLEAN_SHUTDOWN}")
            if clean:
                files.remove(f"{path}/{CLEAN_SHUTDOWN}")
                files.sync_directory(path)  # a mark that comes back after a power cut would lie
            points = _checkpoint(files, f"{path}/{RECOVERY_POINT}")
            starts = _checkpoint(files, f"{path}/{LOG_START}")
            marks = _checkpoint(files, f"{path}/{HIGH_WATERMARK}")
            return cls(
                files=files,
                path=path,
                cluster_id=cluster,
                node_id=node_id,
                directory_id=directory_id,
                clean=clean,
                recovery_points=points,
                log_starts=starts,
                high_watermarks=marks,
                named=_named(points, starts, marks),
                _lock=lock,
            )
        except OSError as error:
            lock.close()
            raise StartError(f"can not use the data folder {path}: {error.strerror or error}") from None
        except BaseException:
            lock.close()
            raise

    @property
    def mixes_up_case(self) -> bool:
        """Whether the disk takes names that differ only in case for the same (as macOS and Windows do by default)."""
        return self.files.exists(f"{self.path}/{META_PROPERTIES.upper()}")

    @property
    def absolute_path(self) -> str:
        """What clients are told."""
        return os.path.abspath(self.path)  # no link is followed, as Kafka does

    def write_checkpoints(self, recovery_points: Offsets, log_starts: Offsets, high_watermarks: Offsets) -> None:
        """Blocking; each file is replaced at once. In a thread: after `will_name` of the same."""
        self.will_name(recovery_points, log_starts, high_watermarks)
        for name, offsets in (
            (RECOVERY_POINT, recovery_points),
            (LOG_START, log_starts),
            (HIGH_WATERMARK, high_watermarks),
        ):
            OffsetCheckpoint(self.files, f"{self.path}/{name}").write(offsets, sync=True)
        self.named = _named(recovery_points, log_starts, high_watermarks)

    def will_name(self, *checkpoints: Offsets) -> None:
        """These are about to be written: whoever deletes one of their partitions from now on must have them written
        anew."""
        self.named = self.named | _named(*checkpoints)

    def forget(self, key: Key) -> None:
        """That partition is gone: what was known of it at the start is not true of another one of its name."""
        for offsets in (self.recovery_points, self.log_starts, self.high_watermarks):
            offsets.pop(key, None)

    def close(self, clean: bool, broker_epoch: int) -> None:
        """Unlock; `clean`: everything is on disk, and the next start may believe the checkpoints."""
        try:
            if clean:
                mark = json.dumps({"version": 0, "brokerEpoch": broker_epoch}).encode()
                self.files.replace(f"{self.path}/{CLEAN_SHUTDOWN}", mark, sync=True)
        finally:
            self._lock.close()

    def abandon(self) -> None:
        """Unlock and leave everything as after a crash; nothing happens after `close`."""
        self._lock.close()

    def write_partition_metadata(self, directory: str, topic_id: bytes) -> None:
        """To be synced with the log's first records: a folder that comes back after a power cut is not taken for that
        of a newer topic of its name."""
        text = f"version: 0\ntopic_id: {uuid_to_text(topic_id)}"
        self.files.replace(f"{self.path}/{directory}/{PARTITION_METADATA}", text.encode(), sync=False)

    def topic_id_of(self, directory: str) -> bytes | None:
        """The topic id that a partition's folder names; None if it names none that can be read."""
        try:
            text = self.files.read(f"{self.path}/{directory}/{PARTITION_METADATA}").decode()
            fields = dict(line.split(": ", 1) for line in text.splitlines())
            return uuid_from_text(fields["topic_id"])
        except (OSError, ValueError, KeyError):
            return None


def _identity(env: Env, path: str, node_id: int, cluster_id: str | None) -> tuple[str, bytes]:
    """(cluster id, directory id) of meta.properties, which is written if it is not there."""
    file = f"{path}/{META_PROPERTIES}"
    try:
        found = load_properties(env.files.read(file))
    except FileNotFoundError:
        cluster, directory = cluster_id or uuid_to_text(env.new_uuid()), env.new_uuid()
        lines = {
            "cluster.id": cluster,
            "directory.id": uuid_to_text(directory),
            "node.id": str(node_id),
            "version": str(META_VERSION),
        }
        text = "#\n" + "".join(f"{key}={value}\n" for key, value in lines.items())
        env.files.replace(file, text.encode(), sync=True)
        return cluster, directory
    version = found.get("version")
    if version is None:
        raise StartError(
            f"{file} names no format version: it is damaged; put a copy in its place, or use another folder"
        )
    if version != str(META_VERSION):
        raise StartError(
            f"the data folder {path} has format version {version}, this kbroker knows version {META_VERSION}: "
            "use the kbroker that wrote it, or another folder"
        )
    if found.get("node.id") != str(node_id):
        raise StartError(
            f"the data folder {path} belongs to node {found.get('node.id')}, this is node {node_id}: "
            "set node.id or choose another folder"
        )
    cluster = found.get("cluster.id", "")
    if cluster_id is not None and cluster != cluster_id:
        raise StartError(
            f"the data folder {path} belongs to cluster {cluster}, this broker to {cluster_id}: choose another folder"
        )
    try:
        return cluster, uuid_from_text(found["directory.id"])
    except (KeyError, ValueError):
        raise StartError(f"{file} has no readable directory.id") from None


def _named(*checkpoints: Offsets) -> set[Key]:
    return {key for offsets in checkpoints for key, offset in offsets.items() if offset}


def _checkpoint(files: Files, path: str) -> dict[Key, int]:
    """An unreadable checkpoint is as good as none: recovery then starts at the beginning."""
    try:
        return OffsetCheckpoint(files, path).read()
    except StorageError as error:
        log.warning("%s can not be read and is ignored: %s", path, error)
        return {}
