"""Compiled programs on disk: found again, never trusted blindly, never in the way."""

import errno
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler import cache
from adjoint.compiler.native import digest as digest_module
from adjoint.compiler.native.digest import digest
from adjoint.core.primitive import Elementwise
from adjoint_cli import main
from test_layers import imports

SRC = str(Path(__file__).parents[1] / "src")
KEY = "0" * 64
CAPTURING = {"ending.py", "inner.py"}  # what they do is in the captured program
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="has no owners of files")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("ADJOINT_CACHE", str(tmp_path / "cache"))
    return cache.path()


def files():
    return sorted(f.name for f in cache.path().iterdir())


def saved(key=KEY, code=b"machine code"):
    cache.save(key, {"name": "step"}, code)
    return cache.path() / f"{key}.code"


def made(f, *args):
    """(what a function answers when it is compiled, its native program)."""
    f = compile(f)
    f(*args)
    y = f(*args)
    return y, f._native()


def polynomial(x):
    return (3 * x * x + x).sum()


# ---------------------------------------------------------------- files


def test_what_is_saved_is_loaded(folder):
    assert cache.load(KEY) is None
    saved(code=b"line\nline\n\0")
    about, code = cache.load(KEY)
    assert (about["name"], code) == ("step", b"line\nline\n\0")
    (entry,) = cache.entries()
    assert entry[:2] == (KEY, "step")
    assert entry.bytes == os.path.getsize(folder / f"{KEY}.code")
    assert abs(entry.used - time.time()) < 60
    assert cache.clear() == (1, entry.bytes)
    assert cache.entries() == []
    assert cache.load(KEY) is None


def truncated(raw):
    return raw[:-1]


def flipped(raw):
    return raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:]


def other_version(raw):
    return raw.replace(b"code 1 ", b"code 2 ", 1)


def foreign(raw):
    return b"\x7fELF" + bytes(100)


def empty(raw):
    return b""


@pytest.mark.parametrize("harm", [truncated, flipped, other_version, foreign, empty])
def test_a_damaged_file_is_compiled_again(folder, caplog, harm):
    x = ad.tensor([1.0, 2.0])
    want = made(polynomial, x)[0]
    (name,) = files()
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(harm(whole))
    with caplog.at_level(logging.INFO, "adjoint.compiler"):
        got, native = made(polynomial, x)
    assert got == want
    assert not native.cached
    assert "damaged" in caplog.text
    assert (folder / name).read_bytes() == whole
    assert made(polynomial, x)[1].cached


@pytest.mark.parametrize("put", [os.mkdir, getattr(os, "mkfifo", os.mkdir)])
def test_what_is_no_file_is_left_alone(folder, put):
    x = ad.tensor([1.0, 2.0])
    want = made(polynomial, x)[0]
    place = folder / files()[0]
    place.unlink()
    put(place)
    assert cache.entries() == []
    assert cache.clear() == (0, 0)
    got, native = made(polynomial, x)
    assert got == want
    assert not native.cached


def test_a_file_under_another_name_is_refused(folder):
    saved().rename(folder / f"{'1' * 64}.code")
    assert cache.load("1" * 64) is None


def test_the_size_is_bounded_and_the_oldest_go_first(folder, monkeypatch):
    monkeypatch.setenv("ADJOINT_CACHE_MB", "0.01")
    keys = [f"{i:064}" for i in range(9)]
    now = time.time()
    for i, key in enumerate(keys[:8]):
        file = saved(key, bytes(1000))
        os.utime(file, (now, now - 8000 + 1000 * i))
    assert cache.load(keys[0])  # used, so no more the oldest
    saved(keys[8], bytes(1000))
    left = {e.key for e in cache.entries()}
    assert sum(e.bytes for e in cache.entries()) <= cache.limit() == 10_000
    assert left == {keys[0], *keys[2:]}
    saved(KEY[:-1] + "x", bytes(20_000))
    assert {e.key for e in cache.entries()} == left


def test_unfinished_files_of_a_crash_go_and_other_files_stay(folder):
    saved()
    for name, age in (("a.part", 7200), ("b.part", 60), ("notes.txt", 7200)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time(), time.time() - age))
    saved("1" * 64)
    assert files() == [f"{KEY}.code", f"{'1' * 64}.code", "b.part", "notes.txt"]
    cache.clear()
    assert files() == ["notes.txt"]


