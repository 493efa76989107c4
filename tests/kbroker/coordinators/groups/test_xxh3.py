"""XXH3 against values of the reference implementation (xxHash 0.8)."""

from __future__ import annotations

import pytest

from kbroker.coordinators.groups.xxh3 import xxh3_64

DATA = bytes(place * 7 & 0xFF for place in range(3000))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 0x2D06800538D394C2),
        (1, 0xC44BDFF4074EECDB),
        (3, 0xC3489259E968AD9E),
        (4, 0xD3D60C1519014E89),
        (8, 0xB88DEE77F6BF6980),
        (9, 0x3688DCAD730D826),
        (16, 0x9DA23836ADF2BE1E),
        (17, 0xF34C3C9CF5A112D1),
        (32, 0x99CB9AD0F1A11FBE),
        (33, 0xC077B45492D29CDE),
        (64, 0x6EFB76FF16F37561),
        (65, 0x2640848E9137156B),
        (96, 0x764D2D5DB92942DF),
        (97, 0x77ACB7E5F4FD940),
        (128, 0x65F3C2C00FA93185),
        (129, 0x28065C6EC25F5B25),
        (144, 0x600E8D345FF9620D),
        (240, 0x4917A75C0EF8EED7),
        (241, 0x541B19226F0052E8),
        (256, 0xFF5A1CEFADE75BB9),
        (1024, 0xDC5ACF0B043C445B),
        (1025, 0xE1D9CD946277AE26),
        (1088, 0x4A9C221912B93194),
        (2048, 0x848D24CC268F7498),
        (2049, 0xC757A52BB931999D),
        (3000, 0x6168BB188259CCCF),
    ],
)
def test_the_hash_is_that_of_the_reference(size: int, expected: int) -> None:
    assert xxh3_64(DATA[:size]) == expected
