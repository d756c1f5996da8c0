"""The documentation is built without a warning, and its made pages have what the classes have."""

import re
import subprocess
import sys
import tomllib

import pytest

from framework import events, orders
from framework.performance import METRICS
from tests.runs import ROOT

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The documentation, built with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ROOT / "docs", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.mark.slow
def test_the_site_has_every_page_event_order_metric_and_key(site):
    """What is public is found on its page of the reference."""
    pages = {path.stem: path.read_text() for path in site.glob("reference/*.html")}
    for module, base, page in ((events, events.Event, "events"), (orders, orders.Order, "orders")):
        for name, cls in vars(module).items():
            if (
                isinstance(cls, type)
                and issubclass(cls, base)
                and cls is not base
                and cls.__module__ == module.__name__
            ):
                assert f">{name}<" in pages[page]
    for metric in METRICS:
        assert f">{metric.name}<" in pages["metrics-list"]
    for key in ("capital_usd", "market.start", "venues.asgard.open_fee_bps", "venues.hyperliquid.taker_fee_bps"):
        assert f">{key}<" in pages["scenario-keys"]
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= {path.stem for path in site.glob("*.html")}
    assert {path.stem for path in site.glob("examples/*.html")} == {
        path.parent.name for path in ROOT.glob("examples/*/README.md")
    }


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md")
                                        if "build" not in path.parts), ids=str)  # fmt: skip
def test_links_of_a_page_lead_somewhere(page):
    """Each relative link names a file or a folder of the project; those of made pages are the README's."""
    made = page.parts[1] in ("examples", "readme.md")
    home = ROOT if made else (ROOT / page).parent
    links = [target for target in LINK.findall((ROOT / page).read_text()) if "://" not in target]
    assert [target for target in links if not (home / target).exists() and not made] == []


def test_the_package_says_what_it_is():
    """Licence, readme, types and the Python versions are in its metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text().startswith("                                 Apache License")
    for package in ("framework", "venues", "strategies"):
        assert (ROOT / package / "py.typed").is_file()
