"""The machine at hand: its vector width, and LLVM as its compiler and loader."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from contextlib import suppress

from . import library as llvm
from .remains import let_go


@functools.cache
def processor() -> tuple[str, str]:
    """Its name and all of its features, as LLVM calls them.

    A virtual machine may hide some that others need. What is missing stands last: with it LLVM
    takes away what needs it, which a later word would bring back.
    """
    name, features = llvm.processor()
    return name, ",".join(sorted(features.split(","), key=lambda f: f[:1] == "-"))


@functools.cache
def has(feature: str) -> bool:
    """Whether this processor has it, with all that LLVM says it needs."""
    shown = f"+{feature}" in processor()[1].split(",")
    return shown and all(map(has, _NEEDS.get(feature, ())))


_NEEDS = {
    "ssse3": ("sse3",),
    "sse4.1": ("ssse3",),
    "sse4.2": ("sse4.1",),
    "avx": ("sse4.2",),
    "fma": ("avx",),
    "f16c": ("avx",),
    "avx2": ("avx",),
    "avx512f": ("avx2", "fma", "f16c"),
    "avx512vl": ("avx512f",),
    "avx512bw": ("avx512f",),
    "avx512bf16": ("avx512bw",),
    "amx-bf16": ("amx-tile",),
}


def host(effort: int = 3) -> llvm.Machine:
    """A description of this processor, all of its features on; an engine takes it over."""
    return llvm.Machine(*processor(), effort)


@functools.cache
def vector_bits() -> int:
    """The widest vector that this processor has."""
    for feature, bits in (("avx512f", 512), ("avx", 256)):
        if has(feature):
            return bits
    return 128


@functools.cache
def pairs() -> str:
    """What this processor multiplies pairs of bfloat16 with: "tiles" of them (AMX), or
    "vectors" (AVX-512); "" if neither, or if the system forbids it.
    """
    wide = vector_bits() == 512 and has("avx512bw")
    if wide and has("amx-tile") and has("amx-bf16") and _may_use_tiles():
        return "tiles"
    # Processors with AMX have these instructions of AVX-512, at a quarter of Zen 4's pace: 60
    # GFLOP/s measured, where float32 has 150.
    return "vectors" if wide and has("avx512bf16") and not has("amx-tile") else ""


ARCH_PRCTL, REQUEST, TILES = 158, 0x1023, 18  # Linux' numbers on x86-64


def _may_use_tiles() -> bool:
    """Whether Linux lets this process, and all its threads, use AMX: it has to be asked."""
    if platform.system() != "Linux":
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST, TILES) == 0


@functools.cache
def registers() -> int:
    """How many vectors it can hold."""
    return 16 if _is_x86() and vector_bits() < 512 else 32


def fuses() -> bool:
    """Whether it multiplies and adds in one instruction, with one rounding."""
    return has("fma") or not _is_x86()


def converts_halves() -> bool:
    """Whether it has instructions between float16 and float32."""
    return has("f16c") or not _is_x86()


def rounds() -> bool:
    """Whether it rounds to whole numbers."""
    return has("sse4.1") or not _is_x86()


def masks() -> bool:
    """Whether it loads some lanes of a vector at once; else each is looked at on its own."""
    return has("avx")


def is_arm() -> bool:
    """Whether it is one of ARM's, of 64 bits."""
    return platform.machine().lower() in _ARM


def _is_x86() -> bool:
    return platform.machine().lower() in _X86


_X86 = frozenset({"x86_64", "amd64", "i386", "i686"})
_ARM = frozenset({"arm64", "aarch64"})
_CACHES = {1: 2**15, 2: 2**20, 3: 2**23}  # bytes, where the system does not say


def cache(level: int) -> int:
    """Bytes of the data cache of a level that a core has, or shares."""
    return _caches().get(level) or _CACHES[level]


@functools.cache
def _caches(folder="/sys/devices/system/cpu/cpu0/cache") -> dict[int, int]:
    """The sizes of data caches by their levels, as the system tells them."""
    found = {}
    with suppress(OSError):
        for name in filter(lambda x: x.startswith("index"), os.listdir(folder)):
            # Virtual machines may tell of a cache, but not how large it is.
            with suppress(OSError, ValueError, KeyError, IndexError):
                found |= _cache(os.path.join(folder, name))
    return found


def _cache(place: str) -> dict[int, int]:
    kind, level, size = (_line(place, x) for x in ("type", "level", "size"))
    bytes = int(size[:-1]) * {"K": 2**10, "M": 2**20}[size[-1]]
    return {} if kind == "Instruction" else {int(level): bytes}


def _line(place: str, name: str) -> str:
    with open(os.path.join(place, name)) as f:
        return f.read().strip()


# What the emitter leaves to LLVM. It writes vectors, and each value once, so a tenth of LLVM's
# own list does: the same speed for a quarter of the time (docs/notes/build_time.md).
PASSES = (
    "AlwaysInliner",
    "IPSCCP",  # functions of which all callers give one number
    "GlobalDCE",
    "SROA",
    "InstCombine",
    "SimplifyCFG",
)
UNROLLING = "LoopUnroll", "SimplifyCFG"


@functools.cache
def _passes() -> tuple[str, ...]:
    """Those above, and short loops unrolled. LLVM takes loops of thousands of instructions to be
    short for Zen: up to 45 % of its time, for code that is no faster.
    """
    return PASSES if processor()[0].startswith("znver") else (*PASSES, *UNROLLING)


def _made(text: str, effort: int, is_object: bool) -> bytes:
    """An object file of a module, given as text, or the assembler's text of it.

    Without effort it is made as it was written, in a third of the time.
    """
    module, machine = llvm.Module(text), host(effort)
    if effort:
        module.verify()
        machine.run(_passes(), module)
    return machine.code(module, is_object)


def machine_code(text: str, effort: int = 3) -> bytes:
    """An object file of a module; no effort is for code that mostly waits."""
    return _made(text, effort, is_object=True)


def assembly(text: str, effort: int = 3) -> str:
    """The same for people."""
    return _made(text, effort, is_object=False).decode()


class Library:
    """Machine code in memory, for as long as this lives."""

    def __init__(self, *codes: bytes):
        self.engine = llvm.Engine(host(effort=0))
        for code in codes:
            self.engine.add(code)
        self.engine.finish()
        let_go()

    def data(self, name: str) -> int:
        """Where a global variable lies."""
        return self.engine.data(name)

    def address(self, name: str) -> int:
        """Where a function of the module starts."""
        return self.engine.function(name)
