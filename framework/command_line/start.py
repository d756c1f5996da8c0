"""The start of the command `carrybook`: it loads what it needs, runs it, and is quiet when it is interrupted."""

import os
import sys

from framework.support.interrupts import end_at_interrupts, ended_by_interrupts

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def main() -> None:
    """Run the command that the process was started with; see `framework.command_line.cli`."""
    _open_closed_streams()
    with ended_by_interrupts():
        from framework.command_line.cli import main as run  # noqa: PLC0415  (loading takes time)
    try:
        run()
    finally:
        end_at_interrupts()


def _open_closed_streams() -> None:
    """Let what was closed be empty, so that no file takes the place into which is printed."""
    for number, (name, mode) in enumerate(STREAMS):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, number)
            if nothing != number:
                os.close(nothing)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  (for good)


if __name__ == "__main__":
    main()
