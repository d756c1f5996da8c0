"""The report of a run as one HTML file: what lies in it, and what a real browser makes of it."""

import base64
import gzip
import io
import json
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.assembly import assemble
from framework.command_line.cli import main
from framework.many_runs.sweep import Sweep, sweep
from framework.performance import summarize
from framework.reports.explain import explain, sources
from framework.reports.packing import packed, table
from framework.reports.page import page
from framework.run_folder.archive import Folder, save
from framework.scenario import Scenario
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
def test_a_page_has_every_entry_and_source_that_explain_prints(saved, example):
    """By bucket, account and month, in the same words and to the last digit."""
    folder = Folder(saved(example)[1])
    found = payload(page(folder))
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


def test_two_pages_of_one_run_are_the_same_bytes(saved):
    folder = Folder(saved("static")[1])
    assert page(folder) == page(folder)


def test_a_page_loads_nothing(saved):
    """Its policy names two scripts by their digests, and every element that could load something is absent."""
    html = page(Folder(saved("static")[1]))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "unsafe-eval" not in policy
    shell = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"<(?:link|img|iframe|object|embed|base|form)\b|\bsrc=|\bhref=|\bon\w+=", shell)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A run whose name is a script."""
    scenario = Scenario.load(ROOT / "examples/static/scenario.toml", [f'name="{SCRIPT}"'])
    assembly = assemble(scenario)
    run = assembly.simulation().run()
    return save(assembly, run, summarize(assembly, run), tmp_path_factory.mktemp("hostile"))


def test_markup_in_a_name_is_text(hostile):
    html = page(Folder(hostile))
    assert SCRIPT not in html
    assert "<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>" in html


def test_the_command_writes_one_file(saved, tmp_path, monkeypatch, capsys):
    """Named after the run, below the directory of the command, unless --out says otherwise."""
    monkeypatch.chdir(tmp_path)
    folder = saved("static")[1]
    command("report", str(folder))
    (made,) = tmp_path.iterdir()
    assert made.name == f"report-{folder.name[:8]}.html"
    assert capsys.readouterr().out == f"Wrote {made.name}\n"
    command("report", str(folder), "--out", "one.html", "--against", str(saved("capital_rebalance")[1]))
    assert "capital_rebalance" in (tmp_path / "one.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "not a finished run"),
        (["RUN", "--out", "absent/one.html"], "absent/one.html: not writable"),
        (["RUN", "--against", "nothing"], "nothing: not a finished run"),
        (["EMPTY"], "no cell without an error"),
        (["TORN"], "results.parquet: not readable"),
    ],
)
def test_what_cannot_be_written_is_one_line(saved, tmp_path, monkeypatch, capsys, arguments, said):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    for name in ("empty", "torn"):
        (tmp_path / name).mkdir()
    row = {"strategy.leverage": [2.0], "final_equity_usd": [0.0], "error": ["broken"]}
    pq.write_table(pa.table(row), tmp_path / "empty/results.parquet")
    (tmp_path / "torn/results.parquet").write_bytes(b"PAR1")
    places = {"RUN": str(saved("static")[1]), "EMPTY": "empty", "TORN": "torn"}
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
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs the programs chromium and chromedriver: .ci/run installs them where it can")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "window-size=1200,1000", f"user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.execute_cdp_cmd("Network.enable", {})
    yield opened
    opened.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page and wait until it is drawn; afterwards nothing was complained about and nothing was asked for."""

    def open_page(html):
        path = tmp_path / "page.html"
        path.write_text(html)
        browser.get_log("performance")
        browser.get(path.as_uri())
        wait(browser, "document.documentElement.dataset.drawn === '1'")
        return browser

    yield open_page
    assert [each for each in browser.get_log("browser") if each["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file://", "data:", "blob:"))] == []


def wait(browser, condition, seconds=20):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, seconds).until(lambda page: page.execute_script(f"return {condition}"))


def colours(picture):
    """How many different colours a picture of the page has, on a coarse scale."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture.screenshot_as_png)).convert("RGB").quantize(64).convert("RGB")
    return len(image.getcolors(1 << 20))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_browser_draws_every_picture_of_every_example(saved, opened, example):
    """Each has more than axes on it, the page is small, and at 390 px nothing is wider than the screen."""
    html = page(Folder(saved(example)[1]))
    assert len(html.encode()) < MOST_BYTES
    browser = opened(html)
    pictures = browser.find_elements("class name", "picture")
    assert len(pictures) >= 5
    empty = [picture.get_attribute("id") for picture in pictures if colours(picture) < 8]
    assert empty == []
    browser.set_window_size(390, 800)
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        browser.set_window_size(1200, 1000)


@pytest.mark.slow
def test_clicking_goes_from_the_waterfall_to_the_cell_of_the_market(saved, opened):
    """Funding, its account, its first month, its first entry: what explain prints, with file and row."""
    folder = Folder(saved("capital_rebalance")[1])
    browser = opened(page(folder))
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


@pytest.mark.slow
def test_dark_mode_darkens_paper_and_pictures(saved, opened):
    browser = opened(page(Folder(saved("static")[1])))
    paper = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(paper) == "rgb(255, 255, 255)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert browser.execute_script(paper) == "rgb(0, 0, 0)"
        inverted = "return getComputedStyle(document.querySelector('.picture')).filter"
        assert browser.execute_script(inverted).startswith("invert(1)")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.slow
def test_zooming_fills_in_the_rows_between(saved, opened):
    """The overview of a long run shows some rows; a day of it shows every row."""
    folder = Folder(saved("hourly")[1])
    browser = opened(page(folder))
    count = "Bokeh.documents[0].get_model_by_name('rows').data.at_ms.length"
    assert browser.execute_script(f"return {count}") < 3000
    browser.execute_script(
        "const time = Bokeh.documents[0].get_model_by_name('time'); time.setv({end: time.start + 10 * 86400000})"
    )
    wait(browser, f"{count} < 300")
    day = "Array.from(Bokeh.documents[0].get_model_by_name('rows').data.at_ms).filter(at => at < {0}).length"
    start = folder.table("equity", ["at_ns"])["at_ns"][0].as_py() / 1e6
    assert browser.execute_script(f"return {day.format(start + 86_400_000)}") == 24 + 1


@pytest.mark.slow
def test_markup_in_a_name_runs_in_no_browser(hostile, opened):
    browser = opened(page(Folder(hostile)))
    assert browser.find_element("tag name", "h1").text == SCRIPT
    assert browser.title == SCRIPT


@pytest.mark.slow
def test_a_sweep_is_drawn_as_heat_maps_and_lines(tmp_path, opened):
    plan = Sweep.of(ROOT / "examples/static/scenario.toml", ["strategy.leverage=2,3", "capital_usd=5000,10000"])
    swept = sweep(plan, tmp_path / "sweeps", jobs=1)
    command("report", str(swept.folder), "--out", str(tmp_path / "sweep.html"))
    browser = opened((tmp_path / "sweep.html").read_text())
    pictures = browser.find_elements("class name", "picture")
    assert len(pictures) == 4
    assert [picture.get_attribute("id") for picture in pictures if colours(picture) < 5] == []
    assert len(browser.find_elements("css selector", "tbody tr")) == len(swept.rows)
