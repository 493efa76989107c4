"""Apache Kafka's tools for configurations, records, folders, the quorum, elections, features, ACLs, reassignments."""

import json
import re
from pathlib import Path

import apache_kafka
import pytest
from brokers import Broker
from console_tools import (
    ACLS,
    CONFIGS,
    DELETE_RECORDS,
    ELECTIONS,
    FEATURES,
    LOG_DIRS,
    QUORUM,
    REASSIGNMENTS,
    refused,
    run,
)
from python_clients import Confluent, Record
from raw_kafka.calls import create_topic
from raw_kafka.connection import Connection

pytestmark = pytest.mark.skipif(apache_kafka.missing() is not None, reason=str(apache_kafka.missing()))


@pytest.fixture
def at(broker: Broker) -> tuple[str, str]:
    return "--bootstrap-server", broker.bootstrap


@pytest.fixture
def topic(broker: Broker) -> str:
    """A fresh topic with one partition."""
    with Connection(broker.host, broker.port) as connection:
        return create_topic(connection).name


def test_config_command_changes_and_describes_a_topic(at: tuple[str, str], topic: str) -> None:
    it = ("--entity-type", "topics", "--entity-name", topic)
    run(CONFIGS, *at, "--alter", *it, "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]")
    described = run(CONFIGS, *at, "--describe", *it)
    policy = "synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}"
    assert "retention.ms=5000 sensitive=false" in described
    assert f"cleanup.policy=compact,delete sensitive=false {policy}" in described
    run(CONFIGS, *at, "--alter", *it, "--delete-config", "retention.ms")
    assert "retention.ms" not in run(CONFIGS, *at, "--describe", *it)
    why = "InvalidConfigurationException: Invalid value x for configuration retention.ms: Not a number of type LONG"
    assert why in refused(CONFIGS, *at, "--alter", *it, "--add-config", "retention.ms=x")


def test_config_command_changes_and_describes_brokers(at: tuple[str, str], broker: Broker) -> None:
    node = re.findall(r"NodeId.*\n(\d+)", run(QUORUM, *at, "describe", "--replication"))[0]
    one, every = ("--entity-type", "brokers", "--entity-name", node), ("--entity-type", "brokers", "--entity-default")
    name = "log.index.interval.bytes"
    try:
        run(CONFIGS, *at, "--alter", *every, "--add-config", f"{name}=5000")
        run(CONFIGS, *at, "--alter", *one, "--add-config", f"{name}=6000")
        synonyms = f"DYNAMIC_BROKER_CONFIG:{name}=6000, DYNAMIC_DEFAULT_BROKER_CONFIG:{name}=5000, DEFAULT_CONFIG:"
        assert f"{name}=6000 sensitive=false synonyms={{{synonyms}{name}=4096}}" in run(
            CONFIGS, *at, "--describe", *one
        )
        assert f"{name}=5000 sensitive=false" in run(CONFIGS, *at, "--describe", *every)
    finally:
        run(CONFIGS, *at, "--alter", *one, "--delete-config", name)
        run(CONFIGS, *at, "--alter", *every, "--delete-config", name)


def test_config_command_changes_and_describes_groups(at: tuple[str, str], topic_name: str) -> None:
    group = ("--entity-type", "groups", "--entity-name", topic_name)
    run(CONFIGS, *at, "--alter", *group, "--add-config", "consumer.session.timeout.ms=50000")
    own = "consumer.session.timeout.ms=50000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:"
    assert own in run(CONFIGS, *at, "--describe", *group)
    assert f"Dynamic configs for group {topic_name} are" in run(CONFIGS, *at, "--describe", "--entity-type", "groups")


def test_delete_records_and_log_dirs(at: tuple[str, str], broker: Broker, topic: str, tmp_path: Path) -> None:
    Confluent().produce(broker.bootstrap, topic, [Record(None, b"%d" % number) for number in range(9)])
    wanted = tmp_path / "offsets.json"
    wanted.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": 4}], "version": 1}))
    told = run(DELETE_RECORDS, *at, "--offset-json-file", str(wanted))
    assert re.search(rf"partition: {topic}-0\s+low_watermark: 4", told)
    described = run(LOG_DIRS, *at, "--describe", "--topic-list", topic).splitlines()[-1]
    (folder,) = json.loads(described)["brokers"][0]["logDirs"]
    (partition,) = folder["partitions"]
    assert (partition["partition"], partition["offsetLag"], folder["error"]) == (f"{topic}-0", 0, None)
    assert partition["size"] > 0


def test_the_quorum_has_one_voter_which_leads(at: tuple[str, str]) -> None:
    status = dict(line.split(":", 1) for line in run(QUORUM, *at, "describe", "--status").splitlines())
    node = status["LeaderId"].strip()
    assert [str(voter["id"]) for voter in json.loads(status["CurrentVoters"])] == [node]
    assert (status["MaxFollowerLag"].strip(), status["CurrentObservers"].strip()) == ("0", "[]")


def test_there_is_nothing_to_elect_and_nothing_to_move(at: tuple[str, str], topic: str) -> None:
    one = ("--topic", topic, "--partition", "0")
    told = run(ELECTIONS, *at, "--election-type", "preferred", *one)
    assert f"Valid replica already elected for partitions {topic}-0" in told
    run(ELECTIONS, *at, "--election-type", "unclean", "--all-topic-partitions")
    assert "No partition reassignments found." in run(REASSIGNMENTS, *at, "--list")


def test_features_and_acls(at: tuple[str, str]) -> None:
    assert re.search(r"Feature: metadata\.version\s+SupportedMinVersion: 3\.3-IV3", run(FEATURES, *at, "describe"))
    assert "No Authorizer is configured on the broker" in refused(ACLS, *at, "--list")