@pytest.mark.parametrize("where", ["replace", "fdopen", "scandir"])
def test_a_full_disk_is_passed_over(folder, monkeypatch, caplog, where):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    x = ad.tensor([1.0, 2.0])
    made(lambda x: x + 1, x)  # so that our sources have been looked at
    before = files()
    with caplog.at_level(logging.DEBUG, "adjoint.compiler"), monkeypatch.context() as m:
        m.setattr(os, where, full)
        y, native = made(polynomial, x)
    assert y.item() == 18
    assert not native.cached
    assert where == "scandir" or files() == before
    assert ("not cached: [Errno 28]" in caplog.text) == (where != "scandir")


def test_a_folder_that_cannot_be_made_is_passed_over(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADJOINT_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.INFO, "adjoint.compiler"):
        assert made(polynomial, ad.tensor([1.0, 2.0]))[0].item() == 18
    assert "not cached" not in caplog.text
    assert cache.entries() == []
    assert cache.clear() == (0, 0)


@posix
def test_only_the_owner_may_write(folder, caplog):
    file = saved()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o666)
    assert cache.load(KEY) is None
    file.chmod(0o600)
    assert cache.load(KEY)
    folder.chmod(0o777)
    assert cache.load(KEY) is None
    assert "others may write there" in caplog.text
    saved("1" * 64)
    assert files() == [file.name]


@posix
def test_what_somebody_else_wrote_is_not_run(folder, monkeypatch):
    saved()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert cache.load(KEY) is None


