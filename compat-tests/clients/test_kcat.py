"""kcat: -L lists, -P produces, -C consumes, -Q asks for offsets by time."""

import json
import shutil
import subprocess
import time

import pytest
from brokers import PATIENCE_S, Broker
from python_clients import CODECS, Confluent, Record

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not on PATH (Debian: kcat)")


def kcat(broker: Broker, *arguments: str, stdin: str = "") -> str:
    command = ["kcat", "-b", broker.bootstrap, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_lists_brokers_and_topics(broker: Broker, topic_name: str) -> None:
    Confluent().produce(broker.bootstrap, topic_name, [Record(None, b"v")])
    listed = json.loads(kcat(broker, "-L", "-J"))
    assert [node["name"] for node in listed["brokers"]] == [broker.bootstrap]
    (topic,) = [topic for topic in listed["topics"] if topic["topic"] == topic_name]
    node = listed["brokers"][0]["id"]
    assert topic["partitions"] == [{"partition": 0, "leader": node, "replicas": [{"id": node}], "isrs": [{"id": node}]}]


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
def test_it_reads_what_it_wrote(broker: Broker, topic_name: str, codec: str) -> None:
    lines = [f"key-{number}:value {number}" for number in range(1000)]
    kcat(broker, "-P", "-t", topic_name, "-p", "0", "-K:", "-z", codec, "-H", "h=x", stdin="\n".join(lines) + "\n")
    read = kcat(broker, "-C", "-t", topic_name, "-p", "0", "-e", "-q", "-f", "%o %k:%s %h\n").splitlines()
    assert read == [f"{offset} {line} h=x" for offset, line in enumerate(lines)]


def test_it_reads_the_last_records_and_from_a_time(broker: Broker, topic_name: str) -> None:
    now_ms = int(time.time() * 1000)
    records = [Record(None, b"%d" % number, (), now_ms - 1000 + number) for number in range(100)]
    Confluent().produce(broker.bootstrap, topic_name, records)
    common = ("-C", "-t", topic_name, "-p", "0", "-e", "-q")
    assert kcat(broker, *common, "-o", "-3").split() == ["97", "98", "99"]
    assert kcat(broker, *common, "-o", f"s@{now_ms - 1000 + 95}").split() == ["95", "96", "97", "98", "99"]
    asked = kcat(broker, "-Q", "-t", f"{topic_name}:0:{now_ms - 1000 + 95}")
    assert "offset 95" in asked
