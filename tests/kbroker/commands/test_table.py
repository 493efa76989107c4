"""Columns: aligned, and harmless whatever is in them."""

from hypothesis import given
from hypothesis import strategies as st

from kbroker.commands.cluster import TopicPartition
from kbroker.commands.options import selection
from kbroker.commands.table import compact, shown, table


def test_numbers_stand_to_the_right_and_words_to_the_left():
    rows = [("orders", 1, None, 10), ("x", 100, "", None)]
    assert table(("TOPIC", "PARTITION", "MEMBER", "LAG"), rows).splitlines() == [
        "TOPIC   PARTITION  MEMBER  LAG",
        "orders          1  -        10",
        "x             100  -         -",
    ]


def test_a_table_without_rows_is_its_headers():
    assert table(("A", "B"), []) == "A  B"


def test_names_can_not_move_the_cursor():
    assert shown("\x1b[2Jgone\r\n") == "\\x1b[2Jgone\\r\\n"
    assert shown("größe \U0001f600") == "größe \U0001f600"
    assert (shown(None), shown(""), shown(0)) == ("-", "-", "0")


@given(st.lists(st.lists(st.text(max_size=8) | st.none(), min_size=3, max_size=3), max_size=5))
def test_a_table_has_one_line_for_each_row(rows):
    lines = table(("A", "B", "C"), rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)


@given(
    st.dictionaries(
        st.text("abc.-_", min_size=1, max_size=5), st.sets(st.integers(0, 20), min_size=1, max_size=5), max_size=3
    )
)
def test_partitions_are_written_as_the_option_takes_them(topics):
    partitions = {TopicPartition(topic, each) for topic, indexes in topics.items() for each in indexes}
    read = [selection(word) for word in compact(partitions).split()]
    assert {TopicPartition(topic, each) for topic, indexes in read for each in indexes} == partitions
