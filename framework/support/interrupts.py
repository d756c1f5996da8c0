"""Interrupts: where there is nothing to clean up, Ctrl-C lets the system end the process, quietly.

Python turns an interrupt into an exception wherever it happens to be, such as in a library that is being loaded, and
what is interrupted there prints a traceback, or takes the exception for another.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def end_at_interrupts() -> bool:
    """Let the system end the process at an interrupt, which a shell reports as 130; whether Python did before.

    An interrupt that somebody handles or ignores is left to them.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # not in the main thread, which is the one that is interrupted
        return False
    return True


@contextmanager
def ended_by_interrupts() -> Iterator[None]:
    """Within it the system ends the process at an interrupt."""
    changed = end_at_interrupts()
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
