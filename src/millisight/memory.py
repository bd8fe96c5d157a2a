"""How the C library handles large pieces of memory: given back when they are free."""

import contextlib
import ctypes

# From malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_LARGE = 4 << 20
"""More than an ordinary photograph takes at a time, so that those are not slowed down."""

_KEPT = 1 << 20


def give_back_large_pieces() -> None:
    """Have pieces over 4 MB returned to the system at once, whichever thread frees them.

    Left alone, glibc raises that limit to what was freed once, up to 32 MB, and a huge picture's
    memory stays in the arena of the thread that decoded it. Elsewhere than with glibc nothing
    changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        # The first also fixes this one, at 128 kB, which would give back more often than it pays.
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
