"""The report of a run as one HTML file: what lies in it, and what a real browser makes of it."""

import base64
import gzip
import io
import json
import re
import shutil
from contextlib import contextmanager
from functools import cache

import numpy as np
import pandas as pd
import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks import browser as browsers
from framework import CarrybookError, Close, Ended, Strategy
from framework.assembly import assemble
from framework.command_line.cli import main
from framework.many_runs.sweep import Sweep, sweep
from framework.performance import summarize
from framework.reports.explain import explain, sources
from framework.reports.packing import packed, table
from framework.reports.page import page
from framework.run_folder.archive import Folder, save
from framework.scenario import Scenario
from strategies.pair import open_pair
from tests.markets import market
from tests.runs import EXAMPLES, ROOT

MOST_BYTES = 3_000_000
SCRIPT = "<script>alert(1)</script>"


def numbers(steps):
    found, last = [], 0
    for step in steps:
        last += step
        found.append(last)
    return found


def words(column, count):
    if isinstance(column, str):
        return [column] * count
    if isinstance(column, dict):
        return [f"{column['before']}{number}{column['after']}" for number in numbers(column["steps"])]
    found, last = [], ""
    for word in column:
        last = last if word == 0 else word
        found.append(last)
    return found


def unpacked(groups):
    """The way back from `packing.table`, as the page's script goes it."""
    found = {}
    for group in groups:
        places = numbers(group["at"])
        parts = [words(column, len(places)) for column in group["columns"]]
        found |= {place: " ".join(row) for place, row in zip(places, zip(*parts, strict=True), strict=True)}
    return [found[place] for place in sorted(found)]


def command(*arguments):
    """Run a command that ends well."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert not exit_.value.code


def payload(html):
    (text,) = re.findall(r'id="payload">([^<]*)<', html)
    return json.loads(gzip.decompress(base64.b64decode(text)))


@pytest.fixture(scope="session")
def pages(saved):
    """Example's name -> its page, which is made once."""
    return cache(lambda example: page(Folder(saved(example)[1])))


@given(st.lists(st.text(alphabet="ab 019-.,:(", max_size=12), max_size=20))
def test_lines_come_back_as_they_were_packed(lines):
    """Whatever numbers, repeats and empty words are in them."""
    assert unpacked(json.loads(json.dumps(table(lines)))) == lines


def test_numbers_that_rise_are_packed_as_what_they_rise_by():
    assert table(["row 7,", "row 9,"]) == [
        {"at": [0, 1], "columns": ["row", {"before": "", "steps": [7, 2], "after": ","}]}
    ]


def test_what_is_packed_is_the_same_at_any_time():
    assert packed({"a": 1}) == packed({"a": 1})


@pytest.mark.parametrize("example", ["capital_rebalance", "euss"])
def test_a_page_has_every_entry_and_source_that_explain_prints(saved, pages, example):
    """By bucket, account and month, in the same words and to the last digit."""
    folder = Folder(saved(example)[1])
    found = payload(pages(example))
    events = unpacked(found["sources"]["events"])
    assert dict(zip(events, unpacked(found["sources"]["words"]), strict=True)) == {
        str(event): text for event, text in sources(folder, list(map(int, events))).items()
    }
    seen = 0
    for bucket in explain(folder, "result").children:
        for account in bucket.children:
            for month in account.children:
                if not month.children:
                    continue
                entries = found["entries"][f"{bucket.label}/{account.label}/{month.label}"]
                labels, values = unpacked(entries["labels"]), unpacked(entries["usd"])
                amounts = [label.split(" ")[4] for label in labels]
                usd = [{"=": amount, "-": f"-{amount}"}.get(value, value)
                       for value, amount in zip(values, amounts, strict=True)]  # fmt: skip
                assert labels == [entry.label for entry in month.children]
                assert usd == [f"{entry.usd:f}" for entry in month.children]
                assert unpacked(entries["events"]) == [str(entry.event) for entry in month.children]
                seen += len(labels)
    assert seen > 300


def test_two_pages_of_one_run_are_the_same_bytes(saved, pages):
    assert page(Folder(saved("capital_rebalance")[1])) == pages("capital_rebalance")


