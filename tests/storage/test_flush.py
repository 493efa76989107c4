"""What a plan covers, and what the log may call durable when plans come back in any order."""

import pytest

from kbroker_storage import DiskFiles, Log, LogConfig, Poisoned
from kbroker_storage.platform_calls import native
from storage_faults import FaultyFiles
from storage_frames import FORMAT, build, entry_of


def append(log, value=b"x"):
    return log.append_leader([entry_of(build([value]))], 0, 0)


def test_the_first_plan_syncs_the_file_the_folder_and_the_folders_above(ground):
    log = ground.open()
    assert log.plan_flush() is None
    append(log)
    plan = log.plan_flush()
    assert (plan.end, len(plan.leases)) == (1, 1)
    assert plan.paths == [f"{ground.directory}/leader-epoch-checkpoint"]
    parent = ground.directory.rpartition("/")[0]
    assert set(plan.directories) >= {ground.directory, parent, parent.rpartition("/")[0] or "/"}
    assert log.plan_flush() is None
    plan.run()
    assert log.durable_end == 0
    log.flushed(plan)
    assert log.durable_end == 1
    log.close(clean=False)


@pytest.mark.parametrize("written", [True, False])
def test_after_a_crash_the_folder_above_is_synced_too(ground, written):
    """Who was killed may have made the log's folder and not lived to sync the folder that names it."""
    if written:
        append(ground.open())
    else:
        ground.files.make_directory(ground.directory)
    log = ground.open(clean=False)
    append(log)
    assert set(log.plan_flush().directories) >= {ground.directory, ground.directory.rpartition("/")[0]}
    log.close(clean=False)


def test_a_later_plan_syncs_only_what_changed_since(ground):
    log = ground.open()
    append(log)
    log.flush()
    append(log)
    plan = log.plan_flush()
    assert (len(plan.leases), plan.paths, plan.directories) == (1, [], [])
    plan.run()
    log.flushed(plan)
    assert log.durable_end == 2
    log.close(clean=False)


def test_a_roll_adds_the_closed_segment_its_indexes_and_snapshot(ground):
    log = ground.open()
    append(log)
    log.flush()
    append(log)
    log.roll(0)
    append(log)
    plan = log.plan_flush()
    names = sorted(path.rpartition("/")[2] for path in plan.paths)
    zero = "00000000000000000000"
    assert names == [f"{zero}.index", f"{zero}.timeindex", "00000000000000000002.snapshot"]
    assert len(plan.leases) == 2
    plan.run()
    log.flushed(plan)
    assert log.durable_end == 3
    log.close(clean=False)


def test_what_arrives_while_a_plan_runs_is_for_the_next(ground):
    log = ground.open()
    append(log)
    first = log.plan_flush()
    append(log)
    first.run()
    log.flushed(first)
    assert log.durable_end == 1
    log.flush()
    assert log.durable_end == 2
    log.close(clean=False)


def test_a_newer_plan_that_is_done_first_waits_for_the_older(ground):
    log = ground.open()
    append(log)
    older = log.plan_flush()
    append(log)
    newer = log.plan_flush()
    log.flushed(newer)
    assert log.durable_end == 0
    log.flushed(older)
    assert log.durable_end == 2
    log.close(clean=False)


def test_a_cut_takes_the_promise_of_plans_under_way_back(ground):
    log = ground.open()
    for _ in range(4):
        append(log)
    plan = log.plan_flush()
    log.truncate(2)
    for _ in range(4):
        append(log)
    log.flushed(plan)
    assert (log.durable_end, log.end) == (2, 6)
    log.flush()
    assert log.durable_end == 6
    plan = log.plan_flush()
    assert plan is None
    log.restart_at(50)
    assert (log.durable_end, log.end) == (50, 50)
    log.close(clean=False)


def test_a_plan_holds_its_files_open_while_they_are_dropped(tmp_path):
    files = DiskFiles(limit=1)
    log = Log.open(files, f"{tmp_path}/t-0", FORMAT, LogConfig(), clean=True, now_ms=0)
    append(log)
    log.roll(0)
    append(log)
    plan = log.plan_flush()
    log.delete_before(1)
    removal = log.delete("0" * 32)
    removal.run()
    assert len(plan.fds) == 2
    plan.run()
    log.flushed(plan)
    files.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        plan.leases[0].sync()


def test_a_sync_is_one_call_a_file(tmp_path):
    synced = []
    calls = native()._replace(sync_data=synced.append, sync_directory=lambda path: None)
    files = DiskFiles(calls=calls)
    log = Log.open(files, f"{tmp_path}/t-0", FORMAT, LogConfig(), clean=True, now_ms=0)
    append(log)
    log.flush()
    synced.clear()
    for _ in range(10):
        append(log)
    log.flush()
    log.flush()
    assert len(synced) == 1
    log.close(clean=False)
    files.close()


@pytest.mark.parametrize("kind", ["sync", "sync_path", "sync_directory"])
def test_a_failed_sync_poisons_the_log_above_what_was_durable(kind):
    files = FaultyFiles()
    log = Log.open(files, "/t-0", FORMAT, LogConfig(), clean=True, now_ms=0)
    append(log, b"safe")
    log.flush()
    append(log, b"lost")
    log.roll(0)
    files.fail(kind)
    with pytest.raises(Poisoned, match="nothing from offset 1 on"):
        log.flush()
    files.heal()
    assert log.poisoned is not None
    assert log.durable_end == 1
    for refused in (lambda: append(log), lambda: log.roll(0), lambda: log.read(1, 100, 2)):
        with pytest.raises(Poisoned):
            refused()
    assert len(log.read(0, 10_000, 2).read()) == len(build([b"safe"])), "what was durable can be read"
    assert log.plan_flush() is None, "and no second sync is ever tried"
    log.close(clean=True)


def test_a_poisoned_log_stays_so_when_an_older_plan_succeeds():
    files = FaultyFiles()
    log = Log.open(files, "/t-0", FORMAT, LogConfig(), clean=True, now_ms=0)
    append(log)
    older = log.plan_flush()
    append(log)
    newer = log.plan_flush()
    log.flush_failed(newer, OSError("disk"))
    log.flushed(older)
    assert log.durable_end == 0
    assert isinstance(log.poisoned, Poisoned)


def test_leases_taken_for_a_plan_that_can_not_be_made_are_given_back(tmp_path):
    files = DiskFiles(limit=1)
    log = Log.open(files, f"{tmp_path}/t-0", FORMAT, LogConfig(), clean=True, now_ms=0)
    append(log)
    log.roll(0)
    append(log)
    gone = log.segments[0].store.file
    gone.close()
    files.remove(gone.path)
    with pytest.raises(FileNotFoundError):
        log.plan_flush()
    assert not log.segments[1].store.file.leased()
    log.close(clean=False)
