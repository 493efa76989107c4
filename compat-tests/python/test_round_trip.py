"""What one client writes, every client reads, in every codec: keys, values, headers, timestamps and offsets equal."""

import pytest
from brokers import Broker
from python_clients import CLIENTS, CODECS, Client, sample_records


def by_name(client: Client) -> str:
    return client.name


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", CLIENTS, ids=by_name)
def test_every_client_reads_what_a_client_wrote(
    broker: Broker, topic_name: str, writer: Client, codec: str, count: int
) -> None:
    if reason := writer.lacks(codec):
        pytest.skip(f"{writer.name} has no {codec} here: {reason}")
    records = sample_records(count)
    assert writer.produce(broker.bootstrap, topic_name, records, codec=codec) == list(range(count))
    for reader in CLIENTS:
        if not reader.lacks(codec):
            assert reader.consume(broker.bootstrap, topic_name, count) == records, reader.name


def test_a_partition_with_batches_of_every_client_and_codec_reads_as_one_log(broker: Broker, topic_name: str) -> None:
    codecs = [codec for codec in CODECS if not any(client.lacks(codec) for client in CLIENTS)]
    records = sample_records(10 * len(CLIENTS) * len(codecs))
    at = 0
    for writer in CLIENTS:
        for codec in codecs:
            written = writer.produce(broker.bootstrap, topic_name, records[at : at + 10], codec=codec)
            assert written == list(range(at, at + 10))
            at += 10
    for reader in CLIENTS:
        assert reader.consume(broker.bootstrap, topic_name, at) == records, reader.name
