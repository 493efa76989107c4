"""kbroker answers as Apache Kafka does: the requests of `differential/` to both, step by step and field by field."""

import pytest
from apache_kafka import KafkaUnavailable
from differential.__main__ import main


def test_every_difference_from_apache_kafka_is_meant(target, capsys):
    if target != "kbroker":
        pytest.skip("compares kbroker with Apache Kafka")
    try:
        status = main([])
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))
    assert status == 0, capsys.readouterr().out
