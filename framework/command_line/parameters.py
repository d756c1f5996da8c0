"""What commands take in the place of RUN: a folder, a name, the first digits of a digest, or `latest`."""

from pathlib import Path

import click

from framework.run_folder.archive import only_run, runs_at


class RunType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 alone
    """A finished run, as the path of its folder; with `several` also a directory of them. Raises `RunError`."""

    name = "run"

    def __init__(self, *, several: bool = False) -> None:
        self._several = several

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002
        path = Path(str(value))
        if self._several and (path.is_dir() or len(runs_at(path)) > 1):
            return path
        return only_run(path)


RUN = RunType()
RUNS_OR_ONE = RunType(several=True)