def test_a_page_loads_nothing(pages):
    """Its policy names two scripts by their digests, and every element that could load something is absent."""
    html = pages("capital_rebalance")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe-eval" not in policy
    shell = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"<(?:link|img|iframe|object|embed|base|form)\b|\bsrc=|\bhref=|\bon\w+=", shell)


@frozen
class Marked(Strategy):
    """Opens both legs, and says markup when it closes them."""

    short: str

    def conditions(self):
        return ()

    def on_start(self, view):
        return open_pair(view, "asgard", self.short, 2.0)

    def on_event(self, event, view):
        return (Close("asgard", reason=SCRIPT), Close(self.short)) if isinstance(event, Ended) else ()


HOSTILE = f"""
name = "{SCRIPT}"
capital_usd = 1_000
[market]
start = 2025-01-01
end = 2025-01-20
embedded = "sol_daily"
[rulebook]
class = "study"
[strategy]
class = "tests.test_page:Marked"
short = "hyperliquid"
[venues.asgard]
[venues.hyperliquid]
funding_rate = "hyperliquid_{SCRIPT}_funding_rate"
"""


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The page of a run whose name, a column of whose market, and the text of one of whose events is a script."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "scenario.toml").write_text(HOSTILE)
    rows = market([100.0 + day for day in range(20)], funding=0.001)
    renamed = {name.replace("hyperliquid_", f"hyperliquid_{SCRIPT}_"): each for name, each in rows.columns.items()}
    assembly = assemble(Scenario.load(place / "scenario.toml"), market=evolve(rows, columns=renamed))
    run = assembly.simulation().run()
    return page(Folder(save(assembly, run, summarize(assembly, run), place)))


def test_markup_in_names_and_texts_is_text(hostile):
    """In the title, in the legends of pictures, in the log, and in the words behind an entry."""
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert SCRIPT not in hostile
    assert f"<h1>{escaped}</h1>" in hostile
    assert f"<td>close: {escaped}</td>" in hostile
    assert "hyperliquid_\\u003cscript>alert(1)\\u003c/script>_funding_rate" in hostile


def figures_of(html):
    """What the curves of a page are called in its legends."""
    (text,) = re.findall(r'id="pictures">([^<]*)<', html)
    return set(re.findall(r'"label": {"type": "value", "value": "([^"]*)"}', text))


def test_what_else_the_capital_could_have_become_is_drawn(saved, pages):
    """Holding the coin, lending it and a constant rate, each up to the equity that the summary has of it."""
    folder = Folder(saved("capital_rebalance")[1])
    html = pages("capital_rebalance")
    rows = payload(html)["rows"]
    known = folder.summary["benchmarks"]
    assert [each["words"] for each in known.values()] == ["Holding SOL", "Lending SOL", "4.2 % a year"]
    for each in known.values():
        assert each["words"] in figures_of(html)
        curve = rows[f"beside {each['words']}"]
        assert (curve[0], curve[-1]) == (10_000, pytest.approx(each["final_equity_usd"], rel=1e-6))


