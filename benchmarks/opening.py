"""How long a browser takes to open the report of a long run, until every picture is on the screen."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import browser, inputs
from benchmarks.figures import Figure
from framework.performance import summarize
from framework.reports.page import page
from framework.run_folder.archive import Folder, save

SECONDS = "return performance.getEntriesByName('drawn')[0].startTime / 1000"
"""From the start of the navigation to the frame after the last picture, as the page itself has marked it."""


def opening(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:
    """The page of the hourly example, on its own data or on hours made of the daily ones."""
    absent = browser.missing()
    if absent:
        yield Figure(name="a report opens", words=f"needs {absent}")
        return
    assembly = inputs.daily() if tiny else inputs.hourly(data)
    run = assembly.simulation().run()
    with tempfile.TemporaryDirectory() as place:
        folder = save(assembly, run, summarize(assembly, run), Path(place))
        path = Path(place) / "report.html"
        path.write_text(page(Folder(folder)), encoding="utf-8")
        opened = browser.chromium(Path(place) / "profile")
        try:
            times = []
            for _ in range(1 if tiny else 5):
                opened.get("about:blank")
                browser.draw(opened, path)
                times.append(float(opened.execute_script(SECONDS)))
        finally:
            opened.quit()
        words = f"{len(run.market):,} rows, {len(run.ledger):,} transfers"
        yield Figure(name="a report opens", value=median(times), unit="s", target=2.0, words=words)
        yield Figure(name="size of that report", value=path.stat().st_size / 1e6, unit="MB", target=3.0)
