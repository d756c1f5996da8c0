"""A grid of cells that people read: one form for the terminal and for Markdown."""

import sys
from collections.abc import Iterable

from attrs import Factory, define
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from framework.errors import OutputClosed
from framework.support.text import plain

PROSE_WIDTH = 40
"""The least width of a column of prose, below which lines of the terminal are broken instead."""


class Terminal(Console):
    """Where people read tables and trees; what is in them cannot steer it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of something to be printed, each of them plain; those that steer are the library's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text, self.encoding), segment.style)

    def on_broken_pipe(self) -> None:
        """Raises `OutputClosed`."""
        raise OutputClosed


def terminal(piped: int = 140) -> Console:
    """Where people read: as wide as the terminal, or `piped` characters where there is none."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() else piped)


def progress_terminal() -> Console:
    """Where progress is shown."""
    return Terminal(stderr=True)


@define
class Grid:
    """A titled table of text; columns hold numbers, or text where their name begins with `<`; the first holds text.

    A column whose name begins with `~` holds prose, which goes over several lines where there is too little room.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = Factory(list)
    note: str = ""

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.rows.append(tuple(map(plain, cells)))

    def told(self) -> "Grid":
        """The grid without the columns that are empty in every row."""
        kept = [index for index in range(len(self.columns)) if any(row[index] for row in self.rows)]
        rows = [tuple(row[index] for index in kept) for row in self.rows]
        return Grid(self.title, tuple(self.columns[index] for index in kept), rows, self.note)

    def show(self, console: Console) -> None:
        """Print the grid. No cell is ever cut: prose is broken, and what is still too wide keeps its width.

        Title and note are as wide as the console, however narrow the grid is.
        """
        table = self._table(console.encoding)
        natural = Measurement.get(console, console.options.update_width(1_000_000), table).maximum
        excess = max(0, natural - console.width)
        for column, (_, _, prose) in zip(table.columns, self._sides(), strict=True):
            if prose and column.width is not None:
                narrow = max(column.width - excess, min(column.width, PROSE_WIDTH))
                excess -= column.width - narrow
                natural -= column.width - narrow
                column.width = narrow
        table.width = natural if excess else None
        if self.title:
            console.print(Text(self.title, style="bold"), soft_wrap=True)
        console.print(table, crop=False)
        if self.note:
            console.print(Text(f"{self.note}\n", style="table.caption"))

    def _table(self, encoding: str) -> Table:
        """The grid for a terminal of an encoding, as wide as its cells are there."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        rows = [[plain(cell, encoding) for cell in row] for row in self.rows]
        for index, (name, left, prose) in enumerate(self._sides()):
            head = plain(name, encoding)
            table.add_column(
                Text(head),
                justify="left" if left else "right",
                no_wrap=not prose,
                overflow="fold",
                width=max(cell_len(cell) for cell in (head, *(row[index] for row in rows))),
            )
        for row in rows:
            table.add_row(*map(Text, row))
        return table

    def markdown(self) -> str:
        """The grid as a section of Markdown."""
        sides = list(self._sides())
        lines = [
            f"## {self.title}",
            "",
            _line([name for name, _, _ in sides]),
            _line(["---" if left else "---:" for _, left, _ in sides]),
            *map(_line, self.rows),
        ]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])

    def _sides(self) -> list[tuple[str, bool, bool]]:
        """Each column's name, whether it is set to the left, and whether it is prose."""
        return [
            (name.removeprefix(name[0] if name[0] in "<~" else ""), index == 0 or name[0] in "<~", name[0] == "~")
            for index, name in enumerate(self.columns)
        ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
