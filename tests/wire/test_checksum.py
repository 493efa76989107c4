"""CRC-32C against the published vectors and a slow table-driven implementation."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker_wire import checksum
from kbroker_wire.checksum import crc32c
from other_codecs import kafka_crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, B.4
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_vectors(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_buffer_and_any_cut_give_the_same_sum(data: bytes, cut: int) -> None:
    expected = kafka_crc32c(data)
    writable = bytearray(b"x" + data)
    assert crc32c(data) == crc32c(writable[1:]) == crc32c(memoryview(writable)[1:]) == expected
    assert crc32c(data[cut:], crc32c(data[:cut])) == expected


def test_the_package_stands_in_when_its_extension_is_not_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "_extension", lambda: None)
    assert checksum._load()(b"123456789") == 0xE3069283


def test_importing_it_costs_no_importlib_metadata_and_leaves_the_package_importable() -> None:
    program = (
        "import sys, kbroker_wire.checksum as ours\n"
        "assert 'importlib.metadata' not in sys.modules\n"
        "import crc32c\n"
        "assert crc32c.crc32c(b'123456789') == ours.crc32c(b'123456789') == 0xE3069283\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
