"""`python -m adjoint_cli`."""

import sys

from . import main

sys.exit(main())
