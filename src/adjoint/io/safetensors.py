"""safetensors: tensors by name in one file that runs no code when it is read.

The functions have the names that the `safetensors` package gives them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from mmap import ACCESS_COPY
from mmap import mmap as map_file

import numpy as np

from ..core import dtype as dt
from ..core.bind import Box
from ..core.device import need_cpu
from ..core.memory import address
from ..errors import ArgumentError, ArgumentTypeError, DimError
from ..files import to_read, write_atomically
from ..functional.face import wrap
from .header import (
    METADATA,
    NAME,
    NUMPY,
    RANK,
    Bad,
    Entry,
    Header,
    SafetensorError,
    build_header,
    header_size,
    in_file_order,
    is_text,
    parse_header,
)

# ---------------------------------------------------------------- writing


def save_file(tensors: dict, filename, metadata: dict[str, str] | None = None) -> None:
    """Write tensors (or arrays) by name; the file appears whole or not at all.

    Names of one and the same memory are written once; `load_file` makes them one again.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> save_file({"w": tensor([1., 2.])}, path)
    >>> load_file(path)
    {'w': tensor([1., 2.])}
    """
    write_atomically(filename, chunks_of(tensors, metadata))


def save(tensors: dict, metadata: dict[str, str] | None = None) -> bytes:
    """The bytes that `save_file` writes.

    >>> load(save({"n": tensor(3)}))
    {'n': tensor(3)}
    """
    return b"".join(chunks_of(tensors, metadata))


def chunks_of(tensors: dict, metadata: dict[str, str] | None) -> Iterator:
    """The pieces of a file, all of it checked before the first is given."""
    given = _checked_metadata(metadata)
    arrays, aliases = distinct(_arrays_of(tensors), apart=given)
    order = sorted(arrays, key=lambda name: (-RANK[NAME[arrays[name].dtype]], name))
    arrays = {name: arrays[name] for name in order}
    head = build_header(arrays, {**given, **aliases})
    return iter([head, *(_bytes_of(a) for a in arrays.values())])


def _arrays_of(tensors: dict) -> dict[str, np.ndarray]:
    if not isinstance(tensors, dict):
        raise ArgumentTypeError(
            f"save: expected a dict of names and tensors, got {type(tensors).__name__}",
            hint="model.state_dict(); adjoint.save takes nested data",
        )
    return {name: _array_of(name, x) for name, x in tensors.items()}


def _array_of(name, x) -> np.ndarray:
    if not isinstance(name, str) or name == METADATA or not is_text(name):
        raise ArgumentTypeError(
            f"save: a tensor's name must be a text other than {METADATA!r}, got {name!r}"
        )
    if not isinstance(x, (Box, np.ndarray)):
        raise ArgumentTypeError(
            f"save: {name!r} is a {type(x).__name__}, not a tensor",
            hint="adjoint.save takes nested data with numbers and texts",
        )
    a = x.detach().numpy_of() if isinstance(x, Box) else x
    if a.dtype.newbyteorder("=") not in NAME:
        raise SafetensorError(
            f"save: {name!r} has dtype {a.dtype}, which the format does not have",
            hint="real and imaginary part apart" if a.dtype.kind == "c" else "",
        )
    return a.astype(a.dtype.newbyteorder("<"), copy=False) if a.dtype.kind != "V" else a


def distinct(arrays: dict, apart=()) -> tuple[dict, dict[str, str]]:
    """The arrays without those that are another's memory, and {name left out: name kept}.

    Names in `apart` are never left out.

    >>> a = np.zeros(3)
    >>> distinct({"b": a, "a": a[:], "c": a[1:]})[1]
    {'b': 'a'}
    """
    kept: dict = {}
    aliases = {}
    for name in sorted(arrays):
        a = arrays[name]
        where = (address(a), a.dtype, a.shape, a.strides)
        first = kept.setdefault(where, name) if a.nbytes and name not in apart else name
        if first != name:
            aliases[name] = first
    return {n: a for n, a in arrays.items() if n not in aliases}, aliases


def _bytes_of(a: np.ndarray) -> memoryview:
    return memoryview(np.ascontiguousarray(a).reshape(-1).view(np.uint8))


def _checked_metadata(metadata) -> dict[str, str]:
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(
        isinstance(s, str) and is_text(s) for pair in metadata.items() for s in pair
    ):
        raise ArgumentTypeError(
            f"save: metadata must map texts to texts, got {metadata!r}"
        )
    return metadata


# ---------------------------------------------------------------- reading


def load_file(filename, device="cpu", *, mmap: bool = False) -> dict:
    """The tensors of a file by name, read into memory of their own.

    With `mmap` they come from the disk when they are touched; the file must then stay as it is
    (one that `save_file` replaces does).

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> shared = tensor([1.])
    >>> save_file({"encoder": shared, "decoder": shared}, path)
    >>> state = load_file(path)
    >>> state["encoder"] is state["decoder"]
    True
    """
    need_cpu(device, "load_file")
    if mmap:
        with safe_open(filename) as opened:
            return with_aliases(opened.get_tensors(), opened.header)
    return read_file(filename, tensor_from)[0]


def load(data: bytes) -> dict:
    """The tensors by name of the bytes of a file.

    >>> load(save({"n": tensor(3)}))
    {'n': tensor(3)}
    """
    return read_bytes(data, tensor_from)[0]


def read_file(filename, make) -> tuple[dict, Header]:
    """What `make` makes of each tensor's bytes, and the header."""
    filename = to_read(filename)
    with open(filename, "rb") as file:
        header = _read_header(file, filename)
        out = {}
        for name, e in in_file_order(header.entries):
            buffer = np.empty(e.end - e.start, np.uint8)
            if file.readinto(buffer.data) != buffer.nbytes:
                raise SafetensorError(f"{filename}: the file ended within {name!r}")
            out[name] = make(buffer, name, e, filename)
    return with_aliases(out, header), header


