"""What several APIs tell of the cluster."""

from __future__ import annotations

import pytest

from kbroker.cluster import java_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("127.0.0.1", "/127.0.0.1"),
        ("::1", "/0:0:0:0:0:0:0:1"),
        ("fe80::1%eth0", "/fe80:0:0:0:0:0:0:1"),
        ("2001:db8::a0:0", "/2001:db8:0:0:0:0:a0:0"),
    ],
)
def test_addresses_are_shown_as_java_prints_them(address: str, shown: str) -> None:
    assert java_address(address) == shown