def test_every_coin_of_a_portfolio_has_its_price_and_its_liquidation_price(saved, pages):
    """Each price picture has the line of that coin, and the distances are those of the run."""
    run, _ = saved("portfolio")
    html = pages("portfolio")
    rows = payload(html)["rows"]
    for coin in ("SOL", "BTC"):
        assert f"Price of {coin} with liquidation prices" in html
        assert rows[f"price {coin}"][1:-1] == pytest.approx(run.market[f"{coin}.close"], rel=1e-6)
        lines = run.liquidation_prices["hyperliquid", coin]
        found = np.array(rows[f"line hyperliquid {coin}"][1:-1], dtype=float)
        assert found == pytest.approx(lines, rel=1e-6, nan_ok=True)
        distances = np.array(rows[f"distance hyperliquid {coin}"][1:-1], dtype=float)
        expected = run.liquidation_distances["hyperliquid", coin] * 100
        assert distances == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_a_liquidation_price_far_above_all_others_is_not_drawn(saved, pages):
    """USS owes so little that its liquidation prices are some thousands of USD, at closes below 200."""
    run, _ = saved("uss")
    lines, close = run.liquidation_prices["drift", "SOL"], run.market["close"]
    assert np.nanmin(lines) > 5 * close.max()
    rows = payload(pages("uss"))["rows"]
    assert "price SOL" in rows
    assert not [name for name in rows if name.startswith(("line ", "distance "))]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmarks": []}, "benchmarks: expected a table for each"),
        ({"benchmarks": {"a": {"words": 1}}}, "benchmarks.a.words: 1; expected text"),
        ({"benchmarks": {"a": {"words": "A", "lending": "absent", "rate": 0}}}, "absent"),
        ({"log": [{}]}, "log: expected a list of tables with dates"),
        ({"log": [{"date": "never", "kind": "open"}]}, "log: 'never'; expected a date such as 2025-01-31"),
    ],
)
def test_a_summary_that_is_not_as_it_was_saved_is_one_line(saved, tmp_path, change, words):
    """With the place in it."""
    folder = shutil.copytree(saved("static")[1], tmp_path / "sent")
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | change))
    with pytest.raises(CarrybookError, match=re.escape(words)):
        page(Folder(folder))


def test_the_command_writes_one_file(saved, tmp_path, monkeypatch, capsys):
    """Named after the run, below the directory of the command, with the runs that it is put beside."""
    monkeypatch.chdir(tmp_path)
    folder = saved("static")[1]
    command("report", str(folder), "--against", str(saved("capital_rebalance")[1]))
    (made,) = tmp_path.iterdir()
    assert made.name == f"report-{folder.name[:8]}.html"
    assert capsys.readouterr().out == f"Wrote {made.name}\n"
    assert any(name.startswith("capital_rebalance, ") for name in figures_of(made.read_text()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "not a finished run"),
        (["RUN", "--out", "absent/one.html"], "absent/one.html: not writable"),
        (["RUN", "--against", "nothing"], "nothing: not a finished run"),
        (["EMPTY"], "no cell without an error"),
        (["TORN"], "results.parquet: not readable"),
        (["PATHS"], "outcomes on paths, which `carrybook choose` compares; expected a sweep's results"),
        (["CURVE"], "curves.parquet: not readable"),
    ],
)
def test_what_cannot_be_written_is_one_line(saved, tmp_path, monkeypatch, capsys, arguments, said):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    for name in ("empty", "torn", "paths", "curve"):
        (tmp_path / name).mkdir()
    row = {"strategy.leverage": [2.0], "capital_usd": [1.0], "final_equity_usd": [0.0], "error": ["broken"]}
    figures = {"liquidations": [0], "max_drawdown_pct": [0.0], "annualized_return_pct": [0.0], "error": [""]}
    pq.write_table(pa.table(row), tmp_path / "empty/results.parquet")
    pq.write_table(pa.table(row | {"error": [""]}), tmp_path / "paths/results.parquet")
    pq.write_table(pa.table(row | figures), tmp_path / "curve/results.parquet")
    for broken in ("torn/results.parquet", "curve/curves.parquet"):
        (tmp_path / broken).write_bytes(b"PAR1")
    places = {"RUN": str(saved("static")[1]), "EMPTY": "empty", "TORN": "torn", "PATHS": "paths", "CURVE": "curve"}
    with pytest.raises(SystemExit) as exit_:
        main(["report", *(places.get(each, each) for each in arguments)])
    assert exit_.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without a screen, with its log and every request that it makes."""
    absent = browsers.missing()
    if absent:
        pytest.skip(f"needs the programs {absent}: .ci/run installs them where it can")
    opened = browsers.chromium(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page and wait until it is drawn; afterwards nothing was complained about and nothing was asked for."""

    def open_page(html):
        path = tmp_path / "page.html"
        path.write_text(html)
        browser.get_log("performance")
        browsers.draw(browser, path)
        return browser

    yield open_page
    assert [each for each in browser.get_log("browser") if each["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    requests = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    asked = [
        each["request"]["url"] for each in requests if not each["documentURL"].startswith("chrome")
    ]  # its own page
    assert [url for url in asked if not url.startswith(("file://", "data:", "blob:"))] == []


def wait(browser, condition, seconds=20):
    WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda page: page.execute_script(f"return {condition}"))


