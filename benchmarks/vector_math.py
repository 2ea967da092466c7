"""Functions of compiled programs: largest error, time beside NumPy's, size of the code.

    python benchmarks/vector_math.py [names]

Errors in ulp over the samples of tests/test_lanes.py, of which here are many more. Times in
nanoseconds an element, on arrays that stay in the cache, one thread, the best of several
rounds. Lines are those of the LLVM text before optimization, less the loop's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from adjoint.core.primitive import op

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import test_lanes as known

COUNT, LOOP = 1 << 15, 22
EAGER = {"sigmoid": op.sigmoid.eager, "logit": op.logit.eager}


def best(f, rounds=9, calls=10):
    """Nanoseconds an element."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            f()
        times.append((time.perf_counter() - start) / calls)
    return min(times) / COUNT * 1e9


def error(name, dtype):
    """The largest error in ulp."""
    wide, exact, *intervals = known.FUNCTIONS[name]
    if dtype == "float32":
        x = known.strata(dtype, *intervals[0], 1 << 19)
        with np.errstate(all="ignore"):
            want = wide(x.astype(np.float64))
        fits = np.abs(want) < np.finfo(np.float32).max
        off = np.abs(known.run(name, x) - want)[fits]
        return (off / known.spacing(want[fits], np.float32)).max()
    low, high = intervals[1]
    x, m = known.strata(dtype, low, high, 1024), known.mp()
    with m.workprec(1400 if high > 100 or low < -100 else 600):
        rows = zip(known.run(name, x), x, strict=True)
        return float(max(known.exact_error(y, exact(m.mpf(v))) for y, v in rows))


def row(name, dtype):
    """Error, our time, NumPy's, lines."""
    low, high = known.FUNCTIONS[name][2]
    x = (
        np.random.default_rng(0)
        .uniform(max(low, -3), min(high, 3), COUNT)
        .astype(dtype)
    )
    kernel, out = known.kernel(name, dtype), np.empty_like(x)
    ours = best(lambda p=(x.ctypes.data, out.ctypes.data): kernel.function(*p, COUNT))
    eager = EAGER.get(name, known.FUNCTIONS[name][0])
    given = {"out": out} if isinstance(eager, np.ufunc) else {}
    theirs = best(lambda: eager(x, **given))
    return error(name, dtype), ours, theirs, kernel.written - LOOP


def main():
    """The table of the note."""
    print("| function | ulp 32 | ulp 64 | ns 32 | NumPy | ns 64 | NumPy | lines |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or known.FUNCTIONS:
        (e32, t32, n32, lines), (e64, t64, n64, _) = (row(name, d) for d in known.KIND)
        print(
            f"| {name} | {e32:.2f} | {e64:.2f} | {t32:.2f} | {n32:.2f} | {t64:.2f} "
            f"| {n64:.2f} | {lines} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
