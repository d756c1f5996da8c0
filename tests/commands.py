"""Commands run in the process of a test."""

import pytest

from framework.command_line.cli import main


def carrybook(capsys, *arguments):
    """Exit code, what was printed, and what was said beside it."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main([str(each) for each in arguments])
    said = capsys.readouterr()
    return exit_.value.code or 0, said.out, said.err


def refused(capsys, *arguments):
    """The one line with which a command is refused."""
    code, printed, said = carrybook(capsys, *arguments)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    return said
