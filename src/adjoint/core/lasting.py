"""Lasting: what an import makes stays, so that the search for garbage need not look at it.

Python looks at what is new, and the more is new the sooner at everything: after the import of
a hundred modules that takes 10 ms in the middle of somebody's first call.
"""

from __future__ import annotations

import gc


def lasting() -> None:
    """All that is there now counts as old; unless somebody has frozen what was there."""
    if hasattr(gc, "freeze") and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
