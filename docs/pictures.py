"""The pictures of the README: two figures of the report of the main example, photographed in headless Chromium.

`make pictures` makes them again; they are in version control, so that the README shows them without a build.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import browser, inputs
from framework.performance import summarize
from framework.reports.page import page
from framework.run_folder.archive import Folder, save

PLACE = Path(__file__).parent / "pictures"
SHOWN = {"equity": "Equity and benchmarks", "waterfall": "Where the result came from"}
"""Name of a picture -> the figure of the report."""
SIZE = {"width": 860, "height": 900, "deviceScaleFactor": 1, "mobile": False}
COLOURS = 48


def main(place: Path = PLACE) -> None:
    """Write the pictures into a directory."""
    assembly = inputs.daily()
    run = assembly.simulation().run()
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.html"
        folder = save(assembly, run, summarize(assembly, run), Path(scratch))
        report.write_text(page(Folder(folder)), encoding="utf-8")
        opened = browser.chromium(Path(scratch) / "profile")
        try:
            opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
            browser.draw(opened, report)
            for name, title in SHOWN.items():
                figure = opened.find_element("xpath", f"//figure[figcaption='{title}']")
                image = Image.open(io.BytesIO(figure.screenshot_as_png)).convert("RGB")
                image.quantize(COLOURS).save(place / f"{name}.png", optimize=True)
        finally:
            opened.quit()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
