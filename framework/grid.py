"""A grid of cells that people read: one form for the terminal and for Markdown."""

from attrs import Factory, define
from rich import box
from rich.table import Table


@define
class Grid:
    """A titled table of text; columns hold numbers, or text where their name begins with `<`; the first holds text."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = Factory(list)
    note: str = ""

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.rows.append(cells)

    def rich(self) -> Table:
        """The grid for the terminal."""
        table = Table(
            title=self.title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for name, left in self._sides():
            table.add_column(name, justify="left" if left else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        if self.note:
            table.caption, table.caption_justify = self.note, "left"
        return table

    def markdown(self) -> str:
        """The grid as a section of Markdown."""
        sides = list(self._sides())
        lines = [
            f"## {self.title}",
            "",
            _line([name for name, _ in sides]),
            _line(["---" if left else "---:" for _, left in sides]),
            *map(_line, self.rows),
        ]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])

    def _sides(self) -> list[tuple[str, bool]]:
        """Each column's name, and whether it is set to the left."""
        return [(name.removeprefix("<"), index == 0 or name.startswith("<")) for index, name in enumerate(self.columns)]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
