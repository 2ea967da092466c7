"""Checkpoints: `save` and `load` of nested data, as safetensors files that run no code."""

from __future__ import annotations

import json
from typing import Any

from ..core.device import need_cpu
from ..files import path_of, write_atomically
from .header import Bad, SafetensorError
from .safetensors import (
    array_from,
    as_tensor,
    chunks_of,
    read_bytes,
    read_file,
    safe_open,
    with_aliases,
)
from .structure import Writer, read

FORMAT = "adjoint-checkpoint-1"


def save(obj, f) -> None:
    """Write data to a path (whole or not at all) or a binary file.

    Tensors, arrays, numbers, texts, bytes, None, dtypes, generators, and dicts, lists, tuples
    and sets of them; any reader of safetensors can read the tensors. Tensors on the same
    memory are written once and share memory when they are loaded.

    >>> import tempfile, adjoint
    >>> path = tempfile.mkdtemp() + "/run.ckpt"
    >>> adjoint.save({"step": 3, "state": {0: (tensor([1.]), None)}}, path)
    >>> adjoint.load(path)
    {'step': 3, 'state': {0: (tensor([1.]), None)}}
    """
    writer = Writer()
    structure = json.dumps(writer.write(obj), allow_nan=False, separators=(",", ":"))
    metadata = {"format": FORMAT, "structure": structure}
    chunks = chunks_of(writer.arrays, metadata)
    if not hasattr(f, "write"):
        write_atomically(f, chunks)
        return
    for chunk in chunks:
        f.write(chunk)


def load(f, map_location=None, *, weights_only: bool = True, mmap: bool = False) -> Any:
    """What `save` wrote to a path or a binary file; of another safetensors file, its tensors.

    With `mmap` the tensors of a path come from the disk when they are touched. Nothing is
    unpickled whatever `weights_only` says. All is on the CPU: `map_location` may be that, a
    dict of devices to it, or a function, which is not needed.

    >>> import io, adjoint
    >>> file = io.BytesIO()
    >>> adjoint.save([1, "two", 3.], file)
    >>> adjoint.load(io.BytesIO(file.getvalue()))
    [1, 'two', 3.0]
    """
    for device in _devices(map_location):
        need_cpu(device, "load")
    label = "load" if hasattr(f, "read") else path_of(f)
    arrays, metadata = _arrays_of(f, mmap, label)
    if metadata.get("format") != FORMAT:
        return _tensors(arrays, label)
    try:
        return read(_parsed(metadata.get("structure", "")), arrays)
    except Bad as bad:
        raise SafetensorError(f"{label}: {bad}") from None


def _devices(map_location) -> list:
    """Where tensors are to be."""
    if isinstance(map_location, dict):
        return list(map_location.values())
    return [] if callable(map_location) else [map_location]


def _tensors(arrays: dict, label: str) -> dict:
    """The tensors of a file that other software wrote; those on one array are one."""
    made = {id(a): as_tensor(a, name, label) for name, a in arrays.items()}
    return {name: made[id(a)] for name, a in arrays.items()}


def _arrays_of(f, mmap: bool, label: str) -> tuple[dict, dict]:
    """The arrays and the metadata of a path or a binary file."""
    if hasattr(f, "read"):
        arrays, header = read_bytes(f.read(), array_from, label)
    elif mmap:
        with safe_open(label, framework="numpy") as opened:
            arrays, header = opened.get_tensors(), opened.header
        arrays = with_aliases(arrays, header)
    else:
        arrays, header = read_file(label, array_from)
    return arrays, header.metadata


def _parsed(structure: str) -> Any:
    try:
        return json.loads(structure)
    except (ValueError, RecursionError) as error:
        raise Bad(f"the structure is not JSON: {error}") from None
