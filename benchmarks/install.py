"""The peers in an environment of their own: python benchmarks/install.py .bench

A peer that cannot be installed is left out, and what pip said is kept for the report.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

# module: what pip is asked for
PEERS = {
    "torch": "torch==2.13.0",
    "jax": "jax[cpu]",
    "tinygrad": "tinygrad",
    "autograd": "autograd",
    "mlx": "mlx[cpu]",
}


def install(python: Path, *what: str) -> str:
    """Nothing where pip succeeds, else its last words."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    done = subprocess.run([*command, *what], capture_output=True, text=True)
    errors = [x for x in done.stderr.splitlines() if x.startswith("ERROR")]
    return (errors or ["ERROR: pip failed"])[-1] if done.returncode else ""


def main(folder: str) -> None:
    place = Path(folder)
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    if why := install(python, "--editable", str(Path(__file__).parent.parent)):
        sys.exit(f"adjoint itself: {why}")
    said = {module: install(python, wanted) for module, wanted in PEERS.items()}
    missing = {module: f"pip: {why}" for module, why in said.items() if why}
    (place / "absent.json").write_text(json.dumps(missing, indent=1))
    for module in PEERS:
        print(f"{module}: {missing.get(module, 'installed')}")


if __name__ == "__main__":
    main(sys.argv[1])
