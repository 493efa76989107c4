"""The tables of settings against Apache Kafka's, the words of refusals, .properties text, the page made of it all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker.config import _SAME, ConfigError, validate_topic_config, validate_topic_configs
from kbroker.settings import setting
from kbroker.settings.broker_own import ROWS as OWN
from kbroker.settings.group_config import LIMITS
from kbroker.settings.page import configuration_page
from kbroker.settings.properties import load_properties
from kbroker.settings.setting import READ_ONLY, ConfigType, java_double, parse, show
from kbroker.settings.tables import BROKER, TOPIC, client_metrics, group
from kbroker.settings.topic_config import FALLBACKS, TopicConfig

ROOT = Path(__file__).parents[2]
TABLES = {"broker": BROKER, "topic": TOPIC, "group": group(), "client-metrics": client_metrics()}
FACTS = [
    line.split("\t")
    for line in (ROOT / "tests/data/settings-4.4.0.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("scope", TABLES)
def test_every_setting_of_apache_kafka_is_known_with_its_type_and_default(scope: str) -> None:
    theirs = {name: (kind, default) for at, name, kind, default, *_ in FACTS if at == scope}
    ours = {
        row.name: (row.type.name, "null" if row.default is None else f"={row.default}")
        for row in TABLES[scope].values()
        if row not in OWN and not row.hidden
    }
    assert ours == theirs


def test_the_broker_settings_that_change_while_running_are_kafkas() -> None:
    dynamic = {name for at, name, _, _, update, *_ in FACTS if at == "broker" and update == "dynamic"}
    assert {row.name for row in BROKER.values() if row.update != READ_ONLY} == dynamic


@pytest.mark.parametrize("scope", ["topic", "group"])
def test_the_broker_setting_behind_each_default_is_kafkas_and_has_the_same_default(scope: str) -> None:
    synonyms = {fact[1]: fact[5] for fact in FACTS if fact[0] == scope and len(fact) > 5}
    for row in TABLES[scope].values():
        if row.name in FALLBACKS:  # Apache Kafka does not show a synonym that has no value
            assert row.synonym in BROKER
            continue
        assert row.synonym == synonyms.get(row.name, ""), row.name
        if row.synonym:
            assert BROKER[row.synonym].default == row.default
            assert type(BROKER[row.synonym].bound) is type(row.bound) or scope == "group"


@pytest.mark.parametrize("scope", TABLES)
def test_tables_are_in_order_and_their_defaults_fulfil_their_bounds(scope: str) -> None:
    rows = list(TABLES[scope].values())
    assert [row.name for row in rows] == sorted(row.name for row in rows)
    for row in rows:
        value = row.parse(row.default)
        if row.default is not None and row.type is not ConfigType.CLASS:
            assert show(value) == row.default
        if scope != "broker" or row.acts:
            assert row.doc.endswith((".", "*")), row.name


def test_topic_config_has_an_attribute_for_each_topic_setting() -> None:
    assert list(TopicConfig.__slots__) == [name.replace(".", "_") for name in TOPIC]


def test_a_setting_is_said_to_be_acted_on_exactly_when_the_code_reads_it() -> None:
    files = [file for file in (ROOT / "kbroker").rglob("*.py") if file.parent.name != "settings"]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    looked_up = set(re.findall(r"""\.(?:int|bool|float|str|list|optional_int|optional_str)\("([a-z.]+)"\)""", code))
    read = {name for name in TOPIC if re.search(rf"\.{name.replace('.', '_')}\b", code)}
    read |= {"message.timestamp.type"} if ".log_append_time" in code else set()
    read |= {"internal.segment.bytes"}  # a part of `segment_bytes`
    assert {name for name, row in TOPIC.items() if row.acts} == read
    of_groups = {name for name in group() if re.search(rf"\.{name.replace('.', '_')}\b", code)}
    assert {name for name, row in group().items() if row.acts} == of_groups
    behind = ({TOPIC[name].synonym for name in read} | {group()[name].synonym for name in of_groups}) - {""}
    behind |= {limit for name in of_groups for limit in LIMITS.get(name, ())}
    coarser = {each for name in read for each, _ in FALLBACKS.get(name, ())}
    same = {each for names in _SAME for each in names}
    ours = {row.name for row in OWN}
    assert {name for name, row in BROKER.items() if row.acts} == looked_up | behind | coarser | same | ours


# What Apache Kafka 4.4.0 answered to CreateTopics, word for word; None: accepted.
INVALID = "Invalid value {} for configuration {}: {}"
THROTTLED = (
    "{} must be the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
)
CODECS = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"
ANSWERS = [
    ("nope", "1", "Unknown topic config name: nope"),
    ("message.format.version", "3.0", "Unknown topic config name: message.format.version"),
    ("retention.ms", None, "Null value not supported for topic configs: retention.ms"),
    ("retention.ms", "abc", "Not a number of type LONG"),
    ("retention.ms", "-2", "Value must be at least -1"),
    ("retention.ms", "", "Not a number of type LONG"),
    ("retention.ms", "0x10", "Not a number of type LONG"),
    ("retention.ms", "1_000", "Not a number of type LONG"),
    ("retention.ms", "9" * 30, "Not a number of type LONG"),
    ("retention.ms", "9" * 5000, "Not a number of type LONG"),
    ("retention.ms", " 5 ", None),
    ("retention.ms", "+5", None),
    ("retention.ms", "１２", None),  # noqa: RUF001  # Java takes any decimal digits
    ("retention.bytes", "-2", None),
    ("segment.bytes", "1048575", "Value must be at least 1048576"),
    ("segment.bytes", "1048576", None),
    ("segment.bytes", "99999999999", "Not a number of type INT"),
    ("segment.bytes", "1.5", "Not a number of type INT"),
    ("internal.segment.bytes", "100", None),
    ("cleanup.policy", "nope", "String must be one of: compact, delete"),
    ("cleanup.policy", "Delete", "String must be one of: compact, delete"),
    ("cleanup.policy", "compact,", "Configuration 'cleanup.policy' values must not be empty."),
    ("cleanup.policy", ",", "Configuration 'cleanup.policy' values must not be empty."),
    ("cleanup.policy", "", None),
    ("cleanup.policy", "compact , delete", None),
    ("compression.type", "none", CODECS),
    ("compression.type", "", CODECS),
    ("compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
    ("compression.gzip.level", "-1", None),
    ("compression.lz4.level", "18", "Value must be no more than 17"),
    ("compression.zstd.level", "-131073", "Value must be at least -131072"),
    ("min.cleanable.dirty.ratio", "-0.1", "Value must be at least 0"),
    (
        "min.cleanable.dirty.ratio",
        "2",
        "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
    ),
    ("min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"),
    ("min.cleanable.dirty.ratio", "0.5f", None),
    ("preallocate", "yes", "Expected value to be either true or false"),
    ("preallocate", "TRUE", None),
    ("message.timestamp.type", "createtime", "String must be one of: CreateTime, LogAppendTime"),
    ("max.decompressed.message.bytes", "2147483647", "Value must be no more than 2147483639"),
    ("follower.replication.throttled.replicas", "0:1,1:2", None),
    ("follower.replication.throttled.replicas", "*", None),
    ("follower.replication.throttled.replicas", "", None),
    (
        "leader.replication.throttled.replicas",
        "0:1,*",
        INVALID.format(
            "[0:1, *]",
            "leader.replication.throttled.replicas",
            THROTTLED.format("leader.replication.throttled.replicas"),
        ),
    ),
]


@pytest.mark.parametrize(("name", "value", "answer"), ANSWERS)
def test_a_topic_setting_is_refused_in_kafkas_words(name: str, value: str | None, answer: str | None) -> None:
    if answer is None:
        validate_topic_config(name, value)
        return
    whole = answer if answer.startswith(("Unknown", "Null", "Conf", "Inv")) else INVALID.format(value, name, answer)
    with pytest.raises(ConfigError) as caught:
        validate_topic_config(name, value)
    assert (caught.value.message, caught.value.key) == (whole, name)
    assert str(caught.value).startswith(whole)


def test_a_refusal_tells_people_what_is_allowed() -> None:
    with pytest.raises(ConfigError) as caught:
        BROKER["log.cleaner.threads"].parse("-1")
    assert str(caught.value) == (
        "Invalid value -1 for configuration log.cleaner.threads: Value must be at least 0 (allowed: INT, 0 or more)"
    )
    assert caught.value.value == "-1"


def test_nulls_are_refused_together_and_before_unknown_names_and_those_before_values() -> None:
    with pytest.raises(ConfigError, match=r"topic configs: retention\.ms,nope"):
        validate_topic_configs({"segment.ms": "x", "retention.ms": None, "nope": None})
    with pytest.raises(ConfigError, match="Unknown topic config name: nope"):
        validate_topic_configs({"segment.ms": "x", "nope": "1"})


@pytest.mark.parametrize(
    "text",
    [
        "0.5",
        "1.0",
        "0.001",
        "1.0E-4",
        "1.2345E-4",
        "9999999.0",
        "1.0E7",
        "1.23456789E8",
        "1.7976931348623157E308",
        "0.0",
        "-2.5E-10",
        "1.0E22",
        "Infinity",
        "-Infinity",
        "NaN",
    ],
)
def test_a_double_is_written_as_java_does(text: str) -> None:
    assert java_double(float(text)) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_a_double_survives_being_written_and_read(value: float) -> None:
    assert parse("x", setting.DOUBLE, java_double(value)) == value


@settings(deadline=None)
@given(st.sampled_from(ConfigType), st.text())
def test_any_text_is_a_value_or_refused(kind: ConfigType, text: str) -> None:
    try:
        value = parse("x", kind, text)
    except ConfigError:
        return
    shown = show(value)
    assert shown is not None
    assert show(parse("x", kind, shown)) == shown


def test_a_list_drops_what_comes_twice() -> None:
    assert TOPIC["cleanup.policy"].parse("delete, compact,delete") == ("delete", "compact")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\nb:2\nc 3\n", {"a": "1", "b": "2", "c": "3"}),
        ("# no\n ! no\n\n\ta\t=\t1 \n", {"a": "1 "}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1\na=2", {"a": "2"}),
        ("a = one, \\\n    two\nb=3", {"a": "one, two", "b": "3"}),
        ("a=x\\\\\nb=3", {"a": "x\\", "b": "3"}),
        ("a=x\\\n# not a comment\n", {"a": "x# not a comment"}),
        ("a=1\\", {"a": "1"}),
        ("\\\n# a comment, as nothing came before\na=1\n", {"a": "1"}),
        ("a\\ b\\==\\t\\u00e4\\q", {"a b=": "\täq"}),
        ("a=\\ud83d\\ude00", {"a": "😀"}),
        ("a==b", {"a": "=b"}),
        ("a\n=b\n", {"a": "", "": "b"}),
        ("listeners=PLAINTEXT://:9092", {"listeners": "PLAINTEXT://:9092"}),
        ("path=C:\\\\data", {"path": "C:\\data"}),
    ],
)
def test_properties_are_read_as_java_reads_them(text: str, expected: dict[str, str]) -> None:
    assert load_properties(text.encode()) == expected


def test_properties_may_be_utf8_with_or_without_its_mark_or_latin1() -> None:
    assert load_properties("ä=ö".encode()) == load_properties("\ufeffä=ö".encode()) == {"ä": "ö"}
    assert load_properties("ä=ö".encode("latin-1")) == {"ä": "ö"}


def test_a_malformed_escape_is_refused() -> None:
    with pytest.raises(ConfigError, match="Malformed"):
        load_properties(b"a=\\u12g4")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_properties_or_refused(data: bytes) -> None:
    try:
        found = load_properties(data)
    except ConfigError:
        return
    assert all(isinstance(value, str) for value in found.values())


def test_the_page_of_settings_is_up_to_date() -> None:
    page = ROOT / "docs/configuration.md"
    assert page.read_text(encoding="utf-8") == configuration_page(), "run: python docs/generate.py"