def read_bytes(data, make, label="load") -> tuple[dict, Header]:
    """The same for the bytes of a file."""
    view = memoryview(data)
    try:
        size = header_size(bytes(view[:8]), len(view))
        header = parse_header(bytes(view[8 : 8 + size]), len(view) - 8 - size)
    except Bad as bad:
        hint = _other_format(bytes(view[:2]))
        raise SafetensorError(f"{label}: {bad}", hint=hint) from None
    whole = np.frombuffer(view, np.uint8)[header.size :]
    out = {
        name: make(whole[e.start : e.end].copy(), name, e, label)
        for name, e in in_file_order(header.entries)
    }
    return with_aliases(out, header), header


def _read_header(file, name) -> Header:
    total = os.fstat(file.fileno()).st_size
    first = file.read(8)
    try:
        size = header_size(first, total)
        return parse_header(file.read(size), total - 8 - size)
    except Bad as bad:
        hint = _other_format(first)
        raise SafetensorError(f"{name}: {bad}", hint=hint) from None


_FORMATS = {
    b"PK": "a zip file, as torch.save and numpy.savez write: from PyTorch, "
    "safetensors.torch.save_file(model.state_dict(), ...); numpy.load reads .npz",
    b"\x80": "a pickle, which could run any code when read",
    b"\x89H": "an HDF5 file",
    b"\x93N": "a .npy file: numpy.load reads it",
    b"GG": "a GGUF file",
    b"\x1f\x8b": "compressed: unpack it first",
}


def _other_format(first: bytes) -> str:
    """What a file that begins so seems to be instead."""
    found = [text for start, text in _FORMATS.items() if first.startswith(start)]
    return f"this seems to be {found[0]}" if found else ""


def array_from(buffer: np.ndarray, name: str, e: Entry, file) -> np.ndarray:
    """The array of an entry on these bytes, or on a copy where they are not aligned."""
    if e.dtype not in NUMPY:
        raise SafetensorError(
            f"{file}: {name!r} has dtype {e.dtype}, which arrays here do not have",
            hint="bfloat16 needs the ml_dtypes package" if e.dtype == "BF16" else "",
        )
    if e.dtype == "BOOL" and buffer.size and buffer.max() > 1:
        raise SafetensorError(f"{file}: {name!r} is BOOL but has bytes other than 0, 1")
    try:
        a = buffer.view(NUMPY[e.dtype]).reshape(e.shape)
    except ValueError as error:  # an empty array whose other sizes are too large
        raise SafetensorError(f"{file}: {name!r}: {error}") from None
    return a if a.flags.aligned else a.copy()


def tensor_from(buffer: np.ndarray, name: str, e: Entry, file):
    """The same as a tensor."""
    return as_tensor(array_from(buffer, name, e, file), name, file)


def as_tensor(a: np.ndarray, name: str, file):
    """The tensor on an array of a file."""
    if a.dtype not in dt.BY_NUMPY:
        raise SafetensorError(
            f"{file}: {name!r} has dtype {NAME[a.dtype]}, which tensors here do not have",
            hint='safe_open(..., framework="numpy") reads it as an array',
        )
    return wrap(a)


def with_aliases(out: dict, header: Header) -> dict:
    """`out` and the names that were left out because their memory had another name."""
    for name, kept in header.metadata.items():
        if name not in out and kept in out:
            out[name] = out[kept]
    return out


# ---------------------------------------------------------------- lazily


