"""Hypothesis strategies for records, for every test that needs some."""

from hypothesis import strategies as st

from kbroker_wire.records import Header, Record

blobs = st.none() | st.binary(max_size=20) | st.sampled_from([b"", b"x" * 63, b"x" * 64, b"x" * 5000, b"y" * 20_000])
header_keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
headers = st.lists(st.builds(Header, header_keys, st.none() | st.binary(max_size=8)), max_size=3).map(tuple)
timestamps = st.integers(-1, 2**53) | st.integers(1_700_000_000_000, 1_700_000_000_100)


@st.composite
def record_lists(draw: st.DrawFn, *, max_size: int = 12, gaps: bool = False) -> list[Record]:
    """1 to `max_size` records with offsets from 0 on, in steps of one, or also of more with `gaps`."""
    fields = draw(st.lists(st.tuples(timestamps, blobs, blobs, headers), min_size=1, max_size=max_size))
    step = st.integers(1, 1000) if gaps else st.just(1)
    records, offset = [], 0
    for timestamp, key, value, some_headers in fields:
        records.append(Record(offset, timestamp, key, value, some_headers))
        offset += draw(step)
    return records