def pictures(browser):
    """The pictures of the page by their titles, out of one photograph of all of it."""
    places = browser.execute_script(
        "return [...document.querySelectorAll('.picture')].map((each) => {"
        " const { x, y, width, height } = each.getBoundingClientRect();"
        " return [each.getAttribute('aria-label'), [x, y + scrollY, x + width, y + scrollY + height]] })"
    )
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "optimizeForSpeed": True})
    whole = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    return {title: whole.crop(tuple(map(int, place))) for title, place in places}


def drawn(picture):
    """Whether there is more on a picture than axes and words, which are grey: two pixels of a thousand are not."""
    pixels = np.asarray(picture, dtype=int)
    return (np.ptp(pixels, axis=2) > 40).mean() > 0.002


@contextmanager
def phone(browser):
    """The screen of a phone, 390 px wide."""
    screen = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        yield
    finally:
        browser.get("about:blank")  # which is quicker to make wide again
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_browser_draws_every_picture_of_every_example(pages, opened, example):
    """Each has more than axes on it, the page is small, and at 390 px nothing is wider than the screen."""
    html = pages(example)
    assert len(html.encode()) < MOST_BYTES
    browser = opened(html)
    found = pictures(browser)
    assert len(found) >= 5
    assert [title for title, picture in found.items() if not drawn(picture)] == []
    with phone(browser):
        root = "document.documentElement"
        wait(browser, f"{root}.clientWidth === 390 && {root}.scrollWidth === 390")


@pytest.mark.slow
def test_a_page_is_drilled_darkened_and_printed(saved, pages, opened):
    """From the waterfall by clicks to the cell of the market: what explain prints, with file and row. Then in the dark.

    On paper it is as in the light, whatever the screen prefers.
    """
    folder = Folder(saved("capital_rebalance")[1])
    browser = opened(pages("capital_rebalance"))
    account = explain(folder, "funding").children[0]
    month = account.children[0]
    for label in ("Funding", account.label, month.label):
        summary = next(each for each in browser.find_elements("css selector", "#tree summary")
                       if each.is_displayed() and each.text.replace("▸", "").strip().startswith(label))  # fmt: skip
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", summary)
        summary.click()
    wait(browser, "document.querySelectorAll('#tree table tr').length > 0")
    first = browser.find_element("css selector", "#tree table tr")
    entry = month.children[0]
    assert entry.label in first.text
    assert f"{entry.usd:f}" in first.text
    assert sources(folder, [entry.event])[entry.event] in first.text
    assert "sol_daily.csv:" in first.text

    looks = (
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.picture')).filter]"
    )
    light, dark = ["rgb(255, 255, 255)", "none"], ["rgb(0, 0, 0)", "invert(1) hue-rotate(180deg)"]
    preferred = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    try:
        for media, expected in (({}, light), (preferred, dark), ({"media": "print", **preferred}, light)):
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [], **media})
            assert browser.execute_script(looks) == expected
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.slow
def test_zooming_fills_in_the_rows_between(saved, pages, opened):
    """The overview of a long run shows some rows; a day of it shows every row."""
    browser = opened(pages("hourly"))
    count = "Bokeh.documents[0].get_model_by_name('rows').data.at_ms.length"
    assert browser.execute_script(f"return {count}") < 3000
    browser.execute_script(
        "const time = Bokeh.documents[0].get_model_by_name('time'); time.setv({end: time.start + 10 * 86400000})"
    )
    wait(browser, f"{count} < 300")
    day = "Array.from(Bokeh.documents[0].get_model_by_name('rows').data.at_ms).filter(at => at < {0}).length"
    start = Folder(saved("hourly")[1]).table("equity", ["at_ns"])["at_ns"][0].as_py() / 1e6
    assert browser.execute_script(f"return {day.format(start + 86_400_000)}") == 24 + 1