# ---------------------------------------------------------------- where


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("ADJOINT_CACHE", "OFF")
    assert cache.path() is None
    monkeypatch.setenv("ADJOINT_CACHE", str(tmp_path))
    assert cache.path().parent == tmp_path
    monkeypatch.delenv("ADJOINT_CACHE")
    monkeypatch.setattr(os.path, "expanduser", lambda x: str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.path().parent == tmp_path / "xdg" / "adjoint"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.path().parent == tmp_path / ".cache" / "adjoint"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.path().parent == tmp_path / "Library" / "Caches" / "adjoint"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache.path().parent == tmp_path / "local" / "adjoint"


def test_nobody_home(monkeypatch):
    for name in ("ADJOINT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda x: x)
    assert cache.path() is None
    assert made(polynomial, ad.tensor([1.0, 2.0]))[0].item() == 18


@pytest.mark.parametrize(
    ("said", "limit"),
    [("plenty", 512), ("", 512), ("inf", 512), ("nan", 512), ("1.5", 1.5), ("-1", 0)],
)
def test_a_limit_that_makes_no_sense_is_the_usual_one(monkeypatch, said, limit):
    monkeypatch.setenv("ADJOINT_CACHE_MB", said)
    assert cache.limit() == limit * 1_000_000


# ---------------------------------------------------------------- processes

TRAINING = """
import adjoint as ad
from adjoint import nn, optim
_ = ad.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))
opt = optim.Adam(net.parameters(), lr=0.01)

@ad.compile
def step(x):
    opt.zero_grad()
    loss = (net(x) ** 2).mean() + ad.linalg.det(net[0].weight.T @ net[0].weight)
    loss.backward()
    opt.step()
    return loss

losses = [step(ad.ones(32, 2)).item() for _ in range(5)]
print(step._native().cached, losses, step.memory().inside)
"""


def process(program, **env):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": SRC, **env},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_next_process_finds_a_training_step(folder):
    first = process(TRAINING, PYTHONHASHSEED="1").communicate()[0]
    assert first.startswith("False")
    assert len(files()) == 1
    for seed in ("2", "3"):
        again = process(TRAINING, PYTHONHASHSEED=seed).communicate()[0]
        assert again == first.replace("False", "True")
    assert len(files()) == 1


RACE = f"""
from adjoint.compiler import cache
for i in range(200):
    cache.save("{KEY}", {{"name": "f", "byte": i % 7}}, bytes([i % 7]) * 5000)
    found = cache.load("{KEY}")
    if found is not None:  # it is gone for a moment when another process clears
        about, code = found
        assert code == bytes([about["byte"]]) * 5000
    if i % 50 == 0:
        cache.clear()
print("done")
"""


def test_processes_race(folder):
    racers = [process(RACE) for _ in range(3)]
    assert [r.communicate()[0].strip() for r in racers] == ["done"] * 3
    assert set(files()) <= {f"{KEY}.code"}
    saved()
    assert cache.load(KEY)[1] == b"machine code"


def test_threads_race(folder):
    x, answers = ad.tensor([1.0, 2.0]), []
    threads = [
        threading.Thread(target=lambda: answers.append(made(polynomial, x)[0].item()))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert answers == [18] * 4
    assert len(files()) == 1


# ---------------------------------------------------------------- programs


def test_a_program_with_calls_of_numpy_is_loaded_whole(folder):
    x = ad.tensor(np.random.default_rng(0).normal(size=(4, 4)))

    def f(x):
        return ad.linalg.inv(x).sum(), ad.linalg.eigvals(x).abs().sort()[0].cumsum(0)

    (want, order), native = made(f, x)
    assert not native.cached
    (got, again), native = made(f, x)
    assert native.cached
    assert got == want
    assert again.equal(order)
    assert len(native.callbacks) >= 2
    assert "define" in native.text()
    assert "ret" in native.assembly()


def test_a_loaded_step_trains(folder):
    def trained():
        ad.manual_seed(0)
        net = nn.Linear(3, 1)
        opt = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

        @compile
        def step(x):
            opt.zero_grad()
            loss = (net(x) - 1).square().mean()
            loss.backward()
            opt.step()
            return loss

        losses = [step(ad.ones(4, 3)).item() for _ in range(6)]
        opt.param_groups[0]["lr"] = 0.01
        return step._native().cached, [*losses, step(ad.ones(4, 3)).item()]

    (first, losses), (second, again) = trained(), trained()
    assert (first, second) == (False, True)
    assert again == losses


def test_operations_of_numpy_are_not_sought_in_another_plan(folder):
    x = ad.eye(3)
    f = ad.linalg.inv
    made(f, x)
    (name,) = files()
    assert made(f, x)[1].cached
    key = Path(name).stem
    about, code = cache.load(key)
    about["layout"] = [10**6, *about["layout"][1:]]
    cache.save(key, about, code)
    assert not made(f, x)[1].cached


MASK = np.arange(6.0).reshape(2, 3)


def with_constants(x):
    """One as it is, one made of it, one that is half as wide; one result twice, one given."""
    y = x * MASK
    z = x.bfloat16() @ ad.tensor(MASK.T).flip(0).bfloat16()
    return y, z.float(), y + 0, x.reshape(3, 2), ad.cat([x, ad.tensor(MASK)]) * 2


def test_constants_and_results_are_those_that_were(folder):
    x = ad.tensor(MASK) + 1
    want, native = made(with_constants, x)
    assert not native.cached
    got, again = made(with_constants, x)
    assert again.cached
    assert "plan" not in vars(again)
    assert all(
        a.equal(b) and a.dtype == b.dtype for a, b in zip(got, want, strict=True)
    )
    pairs = zip(again.constants, native.constants, strict=True)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)
    assert again.constants
    assert again.text() == native.text()


def test_a_line_of_the_log_says_where_it_came_from(folder, caplog):
    with caplog.at_level(logging.INFO, "adjoint.compiler"):
        made(polynomial, ad.ones(2))
        made(polynomial, ad.ones(2))
    assert caplog.messages == ["compiled polynomial: first", "loaded polynomial: first"]


def key_of(f, *args):
    f = compile(f)
    f(*args)
    f(*args)
    return digest(f._step().captured)


def test_what_makes_another_digest():
    x, c = ad.ones(3, 2), np.arange(6.0, dtype=np.float32).reshape(3, 2)
    keys = [
        key_of(lambda x: x.sum(0), x),
        key_of(lambda x: x.sum(1), x),
        key_of(lambda x: x.sum(0), x.double()),
        key_of(lambda x: x.sum(0), ad.ones(3, 3)),
        key_of(lambda x: (x.sum(0), x.sum(0)), x),
        key_of(lambda x: x * 2, x),
        key_of(lambda x: x * 3, x),
        key_of(lambda x: x * c, x),
        key_of(lambda x: x * (c + 1), x),
        key_of(lambda x: ad.scan(lambda a, b: (a + b, a), x[0], x)[0], x),
        key_of(lambda x: ad.scan(lambda a, b: (a - b, a), x[0], x)[0], x),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key_of(lambda y: y.sum(0), x + 1) == keys[0]


@pytest.mark.parametrize(
    "name, other",
    [
        ("processor", ("another", digest_module.processor()[1])),
        ("processor", (digest_module.processor()[0], "-avx2,+sse2")),
        ("vector_bits", 64),
        ("registers", 8),
        ("cache", 12345),
        ("_libc", "another"),
    ],
)
def test_code_of_another_machine_is_not_loaded(folder, monkeypatch, name, other):
    """A folder may be shared by machines, or move with a home to another one."""
    x, surroundings = ad.ones(2), digest_module.surroundings
    made(polynomial, x)
    with monkeypatch.context() as there:
        surroundings.cache_clear()
        there.setattr(digest_module, name, lambda *_: other)
        assert not made(polynomial, x)[1].cached
        assert made(polynomial, x)[1].cached
    surroundings.cache_clear()
    assert made(polynomial, x)[1].cached
    assert len(files()) == 2


@pytest.mark.parametrize(
    "place, name, other",
    [
        (digest_module.llvm, "version", ("0.0.0", 1)),
        (digest_module.llvm, "triple", "another-kind"),
        (digest_module.sharing, "possible", None),
        (digest_module.way, "usable", None),
    ],
)
def test_what_else_makes_another_digest(monkeypatch, place, name, other):
    look = digest_module.surroundings.__wrapped__
    here = look()
    monkeypatch.setattr(place, name, lambda: other)
    assert look() != here == digest_module.surroundings()


def test_all_that_writes_code_is_looked_at():
    """It imports nothing from other folders but errors and their like; capturing may."""
    root = Path(digest_module.ROOT)
    written = [f for name in digest_module.WRITING for f in (root / name).rglob("*.py")]
    looked_at = {name for name, _, _ in digest_module._sources()[:-1]}
    assert looked_at == {f.name for f in (*written, *root.glob("*.py"))}
    lower = {*digest_module.WRITING, *(f.stem for f in root.glob("*.py")), ""}
    for path in written:
        if path.name not in CAPTURING:
            reached = {row for _, rows, _ in imports(path) for row in rows}
            assert reached <= lower, f"{path}: {reached - lower}"


def test_sources_that_changed_since_they_were_loaded(monkeypatch):
    sources = digest_module._sources()
    assert sources == digest_module._sources()
    monkeypatch.setattr(digest_module, "LOADED", 0)
    changed = digest_module._sources()
    assert changed[:-1] == sources[:-1]
    assert changed != digest_module._sources() != sources


def test_records_of_others_are_not_cached(folder):
    class CachedTwice(Elementwise):
        """2 x."""

        eager = staticmethod(lambda x: 2 * x)
        dx = staticmethod(lambda t: 2 * t)
        lower = staticmethod(lambda b, x: b.add(x, x))

    try:
        y, native = made(lambda x: ad.op.cached_twice(x), ad.ones(2))
        assert y.tolist() == [2, 2]
        assert digest(native.captured) is None
        assert not folder.exists()
    finally:
        del ad.op.cached_twice


# ---------------------------------------------------------------- command line


def test_the_command(folder, capsys, monkeypatch):
    def said(*words):
        assert main(["cache", *words]) == 0
        return capsys.readouterr().out.strip()

    assert said("path") == str(folder)
    made(polynomial, ad.ones(2))
    assert "1 program," in said()
    assert "polynomial" in said("list")
    answer = json.loads(said("--json"))
    (program,) = answer["programs"]
    assert answer["path"] == str(folder)
    assert answer["limit"] == 512_000_000
    assert answer["bytes"] == program["bytes"] > 1000
    assert program["name"] == "polynomial"
    assert json.loads(said("clear", "--json")) == {
        "removed": 1,
        "bytes": program["bytes"],
    }
    assert cache.entries() == []
    monkeypatch.setenv("ADJOINT_CACHE", "off")
    assert said("path") == said() == said("clear") == "the cache is off"
    assert json.loads(said("path", "--json")) == {"path": None}
