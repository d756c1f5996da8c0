"""Grids in a terminal of any width: no cell is cut, prose is broken."""

import io

import pytest
from rich.console import Console

from framework.support.grid import Grid

CELLS = ("liquidation_penalty.fraction", "1 found", "1,234,567.89")
WORDS = "the folder: cannot be read further: runs/" + "e" * 64 + "/ledger.parquet: not readable"


def printed(grid, width):
    """What a terminal of a width gets."""
    out = io.StringIO()
    grid.show(Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 80, 140, 300])
def test_no_cell_is_cut(width):
    """Numbers and names stand whole in a terminal that is too narrow for them; prose goes over several lines."""
    grid = Grid("Audit of [runs]", ("<check", "<result", "USD", "~finding"))
    grid.add(*CELLS, WORDS)
    lines = printed(grid, width).splitlines()
    assert lines[0].startswith("Audit of [runs]")
    assert all(cell in lines[4] for cell in CELLS)
    prose = lines[4].index("the folder")
    assert "".join("".join(line[prose:] for line in lines[4:]).split()) == "".join(WORDS.split())
    assert "…" not in printed(grid, width)


def test_a_grid_with_room_is_as_wide_as_its_cells():
    """A wide terminal changes nothing."""
    grid = Grid("", ("bucket", "USD"))
    grid.add("Funding", "+539.66")
    assert printed(grid, 80) == printed(grid, 400)
