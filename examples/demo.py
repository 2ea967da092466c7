"""What `make demo` shows: a function explained and differentiated, a network that reads digits.

    python examples/demo.py        # or, wherever adjoint is installed: adjoint demo

Each part is a few lines of `adjoint.demo`: read them there.
"""

import sys

from adjoint_cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
