"""Where a group is moved to, and what a time is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.commands.reset import Kind, Log, Target, new_offset, timestamp_ms

LOG = Log(start=5, end=20, found=9)


@pytest.mark.parametrize(
    ("target", "current", "outcome"),
    [
        (Target(Kind.EARLIEST), 7, (5, "")),
        (Target(Kind.LATEST), None, (20, "")),
        (Target(Kind.OFFSET, 5), 7, (5, "")),
        (Target(Kind.OFFSET, 20), 7, (20, "")),
        (Target(Kind.OFFSET, 21), 7, (20, "21 is behind the end")),
        (Target(Kind.OFFSET, 4), 7, (5, "4 is before the start")),
        (Target(Kind.SHIFT, 3), 7, (10, "")),
        (Target(Kind.SHIFT, -3), 7, (5, "4 is before the start")),
        (Target(Kind.SHIFT, 0), 30, (20, "30 is behind the end")),
        (Target(Kind.DATETIME, 1), 7, (9, "")),
    ],
)
def test_a_target_is_an_offset_of_the_log(target, current, outcome):
    assert new_offset(target, current, LOG) == outcome


def test_a_time_after_the_last_record_is_the_end():
    assert new_offset(Target(Kind.DATETIME, 1), 7, Log(5, 20)) == (20, "no record is as late: the end")


@given(
    st.sampled_from(Kind),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, 100),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_no_target_leads_out_of_the_log(kind, value, current, start, size):
    offset, note = new_offset(Target(kind, value), current, Log(start, start + size))
    assert start <= offset <= start + size
    assert note or kind in (Kind.EARLIEST, Kind.LATEST) or offset == value + (current if kind is Kind.SHIFT else 0)


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("1970-01-01", 0),
        ("2026-01-31T08:00", 1769846400000),
        ("2026-01-31T08:00:00.123456Z", 1769846400123),
        ("2026-01-31T09:00+01:00", 1769846400000),
        ("20260131T080000", 1769846400000),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text, timestamp):
    assert timestamp_ms(text) == timestamp


@pytest.mark.parametrize("text", ["", "now", "1969-12-31T23:59:59.999Z", "2026-13-01", "0001-01-01T00:00+23:59"])
def test_what_is_no_time_since_1970_is_a_value_error(text):
    with pytest.raises(ValueError):
        timestamp_ms(text)