class safe_open:
    """A file whose tensors are read when they are asked for; a context manager.

    The file is mapped, not read: a tensor's pages come from the disk when they are touched,
    and writing to a tensor does not change the file. `framework` is "adjoint" ("pt" means the
    same) or "numpy".

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> save_file({"w": arange(6).reshape(2, 3)}, path, {"by": "me"})
    >>> with safe_open(path) as f:
    ...     print(f.keys(), f.metadata(), f.get_tensor("w").shape, f.get_slice("w")[0, 1:])
    ['w'] {'by': 'me'} adjoint.Size([2, 3]) tensor([1, 2])
    """

    def __init__(self, filename, framework="adjoint", device="cpu"):
        need_cpu(device, "safe_open")
        if framework not in ("adjoint", "pt", "np", "numpy"):
            raise ArgumentError(
                f'safe_open: framework must be "adjoint" or "numpy", got {framework!r}'
            )
        self.filename = filename = to_read(filename)
        self._make = _MAKE.get(framework, tensor_from)
        with open(filename, "rb") as file:
            self.header = _read_header(file, filename)
            mapped = map_file(file.fileno(), 0, access=ACCESS_COPY)
        self._bytes: np.ndarray | None = np.frombuffer(mapped, np.uint8)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bytes = None  # the map goes with the last tensor that lies on it

    def keys(self) -> list[str]:
        """The names, sorted."""
        return sorted(self.header.entries)

    def offset_keys(self) -> list[str]:
        """The names in the order of the file."""
        return [name for name, _ in in_file_order(self.header.entries)]

    def metadata(self) -> dict[str, str] | None:
        """What the writer noted; None if nothing."""
        return dict(self.header.metadata) or None

    def get_tensor(self, name: str):
        """The tensor of a name."""
        e = self._entry(name)
        return self._make(self._part(e), name, e, self.filename)

    def get_tensors(self) -> dict:
        """All tensors by name."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> Slice:
        """What gives parts of a tensor by indexing, such as `f.get_slice("w")[:, 2:4]`."""
        e = self._entry(name)
        return Slice(array_from(self._part(e), name, e, self.filename), e, self._make)

    def _entry(self, name: str) -> Entry:
        found = self.header.entries.get(name)
        if found is None:
            raise SafetensorError(
                f"{self.filename} has no tensor {name!r}",
                hint=f"it has {', '.join(self.keys()[:8]) or 'none'}",
            )
        return found

    def _part(self, e: Entry) -> np.ndarray:
        if self._bytes is None:
            raise SafetensorError(f"{self.filename} was closed")
        return self._bytes[self.header.size + e.start : self.header.size + e.end]


class Slice:
    """A tensor of a file, of which parts are read."""

    def __init__(self, array: np.ndarray, entry: Entry, make):
        self._array, self._entry, self._make = array, entry, make

    def get_shape(self) -> list[int]:
        """The shape of the whole."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """The dtype, as the format names it."""
        return self._entry.dtype

    def __getitem__(self, key):
        for k in key if isinstance(key, tuple) else (key,):
            if not (k is ... or k is None or isinstance(k, (int, np.integer, slice))):
                raise ArgumentTypeError(
                    f"get_slice takes numbers, slices and ..., not {type(k).__name__}"
                )
        try:
            part = np.array(self._array[key], order="C")
        except (IndexError, ValueError) as error:
            raise DimError(f"get_slice of shape {self.get_shape()}: {error}") from None
        e = self._entry._replace(shape=part.shape)
        return self._make(part.reshape(-1).view(np.uint8), "slice", e, "get_slice")


_MAKE = {"np": array_from, "numpy": array_from}


# ---------------------------------------------------------------- models


def save_model(
    model, filename, metadata: dict[str, str] | None = None, force_contiguous=True
) -> None:
    """Write the state of a module; of parameters that are shared one name is written.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> save_model(model, path)
    >>> load_model(other, path)
    ([], [])
    >>> other.weight.equal(model.weight)
    True
    """
    save_file(dict(model.state_dict()), filename, metadata)


def load_model(model, filename, strict: bool = True, device="cpu"):
    """Copy a file into a module: (names that were missing, names too much).

    A name that the file leaves out is not missing where the model shares its memory with one
    that is there.
    """
    state = load_file(filename, device)
    own = {k: x.numpy_of() for k, x in model.state_dict().items() if isinstance(x, Box)}
    _, aliases = distinct(own)
    for group in _groups(aliases):
        there = [name for name in group if name in state]
        for name in group:
            if there and name not in state:
                state[name] = state[there[0]]
    found = model.load_state_dict(state, strict=strict)
    return list(found.missing_keys), list(found.unexpected_keys)


def _groups(aliases: dict[str, str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name, kept in aliases.items():
        groups.setdefault(kept, [kept]).append(name)
    return list(groups.values())
