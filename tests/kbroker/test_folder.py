"""The data folder: whose it is, its lock, its checkpoints, and the disk it lies on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker_in_memory import running, topic_request
from kbroker.config import StartError
from kbroker.env import Env
from kbroker.folder import CLEAN_SHUTDOWN, DataFolder
from kbroker_storage import DiskFiles, MemoryFiles
from kbroker_wire import ErrorCode


@pytest.fixture(params=["disk", "memory"])
def env(request, tmp_path):
    files = DiskFiles() if request.param == "disk" else MemoryFiles()
    return replace(Env.in_memory(), files=files)


@pytest.fixture
def path(tmp_path):
    return f"{tmp_path}/data"


def test_a_new_folder_gets_an_identity_that_stays(env, path):
    first = DataFolder.open(env, path, 7, None)
    first.close(clean=True, broker_epoch=3)
    lines = env.files.read(f"{path}/meta.properties").decode().splitlines()
    assert {"version=1", "node.id=7", f"cluster.id={first.cluster_id}"} <= set(lines)
    second = DataFolder.open(env, path, 7, first.cluster_id)
    assert (second.cluster_id, second.directory_id) == (first.cluster_id, first.directory_id)
    second.abandon()


def test_a_folder_may_be_made_for_a_cluster_that_exists(env, path):
    folder = DataFolder.open(env, path, 1, "AAAAAAAAAAAAAAAAAAAAAQ")
    assert folder.cluster_id == "AAAAAAAAAAAAAAAAAAAAAQ"
    folder.abandon()


@pytest.mark.parametrize(
    ("node", "cluster", "old", "new", "said"),
    [
        (8, None, "", "", "belongs to node 7, this is node 8"),
        (7, "other", "", "", "this broker to other"),
        (7, None, "version=1", "version=9", "format version 9"),
        (7, None, "version=1", "", "names no format version: it is damaged"),
        (7, None, "directory.id=", "directory.id=?", "no readable directory.id"),
        (7, None, "directory.id=", "nothing=", "no readable directory.id"),
    ],
)
def test_a_folder_that_is_not_this_brokers_is_refused_and_let_go(env, path, node, cluster, old, new, said):
    DataFolder.open(env, path, 7, None).close(clean=True, broker_epoch=0)
    file = f"{path}/meta.properties"
    env.files.replace(file, env.files.read(file).replace(old.encode(), new.encode()), sync=False)
    for _ in range(2):  # twice: the first refusal leaves no lock
        with pytest.raises(StartError, match="data") as refused:
            DataFolder.open(env, path, node, cluster)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_folder_belongs_to_one_broker_at_a_time(env, path):
    folder = DataFolder.open(env, path, 1, None)
    with pytest.raises(StartError, match="in use by another broker"):
        DataFolder.open(env, path, 1, None)
    folder.abandon()
    DataFolder.open(env, path, 1, None).abandon()


def test_only_a_clean_stop_leaves_the_mark_and_a_start_takes_it_away(env, path):
    folder = DataFolder.open(env, path, 1, None)
    assert not folder.clean
    folder.close(clean=True, broker_epoch=12)
    assert env.files.read(f"{path}/{CLEAN_SHUTDOWN}") == b'{"version": 0, "brokerEpoch": 12}'
    folder = DataFolder.open(env, path, 1, None)
    assert folder.clean
    assert not env.files.exists(f"{path}/{CLEAN_SHUTDOWN}")
    folder.close(clean=False, broker_epoch=12)
    folder = DataFolder.open(env, path, 1, None)
    assert not folder.clean
    folder.abandon()


def test_checkpoints_come_back_and_a_broken_one_is_as_good_as_none(env, path, caplog):
    folder = DataFolder.open(env, path, 1, None)
    folder.write_checkpoints({("a.b", 0): 5, ("t", 3): 7}, {("t", 3): 1}, {("t", 3): 6})
    folder.abandon()
    folder = DataFolder.open(env, path, 1, None)
    assert folder.recovery_points == {("a.b", 0): 5, ("t", 3): 7}
    assert (folder.log_starts, folder.high_watermarks) == ({("t", 3): 1}, {("t", 3): 6})
    folder.abandon()
    env.files.replace(f"{path}/recovery-point-offset-checkpoint", b"0\nmany\n", sync=False)
    folder = DataFolder.open(env, path, 1, None)
    assert folder.recovery_points == {}
    assert "recovery-point-offset-checkpoint can not be read" in caplog.text
    folder.abandon()


def test_a_partitions_folder_names_its_topic(env, path):
    folder = DataFolder.open(env, path, 1, None)
    env.files.make_directory(f"{path}/t-0")
    assert folder.topic_id_of("t-0") is None
    folder.write_partition_metadata("t-0", bytes(range(16)))
    assert folder.topic_id_of("t-0") == bytes(range(16))
    env.files.replace(f"{path}/t-0/partition.metadata", b"version: 0\ntopic_id: \xff", sync=False)
    assert folder.topic_id_of("t-0") is None
    folder.abandon()


class CaseBlind(MemoryFiles):
    """Finds a name in whatever case it is asked for, as the disks of macOS and Windows do."""

    def exists(self, path):
        folder, _, name = path.rpartition("/")
        names = self.entries(folder) if super().exists(folder) else ()
        return super().exists(path) or name.lower() in {each.lower() for each in names}


@pytest.mark.parametrize(("files", "refused"), [(MemoryFiles, False), (CaseBlind, True)])
async def test_topics_whose_names_differ_only_in_case_are_refused_on_a_disk_that_mixes_them_up(files, refused):
    async with running(env=replace(Env.in_memory(), files=files())) as node:
        await node.create("Orders")
        [row] = (await node.connect().ask(topic_request("orders"))).topics
        if refused:
            assert row.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
            assert row.error_message == "Topic 'orders' collides with existing topic: Orders"
        else:
            assert row.error_code == ErrorCode.NONE


def test_this_disk_tells_case_apart_or_does_not(env, path):
    folder = DataFolder.open(env, path, 1, None)
    env.files.replace(f"{path}/Probe", b"", sync=False)
    assert folder.mixes_up_case == env.files.exists(f"{path}/pROBE")
    folder.abandon()
