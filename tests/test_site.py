"""The documentation is built without a warning, and its made pages have what the classes have."""

import html
import importlib
import inspect
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from attrs import has
from PIL import Image, ImageChops

from benchmarks import browser
from framework import events, orders
from framework.formulas import formulas_of
from framework.performance import METRICS
from tests.runs import ROOT
from venues.hyperliquid import Hyperliquid
from venues.protocol import Protocol

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The documentation, built with warnings as errors; without the theme, whose navigation takes half of the time."""
    out = tmp_path_factory.mktemp("site")
    options = ("-W", "-q", "-b", "html", "-D", "html_theme=basic")
    command = [sys.executable, "-m", "sphinx", *options, ROOT / "docs", out]
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


@pytest.mark.slow
def test_the_site_has_a_page_for_each_venue(site):
    """With its keys, every value of its dated rules with its source, its formulas with their inputs, and its orders."""
    page = text_of(site / "venues/hyperliquid.html")
    for rule in Protocol().rules("hyperliquid", {}).values():
        for value in rule.values:
            assert all(flat(part) in page for part in (rule.key, rule.about, value.certainty, value.source))
    for name, formula in formulas_of(Hyperliquid).items():
        assert flat(f"def {name}({', '.join(formula.inputs)}):") in page
    assert flat("margin_rate, of each coin margin_tiers, maintenance_margin, leverage") in page
    for words in ("venues.hyperliquid.taker_fee_bps", "Open", "Close", "Resize", "Assets:{venue}:Margin"):
        assert flat(words) in page
    assert "terms.limit_ltv" in text_of(site / "venues/asgard.html")


def text_of(page):
    """The text of a page without its spaces."""
    return flat(html.unescape(re.sub(r"<[^>]*>", "", page.read_text())))


def flat(text):
    return re.sub(r"\s|[\u2018\u2019\u201c\u201d'\"]", "", text)


def test_every_key_event_and_order_has_a_type_a_default_and_a_meaning(monkeypatch):
    """What a user can write and what a log can have."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    pages = importlib.import_module("reference_pages")
    classes = [(cls, key) for _, cls, key in pages.scenario_classes()]
    for module, base in ((events, events.Event), (orders, orders.Order)):
        classes += [
            (cls, "") for cls in vars(module).values() if inspect.isclass(cls) and issubclass(cls, base) and has(cls)
        ]
    without = [
        f"{cls.__name__}.{each.name}"
        for cls, key in classes
        for each in pages.keys_of(cls, key)
        if each.name not in pages.meanings(cls, key)
    ]
    assert len(classes) > 60
    assert without == []


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md")
                                        if "build" not in path.parts), ids=str)  # fmt: skip
def test_links_of_a_page_lead_somewhere(page):
    """Each relative link names a file or a folder of the project; those of made pages are the README's."""
    made = page.parts[1] in ("examples", "readme.md")
    home = ROOT if made else (ROOT / page).parent
    links = [target for target in LINK.findall((ROOT / page).read_text()) if "://" not in target]
    assert [target for target in links if not (home / target).exists() and not made] == []


@pytest.mark.slow
def test_the_pictures_of_the_readme_are_made_by_a_command(tmp_path):
    """`make pictures` gives those that are shown, but for what another browser's letters make of them."""
    if absent := browser.missing():
        pytest.skip(f"needs the programs {absent}: .ci/run installs them where it can")
    subprocess.run([sys.executable, ROOT / "docs/pictures.py", tmp_path], check=True)
    shown = re.findall(r"!\[[^\]]+\]\(docs/pictures/(\S+)\)", (ROOT / "README.md").read_text())
    assert len(shown) == 2
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())
    for name in shown:
        made, kept = (Image.open(place / name).convert("L") for place in (tmp_path, ROOT / "docs/pictures"))
        assert abs(made.width - kept.width) <= 20
        assert abs(made.height - kept.height) <= 20
        differing = ImageChops.difference(made, kept.resize(made.size)).point(lambda shade: 255 * (shade > 96))
        assert np.asarray(differing).mean() / 255 < 0.04


def test_the_package_says_what_it_is():
    """Licence, readme, types and the Python versions are in its metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text().startswith("                                 Apache License")
    for package in ("framework", "venues", "strategies"):
        assert (ROOT / package / "py.typed").is_file()