@pytest.mark.slow
def test_markup_in_names_and_texts_runs_in_no_browser(hostile, opened):
    """It is shown: the name as title, the event in the log, the column where the pointer is on its curve."""
    browser = opened(hostile)
    assert browser.find_element("tag name", "h1").text == SCRIPT
    assert browser.title == SCRIPT
    assert f"close: {SCRIPT}" in [each.text for each in browser.find_elements("css selector", ".log td")]
    picture = browser.find_element("css selector", "[aria-label='Funding rate by row']")
    ActionChains(browser).move_to_element(picture).perform()
    tips = (
        "(function texts(node) { return [...node.querySelectorAll('*')].flatMap((each) => each.shadowRoot"
        " ? [each.shadowRoot.textContent, ...texts(each.shadowRoot)] : []) })(document).join(' ')"
    )
    wait(browser, f"{tips}.includes('hyperliquid_{SCRIPT}_funding_rate')")


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """A sweep of four cells."""
    plan = Sweep.of(ROOT / "examples/static/scenario.toml", ["strategy.leverage=2,3", "capital_usd=5000,10000"])
    return sweep(plan, tmp_path_factory.mktemp("sweeps"), jobs=1)


def test_a_sweep_is_found_by_the_first_digits_of_its_digest(swept, tmp_path):
    """As a run is; its report is that of its whole name."""
    for name, place in (("one", swept.folder), ("two", swept.folder.with_name(swept.folder.name[:6]))):
        command("report", str(place), "--out", str(tmp_path / f"{name}.html"))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_folder_of_paths_is_refused_in_one_line(tmp_path, capsys):
    """As `carrybook paths` and `choose` leave it: its cells have no capital."""
    plan = Sweep.of(ROOT / "examples/robust_trigger/scenario.toml", ["strategy.leverage=2,3"], paths=2)
    folder = sweep(plan, tmp_path, jobs=1).folder
    with pytest.raises(SystemExit) as exit_:
        main(["report", str(folder)])
    said = f"carrybook: {folder / 'results.parquet'}: outcomes on paths, which `carrybook choose` compares"
    assert (exit_.value.code, capsys.readouterr().err) == (2, f"{said}; expected a sweep's results\n")


def test_a_sweep_has_the_curve_of_each_cell(saved, swept):
    """From the capital to the final equity, at a hundred of its instants."""
    curves = pd.read_parquet(swept.folder / "curves.parquet")
    equity = saved("static")[0].equity().equity_usd  # leverage 3, $10,000: the last cell
    for cell, row in enumerate(swept.rows):
        own = curves[curves.cell == cell]
        assert len(own) == 100
        assert own.equity_usd.iloc[[0, -1]].tolist() == [row["capital_usd"], round(row["final_equity_usd"], 2)]
    at = pd.to_datetime(own.at_ns.to_numpy(), utc=True)
    assert (own.equity_usd.to_numpy()[1:-1] - equity[~equity.index.duplicated()].asof(at[1:-1])).abs().max() <= 0.0051


@pytest.mark.slow
def test_a_sweep_is_drawn_with_the_curves_of_the_cells_that_are_ticked(swept, tmp_path, opened):
    """As heat maps, as lines through all keys, and at first with the best, the middle and the worst cell."""
    command("report", str(swept.folder), "--out", str(tmp_path / "sweep.html"))
    browser = opened((tmp_path / "sweep.html").read_text())
    found = pictures(browser)
    assert len(found) == 5
    assert [title for title, picture in found.items() if not drawn(picture)] == []
    ticks = browser.find_elements("css selector", "tbody [data-cell]")
    assert len(ticks) == len(swept.rows)
    words = "Bokeh.documents[0].get_model_by_name('chosen').renderers[0].data_source.data.words"
    assert [tick.is_selected() for tick in ticks].count(True) == 3
    (left,) = [tick for tick in ticks if not tick.is_selected()]
    left.click()
    wait(browser, f"{words}.length === 4")
    assert browser.execute_script(f"return {words}") == [tick.get_attribute("data-words") for tick in ticks]
    ticks[0].click()
    wait(browser, f"{words}.length === 3")
