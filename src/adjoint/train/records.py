"""Event records: the bytes of TensorBoard's files, written and read.

A file is a row of records: length, check of the length, an `Event` message in protocol
buffer encoding, check of the message. The checks are CRC-32C, masked as in TFRecord.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import ArgumentError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def _table():
    """The check of each single byte, for Castagnoli's polynomial."""
    out = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        out.append(byte)
    return tuple(out)


TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data` (RFC 3720, appendix B.4).

    >>> from adjoint.train.records import crc32c
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, c = TABLE, 0xFFFFFFFF
    for byte in data:
        c = table[(c ^ byte) & 0xFF] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The check as records keep it, turned and shifted."""
    c = crc32c(data)
    return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(message: bytes) -> bytes:
    """A message as a record."""
    size = struct.pack("<Q", len(message))
    checks = struct.pack("<I", masked(size)), struct.pack("<I", masked(message))
    return size + checks[0] + message + checks[1]


def records(data: bytes) -> Iterator[bytes]:
    """The messages of a file; a last record that was cut off is left out."""
    at = 0
    while at + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        _check(data[at : at + 8], data, at + 8, at)
        end = at + 12 + size
        if end + 4 > len(data):
            return
        _check(data[at + 12 : end], data, end, at)
        yield data[at + 12 : end]
        at = end + 4


def _check(part, data, place, at):
    if struct.unpack_from("<I", data, place)[0] != masked(part):
        raise ArgumentError(f"the record at byte {at} of the event file is damaged")


# ---------------------------------------------------------------- protocol buffers


def varint(n: int) -> bytes:
    """An integer in groups of seven bits, the lowest first."""
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, value) -> bytes:
    """One field: an int, a float (double), text, bytes or a list of floats (packed)."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | FIXED64) + struct.pack("<d", value)
    if isinstance(value, str):
        value = value.encode("utf-8")
    if isinstance(value, list):
        value = struct.pack(f"<{len(value)}d", *value)
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def single(number: int, value: float) -> bytes:
    """A field of 32-bit floating point."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:  # beyond the largest single: infinite, as casts make it
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return varint(number << 3 | FIXED32) + packed


def fields(data: bytes) -> dict[int, list]:
    """The fields of a message by number; numbers as they are, all else as bytes."""
    out: dict[int, list] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read(key & 7, data, at)
        out.setdefault(key >> 3, []).append(value)
    return out


def _read_varint(data, at):
    n = shift = 0
    while True:
        byte = data[at]
        n |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return n, at


def _read(kind, data, at) -> tuple[Any, int]:
    if kind == VARINT:
        return _read_varint(data, at)
    if kind == FIXED64:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind == FIXED32:
        return struct.unpack_from("<f", data, at)[0], at + 4
    if kind != BYTES:
        raise ArgumentError(f"wire type {kind} does not occur in event files")
    size, at = _read_varint(data, at)
    return data[at : at + size], at + size


# ---------------------------------------------------------------- messages


class Histogram(NamedTuple):
    """How many values lie up to each limit, with their moments."""

    low: float
    high: float
    count: float
    total: float
    squares: float
    limits: list
    counts: list


class Event(NamedTuple):
    """One value of one tag: a float, text, PNG bytes or a Histogram."""

    tag: str
    step: int
    value: Any
    wall_time: float


def version(wall_time: float) -> bytes:
    """The event that a file begins with."""
    return field(1, wall_time) + field(3, "brain.Event:2")


def event(tag: str, step: int, value: bytes, wall_time: float) -> bytes:
    """An event with one summary value, its own fields already encoded."""
    summary = field(1, field(1, tag) + value)
    return field(1, wall_time) + field(2, step) + field(5, summary)


def scalar(value: float) -> bytes:
    """A summary value that is a number."""
    return single(2, value)


def histogram(h: Histogram) -> bytes:
    """A summary value that is a histogram."""
    parts = [field(i + 1, float(v)) for i, v in enumerate(h[:5])]
    return field(5, b"".join([*parts, field(6, h.limits), field(7, h.counts)]))


def image(height: int, width: int, channels: int, data: bytes) -> bytes:
    """A summary value that is a PNG file."""
    size = field(1, height) + field(2, width) + field(3, channels)
    return field(4, size + field(4, data))


def words(value: str) -> bytes:
    """A summary value that is text: a tensor of one string, for the text plugin."""
    plugin = field(9, field(1, field(1, "text")))
    shape = field(2, field(2, field(1, 1)))
    return plugin + field(8, field(1, 7) + shape + field(8, value))


def decoded(message: bytes) -> Iterator[Event]:
    """The values of an event."""
    e = fields(message)
    time, step = e.get(1, [0.0])[0], e.get(2, [0])[0]
    step = step - (1 << 64) if step >> 63 else step
    for summary in e.get(5, []):
        for value in fields(summary).get(1, []):
            v = fields(value)
            yield Event(v[1][0].decode("utf-8"), step, _value(v), time)


def _value(v):
    if 2 in v:
        return v[2][0]
    if 4 in v:
        return fields(v[4][0])[4][0]
    if 5 in v:
        h = fields(v[5][0])
        edges, counts = (_doubles(h.get(k, [b""])[0]) for k in (6, 7))
        return Histogram(*(h.get(k, [0.0])[0] for k in range(1, 6)), edges, counts)
    if 8 in v:
        return b"".join(fields(v[8][0]).get(8, [])).decode("utf-8")
    return None


def _doubles(data):
    return list(struct.unpack(f"<{len(data) // 8}d", data))
