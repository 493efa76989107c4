"""A broker as a process: what survives kill -9, and how much memory it takes whatever clients do."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from broker_in_memory import FETCH_VERSION, batch, fetch_request, produce_request, topic_request, values
from kbroker_wire.headers import RequestHeader, decode_response_header, encode_request_header
from kbroker_wire.messages import message_pair
from kbroker_wire.messages.api_versions import ApiVersionsRequest
from kbroker_wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kbroker_wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kbroker_wire.messages.metadata import MetadataRequest
from kbroker_wire.schema import Message

MIB = 1024 * 1024
VERSIONS = ApiVersionsRequest(client_software_name="test", client_software_version="1")
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX's")


class Process:
    """`kbroker serve` on a folder."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"kbroker ready 127\.0\.0\.1:(\d+)\n", line)
        assert found, line
        self.process, self.port = process, int(found[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def ask(self, request: Message, version: int | None = None) -> Message:
        with self.connect() as sock:
            return ask(sock, request, version)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory_mib(self, field: str) -> float:
        """VmRSS: resident now; VmHWM: the most there ever was."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            [kib] = [line.split()[1] for line in status if line.startswith(field + ":")]
        return int(kib) / 1024


@contextmanager
def serving(folder: os.PathLike[str], *arguments: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "kbroker", "serve", "--port", "0", "--data-dir", os.fspath(folder), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def send(sock: socket.socket, request: Message, version: int) -> None:
    key = type(request).key
    assert key is not None
    frame = encode_request_header(RequestHeader(key, version, 1, None)) + request.encode(version)
    sock.sendall(struct.pack(">i", len(frame)) + frame)


def exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = sock.recv_into(view)
        assert got, "the broker closed the connection"
        view = view[got:]
    return bytes(data)


def ask(sock: socket.socket, request: Message, version: int | None = None) -> Message:
    version = type(request).versions[-1] if version is None else version
    send(sock, request, version)
    frame = exactly(sock, struct.unpack(">i", exactly(sock, 4))[0])
    key = type(request).key
    assert key is not None
    _, position = decode_response_header(frame, key, version)
    return message_pair(key)[1].decode(frame, version, position)


@posix_only
def test_after_kill_9_a_topic_is_there_with_its_id_configs_and_acknowledged_records(tmp_path):
    asked = DescribeConfigsResource(resource_type=2, resource_name="topic", configuration_keys=["retention.ms"])
    with serving(tmp_path / "data") as broker:
        [created] = broker.ask(topic_request("topic", 3, configs={"retention.ms": "12345"})).topics
        broker.ask(topic_request("gone"))
        with broker.connect() as sock:
            for i in range(20):
                ask(sock, produce_request("topic", batch(b"%d" % i), partition=i % 3), 12)
        cluster = broker.ask(MetadataRequest(topics=[])).cluster_id
        broker.kill()
    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    with serving(tmp_path / "data") as broker:
        found = broker.ask(MetadataRequest(topics=None))
        assert found.cluster_id == cluster
        topics = {topic.name: (topic.topic_id, len(topic.partitions)) for topic in found.topics}
        assert topics.keys() == {"topic", "gone"}
        assert topics["topic"] == (created.topic_id, 3)
        [result] = broker.ask(DescribeConfigsRequest(resources=[asked])).results
        assert [config.value for config in result.configs] == ["12345"]
        for partition in range(3):
            row = broker.ask(fetch_request("topic", partition=partition), FETCH_VERSION).responses[0].partitions[0]
            assert values(row) == [b"%d" % i for i in range(20) if i % 3 == partition]
        broker.kill()


def write_log(folder, segments: int, size: int) -> int:
    """A partition's files, `segments` of about `size` bytes: one large batch again and again. How many batches.

    The value is a hole: the files take no room on disk, and the CRC is right all the same.
    """
    value_bytes = 16 * MIB
    template = bytearray(batch(bytes(value_bytes)))
    head = template[:256]
    offset = 0
    for _ in range(segments):
        with open(folder / f"{offset:020}.log", "wb") as file:
            for position in range(0, size - len(template), len(template)):
                struct.pack_into(">q", head, 0, offset)
                struct.pack_into(">i", head, 12, 0)
                file.seek(position)
                file.write(head)
                offset += 1
            file.truncate(position + len(template))
    return offset


@needs_proc
def test_memory_stays_small_while_a_2_gib_log_is_fetched(tmp_path):
    data = tmp_path / "data"
    with serving(data) as broker:
        broker.ask(topic_request("topic"))
        broker.ask(produce_request("topic", batch()), 12)
        broker.process.send_signal(signal.SIGTERM)
        assert broker.process.wait() == 0
    for path in (data / "topic-0").iterdir():
        if path.name != "partition.metadata":
            path.unlink()
    records = write_log(data / "topic-0", segments=2, size=1024 * MIB)
    (data / "recovery-point-offset-checkpoint").write_text(f"0\n1\ntopic 0 {records}\n")
    with serving(data) as broker, broker.connect() as sock:
        partition = ListOffsetsPartition(partition_index=0, timestamp=-1)
        latest = ListOffsetsRequest(
            replica_id=-1, isolation_level=0, topics=[ListOffsetsTopic(name="topic", partitions=[partition])]
        )
        assert ask(sock, latest, 7).topics[0].partitions[0].offset == records
        received, offset = 0, 0
        scratch = bytearray(4 * MIB)
        while offset < records:
            send(sock, fetch_request("topic", offset, max_bytes=52_428_800), FETCH_VERSION)
            left = size = struct.unpack(">i", exactly(sock, 4))[0]
            assert size > 16 * MIB, "whole batches came"
            while left:
                got = sock.recv_into(scratch, min(left, len(scratch)))
                assert got
                left -= got
            received += size
            offset += size // (16 * MIB)
        assert received > 1_900 * MIB
        assert broker.memory_mib("VmHWM") < 100


@needs_proc
def test_connections_that_declare_100_mib_and_send_one_byte_cost_nothing(tmp_path):
    with serving(tmp_path / "data") as broker, ExitStack() as stack:
        broker.ask(VERSIONS, 3)
        before = broker.memory_mib("VmRSS")
        for _ in range(20):
            sock = stack.enter_context(broker.connect())
            sock.sendall(struct.pack(">i", 100 * MIB) + b"\0")
        assert broker.ask(MetadataRequest(topics=[])).brokers
        assert broker.memory_mib("VmRSS") - before < 20
