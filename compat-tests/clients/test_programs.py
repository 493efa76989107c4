"""Clients of other languages: what they write the Python clients read and the other way round; topics administered."""

from collections.abc import Callable
from pathlib import Path

import pytest
from brokers import Broker
from program_clients import NotHere, Program, format_record, franz_go, java, kafkajs, parse_record, platformatic
from python_clients import CODECS, Confluent, sample_records

COUNT = 500
PROGRAMS: dict[str, Callable[[Path], Program]] = {
    "java": java,
    "franz-go": franz_go,
    "kafkajs": kafkajs,
    "platformatic": platformatic,
}


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, programs_folder: Path) -> Program:
    try:
        return PROGRAMS[request.param](programs_folder)
    except NotHere as reason:
        pytest.skip(str(reason))


def test_the_lines_that_programs_speak_keep_a_record_as_it_is() -> None:
    for record in sample_records(60):
        assert parse_record(format_record(record)) == record


@pytest.mark.parametrize("codec", CODECS)
def test_a_program_writes_what_others_read(broker: Broker, topic_name: str, program: Program, codec: str) -> None:
    if codec not in program.codecs:
        pytest.skip(f"{program.name} has no {codec} without further packages")
    records = sample_records(COUNT)
    assert program.write(broker.bootstrap, topic_name, records, codec) == list(range(COUNT))
    assert Confluent().consume(broker.bootstrap, topic_name, COUNT) == records


@pytest.mark.parametrize("codec", CODECS)
def test_a_program_reads_what_others_wrote(broker: Broker, topic_name: str, program: Program, codec: str) -> None:
    if not program.reads:
        pytest.skip(f"{program.name} reads with consumer groups only")
    if codec not in program.codecs:
        pytest.skip(f"{program.name} has no {codec} without further packages")
    records = sample_records(COUNT)
    Confluent().produce(broker.bootstrap, topic_name, records, codec=codec)
    assert program.read(broker.bootstrap, topic_name, COUNT) == records


def test_a_program_looks_up_offsets(broker: Broker, topic_name: str, program: Program) -> None:
    Confluent().produce(broker.bootstrap, topic_name, sample_records(7))
    assert program.offsets(broker.bootstrap, topic_name) == (0, 7)


def test_a_program_creates_describes_grows_and_deletes_a_topic(
    broker: Broker, topic_name: str, program: Program
) -> None:
    program.administer(broker.bootstrap, topic_name)
