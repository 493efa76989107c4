"""The door to the outside: sockets, uuids, threads."""

from __future__ import annotations

import random
import socket
import sys
import threading
from dataclasses import replace

import pytest

from kbroker.env import Env, bind, file_descriptors, thread_runner
from kbroker_wire.schema import uuid_to_text


def test_one_name_may_be_several_addresses_and_they_share_a_port():
    sockets = bind("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert len({sock.getsockname()[0] for sock in sockets}) == len(sockets)
        assert all(not sock.getblocking() for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()


def test_an_address_that_is_taken_or_not_ours_is_an_os_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(OSError, match="assign"):
        bind("192.0.2.1", 0)  # TEST-NET: nobody has it


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no such limit")
@pytest.mark.parametrize(("allowed", "files"), [(64, 32), (256, 128), (1024, 512)])
def test_log_files_leave_half_of_the_descriptors_to_sockets(allowed, files):
    import resource  # noqa: PLC0415

    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, usual[1]))
    try:
        assert file_descriptors() == files
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)


def test_uuids_are_version_4_and_never_begin_with_a_dash():
    env = replace(Env.in_memory(), rng=random.Random(1))
    seen = {env.new_uuid() for _ in range(3000)}
    assert len(seen) == 3000
    assert all(len(raw) == 16 and raw[6] >> 4 == 4 and raw[8] >> 6 == 2 for raw in seen)
    assert not any(uuid_to_text(raw).startswith("-") for raw in seen)


def test_the_same_chance_gives_the_same_uuids():
    one, two = (replace(Env.in_memory(), rng=random.Random(7)) for _ in range(2))
    assert [one.new_uuid() for _ in range(5)] == [two.new_uuid() for _ in range(5)]


async def test_blocking_work_runs_in_a_thread_on_disk_and_in_place_in_memory():
    here = threading.get_ident()
    assert await Env.in_memory().run_blocking(threading.get_ident) == here
    assert await thread_runner(1)(threading.get_ident) != here
