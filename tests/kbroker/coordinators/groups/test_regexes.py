"""Regular expressions: what is refused in which words, and which topics match."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups import regexes
from kbroker.coordinators.groups.regexes import Regexes, check_regex
from kbroker.errors import Refusal
from kbroker.metadata.image import Image
from kbroker_wire import ErrorCode


def topics(*names: str) -> Image:
    return Image(topic_ids={name: name.encode() for name in names})


# What Apache Kafka 4.4.0 (RE2/J 1.8) answered.
@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("[", "missing closing ]"),
        ("a(", "missing closing )"),
        (")", "regexp/syntax: internal error"),
        ("\\", "trailing backslash at end of expression"),
        ("a**", "invalid nested repetition operator"),
        ("a++", "invalid nested repetition operator"),
        ("*", "missing argument to repetition operator"),
        ("a{1001}", "invalid repeat count"),
        ("a{2,1}", "invalid repeat count"),
        ("(?P<x", "invalid named capture"),
        ("(?<=a)", "invalid named capture"),
        ("(?=a)", "invalid or unsupported Perl syntax"),
        ("(?i", "invalid or unsupported Perl syntax"),
        ("[b-a]", "invalid character class range"),
        ("[[:foo:]]", "invalid character class range"),
        ("\\p{Foo}", "invalid character class range"),
        ("\\8", "invalid escape sequence"),
        ("\\Z", "invalid escape sequence"),
    ],
)
def test_what_is_wrong_is_said_in_kafkas_words(regex: str, why: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_regex(regex)
    assert refused.value.code is ErrorCode.INVALID_REGULAR_EXPRESSION
    assert refused.value.message == f"SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}."


@pytest.mark.parametrize(
    "regex", ["", "(?i)abc", "\\p{L}+", "(?<n>a)", "\\bfoo\\b", "\\Qa.b\\E", "a{1000}", "[^]a]", "\0"]
)
def test_what_kafka_takes_is_taken(regex: str) -> None:
    check_regex(regex)


def test_nothing_is_written_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Refusal):
        check_regex("[")
    assert capfd.readouterr() == ("", "")


def test_the_whole_name_must_match() -> None:
    cluster = topics("log", "log-a", "my-log", "__consumer_offsets")
    resolve = Regexes()
    assert resolve.topics("log", cluster) == {"log"}
    assert resolve.topics("log.*", cluster) == {"log", "log-a"}
    assert resolve.topics("(?i)LOG|my-.*", cluster) == {"log", "my-log"}
    assert resolve.topics(".*", cluster) == set(cluster.topic_ids)
    assert resolve.topics("", cluster) == set()


def test_topics_that_come_and_go_are_followed() -> None:
    resolve = Regexes()
    assert resolve.topics("a.", topics("a1", "b1")) == {"a1"}
    assert resolve.topics("a.", topics("a1", "a2", "b1")) == {"a1", "a2"}
    assert resolve.topics("a.", topics("a2")) == {"a2"}
    assert resolve.topics("a.", topics()) == set()


def test_only_so_many_expressions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regexes, "KNOWN", 2)
    resolve, cluster = Regexes(), topics("a", "b", "c")
    for regex in ("a", "b", "a", "c"):
        resolve.topics(regex, cluster)
    assert list(resolve._matches) == ["a", "c"]
    assert resolve.topics("b", cluster) == {"b"}
