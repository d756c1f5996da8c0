"""The start of the command `carrybook`: it loads what it needs, runs it, and is quiet when it is interrupted."""

from framework.support.interrupts import end_at_interrupts, ended_by_interrupts


def main() -> None:
    """Run the command that the process was started with; see `framework.command_line.cli`."""
    with ended_by_interrupts():
        from framework.command_line.cli import main as run  # noqa: PLC0415  (loading takes time)
    try:
        run()
    finally:
        end_at_interrupts()


if __name__ == "__main__":
    main()
