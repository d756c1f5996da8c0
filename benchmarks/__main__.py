"""All benchmarks as one table: `python -m benchmarks [NAME...] [--data DIR] [--tiny]`."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.table import BENCHMARKS
from framework.support.grid import Grid, terminal


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="Where examples/hourly finds its files.")
@click.option("--tiny", is_flag=True, help="Small inputs, once: shows that the benchmarks work, and nothing else.")
def main(names: tuple[str, ...], data: Path | None, *, tiny: bool) -> None:
    """Print the figures of some benchmarks, or of all; what earlier processes have kept has no part in them."""
    grid = Grid("Benchmarks", ("figure", "measured", "target", "<met", "<"))
    for name in names or BENCHMARKS:
        with TemporaryDirectory() as empty:
            os.environ["CARRYBOOK_CACHE_DIR"] = empty
            for figure in BENCHMARKS[name](tiny=tiny, data=data):
                grid.add(*figure.cells())
    grid.show(terminal(200))


if __name__ == "__main__":
    main()
