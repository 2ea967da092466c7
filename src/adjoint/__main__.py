"""`python -m adjoint`: the command line."""

import sys

from adjoint_cli import main

if __name__ == "__main__":
    sys.exit(main())
