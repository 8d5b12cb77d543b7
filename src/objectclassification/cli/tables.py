"""Tables for a person: whatever the width, nothing of them is cut off."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

_WHOLE_WORD: Final = 16  # the longest code of a failure and its colon; longer words may be broken
_PIECE: Final = 8  # into no less than this
_GAP: Final = 2
_UNBOUND: Final = 100_000  # columns: a pipe has no width


def new_console() -> Console:
    """Returns the console of standard output; in a pipe, nothing is wrapped."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNBOUND)


def text(cell: object) -> Text:
    """Returns a cell as a text, in which brackets are no markup; None is an empty one."""
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text("" if cell is None else str(cell))


def corners(box: tuple[float, ...]) -> str:
    """Returns where a box is: its corners in percent of the picture's width and height."""
    left, top, right, bottom = (f"{100 * edge:.0f}" for edge in box)
    return f"from {left},{top} to {right},{bottom}"


@dataclass(frozen=True)
class Rows:
    """Rows under their columns' names; where these do not fit, each row's cells line by line.

    Attributes:
        columns: their names.
        rows: each has a cell for every column, a string, a rich ``Text`` or None.
        right: columns whose cells stand to the right, as numbers do.
        whole: columns whose words are never broken, however long: ids, to be copied.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    right: Collection[str] = ()
    whole: Collection[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields what fits into the width."""
        cells = [[text(cell) for cell in row] for row in self.rows]
        widths = self._widths(cells, options.max_width)
        yield self._records(cells) if widths is None else self._table(cells, widths)

    def _widths(self, cells: list[list[Text]], available: int) -> list[int] | None:
        """Each column's, or None where not even the words fit."""
        from rich.cells import cell_len

        least, most = [], []
        for number, name in enumerate(self.columns):
            column = [name, *(row[number].plain for row in cells)]
            words = [cell_len(word) for cell in column for word in cell.split()]
            if name not in self.whole:
                words = [length if length <= _WHOLE_WORD else _PIECE for length in words]
            least.append(max(words))
            most.append(max(cell_len(line) for cell in column for line in cell.split("\n")))
        left = available - sum(least) - _GAP * (len(least) - 1)
        if left < 0:
            return None
        # By turns, from the column that wants least, so that what is short stays on its line.
        wanted = {number: most[number] - least[number] for number in range(len(least))}
        for turn, number in enumerate(sorted(wanted, key=wanted.__getitem__)):
            more = min(wanted[number], left // (len(least) - turn))
            least[number] += more
            left -= more
        return least

    def _table(self, cells: list[list[Text]], widths: list[int]) -> Table:
        from rich.table import Column, Table

        columns = [
            Column(
                text(name),
                justify="right" if name in self.right else "left",
                overflow="fold",
                width=width,
            )
            for name, width in zip(self.columns, widths, strict=True)
        ]
        table = Table(*columns, box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for row in cells:
            table.add_row(*row)
        return table

    def _records(self, cells: list[list[Text]]) -> Table:
        from rich.table import Column, Table

        name = Column(style="bold", no_wrap=True)
        table = Table(name, Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
        for row in cells:
            for column, cell in zip(self.columns, row, strict=True):
                if cell.plain:
                    table.add_row(text(column), cell)
            table.add_row("", "")
        return table
