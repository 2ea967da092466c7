"""The header of a safetensors file: which tensors it holds, and that this can be true.

A file is eight bytes that give the size of the header, the header in JSON, and the tensors'
bytes one after the other without gaps. All of a header is checked before a tensor is read.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from ..core import dtype as dt
from ..errors import FileError

LARGEST = 100_000_000  # bytes that a header may have
METADATA = "__metadata__"
_WHOLE = 1 << 63  # sizes and offsets stay below
_DIMS = 64  # as many as NumPy's arrays can have


class SafetensorError(FileError):
    """A safetensors file that is not as the format demands, or cannot be held here."""


class Bad(Exception):
    """What is wrong with a file; its name is added where it is known."""


class Entry(NamedTuple):
    """One tensor of a file: where its bytes are, counted from the first tensor's."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """What a file says of itself; `size` is where its tensors begin."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    size: int


# name -> (bits of an element, NumPy's dtype), in the order in which tensors are written:
# the widest first, so that all are aligned.
_WITH_NUMPY = (
    "BOOL bool,U8 uint8,I8 int8,I16 int16,U16 uint16,F16 float16,I32 int32,U32 uint32,"
    "F32 float32,C64 complex64,F64 float64,I64 int64,U64 uint64"
)
BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
RANK = {name: i for i, name in enumerate(BITS)}
NUMPY = {
    name: np.dtype(d).newbyteorder("<")
    for name, d in (pair.split() for pair in _WITH_NUMPY.split(","))
}
if dt.bfloat16 is not None:
    NUMPY["BF16"] = dt.bfloat16.np
NAME = {d.newbyteorder("="): name for name, d in NUMPY.items()}


# ---------------------------------------------------------------- reading


def header_size(first: bytes, total: int) -> int:
    """The size of the JSON, which the first eight bytes of a file of `total` bytes give."""
    if len(first) < 8:
        raise Bad(f"not a safetensors file: {len(first)} bytes, at least 8 expected")
    size = int.from_bytes(first, "little")
    if size > LARGEST:
        raise Bad(
            f"not a safetensors file: the header would have {size} bytes, more than {LARGEST}"
        )
    if size + 8 > total:
        raise Bad(
            f"the file ends within its header: {total} bytes, {size + 8} expected"
        )
    return size


def parse_header(raw: bytes, space: int) -> Header:
    """The header of a file whose tensors have `space` bytes together."""
    members = _parse_json(raw)
    metadata = _metadata_of(members.pop(METADATA, {}))
    entries = {name: _entry_of(name, value) for name, value in members.items()}
    _check_layout(entries, space)
    return Header(entries, metadata, 8 + len(raw))


def _parse_json(raw: bytes) -> dict:
    if raw[:1] != b"{":
        raise Bad(f"the header must begin with '{{', got {raw[:1]!r}")
    try:
        members = json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise Bad(f"the header is not UTF-8: {error}") from None
    except RecursionError:
        raise Bad("the header is nested too deeply") from None
    except ValueError as error:
        raise Bad(f"the header is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise Bad("the header must be a JSON object")
    if not is_text("".join(members)):
        raise Bad("the header has a name that is no text: half of a surrogate pair")
    return members


def is_text(s: str) -> bool:
    """Whether it has a form in UTF-8: half of a surrogate pair has none.

    >>> is_text("ü"), is_text(chr(0xD800))
    (True, False)
    """
    return s.encode(errors="replace").decode() == s


def _object(pairs: list) -> dict:
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set = set()
        double = next(k for k, _ in pairs if k in seen or seen.add(k))
        raise Bad(f"the header has the key {double!r} twice")
    return out


def _metadata_of(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(
        isinstance(v, str) for v in value.values()
    ):
        raise Bad(f"{METADATA} must map texts to texts")
    return value


def _entry_of(name: str, value: Any) -> Entry:
    if not isinstance(value, dict):
        raise Bad(f"{name!r} must be an object, got {_brief(value)}")
    for key in ("dtype", "shape", "data_offsets"):
        if key not in value:
            raise Bad(f"{name!r} has no {key}")
    d, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(d, str) or d not in BITS:
        raise Bad(f"{name!r} has the unknown dtype {_brief(d)}")
    if not _whole(shape) or len(shape) > _DIMS:
        raise Bad(
            f"the shape of {name!r} must be at most {_DIMS} whole numbers: {_brief(shape)}"
        )
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Bad(
            f"data_offsets of {name!r} must be [begin, end], got {_brief(offsets)}"
        )
    return _fitting(name, Entry(d, tuple(shape), *offsets))


def _fitting(name: str, e: Entry) -> Entry:
    """`e`, whose bytes must be as many as its shape and dtype need."""
    bits = BITS[e.dtype]
    for n in e.shape:
        bits *= n
    if bits != 8 * (e.end - e.start):
        raise Bad(
            f"{name!r}: {e.dtype} of shape {list(e.shape)} needs {bits / 8:g} bytes, "
            f"its data_offsets give {e.end - e.start}"
        )
    return e


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(n) is int and 0 <= n < _WHOLE for n in values
    )


def _check_layout(entries: dict[str, Entry], space: int) -> None:
    """The tensors follow each other without gap or overlap, to the end of the file."""
    at = 0
    for name, e in in_file_order(entries):
        if e.start != at:
            what = "overlaps what is before it" if e.start < at else "leaves a gap"
            raise Bad(f"{name!r} {what}: it begins at byte {e.start}, not {at}")
        at = e.end
    if at != space:
        raise Bad(f"the tensors need {at} bytes, the file has {space} for them")


def in_file_order(entries: dict[str, Entry]) -> list[tuple[str, Entry]]:
    """(name, entry) by place; of empty ones at the same place, by name."""
    return sorted(entries.items(), key=lambda x: (x[1].start, x[1].end, x[0]))


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---------------------------------------------------------------- writing


def build_header(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The first bytes of a file that holds these arrays in this order.

    >>> build_header({"x": np.zeros(2, np.float32)}, {})[8:]
    b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
    """
    members: dict[str, Any] = {METADATA: metadata} if metadata else {}
    at = 0
    for name, a in arrays.items():
        members[name] = {
            "dtype": NAME[a.dtype],
            "shape": list(a.shape),
            "data_offsets": [at, at + a.nbytes],
        }
        at += a.nbytes
    raw = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    if len(raw) > LARGEST:
        raise SafetensorError(
            f"the header would have {len(raw)} bytes, more than {LARGEST}",
            hint="fewer or shorter names, or less metadata",
        )
    return len(raw).to_bytes(8, "little") + raw
