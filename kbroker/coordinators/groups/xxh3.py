"""XXH3 with 64 bits, seed 0 and the default secret (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).

In Python it takes about 0.1 ms a KiB: for what is hashed seldom.
"""

from __future__ import annotations

from struct import unpack, unpack_from

MASK = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3, P64_4, P64_5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
PMX_1, PMX_2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
STRIPE, STRIPES = 64, 16  # bytes; a block has so many stripes
BLOCK = STRIPE * STRIPES
SHORT, MIDDLE = 16, 240  # the longest inputs that have ways of their own, bytes


def xxh3_64(data: bytes) -> int:
    """The hash, unsigned."""
    if len(data) > MIDDLE:
        return _long(data)
    return _middle(data) if len(data) > SHORT else _short(data)


def _short(data: bytes) -> int:
    size = len(data)
    if size > 8:
        low = _u64(data, 0) ^ _key(24) ^ _key(32)
        high = _u64(data, size - 8) ^ _key(40) ^ _key(48)
        swapped = int.from_bytes(low.to_bytes(8), "little")
        return _avalanche(size + swapped + high + _fold(low, high) & MASK)
    if size > 3:
        first, last = unpack("<II", data[:4] + data[-4:])
        mixed: int = (last + (first << 32)) ^ _key(8) ^ _key(16)
        mixed ^= _rotate(mixed, 49) ^ _rotate(mixed, 24)
        mixed = mixed * PMX_2 & MASK
        mixed ^= (mixed >> 35) + size
        mixed = mixed * PMX_2 & MASK
        return mixed ^ mixed >> 28
    if size:
        combined = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return _avalanche_64(combined ^ _key(0) & 0xFFFFFFFF ^ _key(0) >> 32)
    return _avalanche_64(_key(56) ^ _key(64))


def _middle(data: bytes) -> int:
    size = len(data)
    mixed = size * P64_1
    if size <= 128:
        for turn in range((size - 1) // 32 + 1):
            mixed += _mix(data, 16 * turn, 32 * turn) + _mix(data, size - 16 * (turn + 1), 32 * turn + 16)
        return _avalanche(mixed & MASK)
    for turn in range(8):
        mixed += _mix(data, 16 * turn, 16 * turn)
    mixed = _avalanche(mixed & MASK)
    for turn in range(8, size // 16):
        mixed += _mix(data, 16 * turn, 16 * (turn - 8) + 3)
    return _avalanche(mixed + _mix(data, size - 16, 119) & MASK)


def _long(data: bytes) -> int:
    lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    size = len(data)
    scramble_keys = unpack_from("<8Q", SECRET, len(SECRET) - STRIPE)
    for stripe in range((size - 1) // STRIPE):
        if stripe and stripe % STRIPES == 0:
            lanes = [(lane ^ lane >> 47 ^ key) * P32_1 & MASK for lane, key in zip(lanes, scramble_keys, strict=True)]
        _accumulate(lanes, data, stripe * STRIPE, stripe % STRIPES * 8)
    if (size - 1) // STRIPE and (size - 1) // STRIPE % STRIPES == 0:
        lanes = [(lane ^ lane >> 47 ^ key) * P32_1 & MASK for lane, key in zip(lanes, scramble_keys, strict=True)]
    _accumulate(lanes, data, size - STRIPE, len(SECRET) - STRIPE - 7)
    merged = size * P64_1
    for place in range(0, 8, 2):
        merged += _fold(lanes[place] ^ _key(11 + 8 * place), lanes[place + 1] ^ _key(19 + 8 * place))
    return _avalanche(merged & MASK)


def _accumulate(lanes: list[int], data: bytes, position: int, secret: int) -> None:
    values = unpack_from("<8Q", data, position)
    keys = unpack_from("<8Q", SECRET, secret)
    for lane, value in enumerate(values):
        keyed = value ^ keys[lane]
        lanes[lane ^ 1] = lanes[lane ^ 1] + value & MASK
        lanes[lane] = lanes[lane] + (keyed & 0xFFFFFFFF) * (keyed >> 32) & MASK


def _mix(data: bytes, position: int, secret: int) -> int:
    low, high = unpack_from("<2Q", data, position)
    return _fold(low ^ _key(secret), high ^ _key(secret + 8))


def _fold(left: int, right: int) -> int:
    product = left * right
    return product & MASK ^ product >> 64


def _avalanche(mixed: int) -> int:
    mixed ^= mixed >> 37
    mixed = mixed * PMX_1 & MASK
    return mixed ^ mixed >> 32


def _avalanche_64(mixed: int) -> int:
    mixed ^= mixed >> 33
    mixed = mixed * P64_2 & MASK
    mixed ^= mixed >> 29
    mixed = mixed * P64_3 & MASK
    return mixed ^ mixed >> 32


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 64 - by) & MASK


def _key(position: int) -> int:
    return _u64(SECRET, position)


def _u64(data: bytes, position: int) -> int:
    value: int = unpack("<Q", data[position : position + 8])[0]
    return value
