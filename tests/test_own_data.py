"""Data of one's own: what a file is understood to be, what is refused, and a market from a frame."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from attrs import evolve

from framework import Market, Scenario, assemble
from framework.command_line.cli import main
from framework.data.own import understand
from framework.data.store import Store
from framework.errors import MarketError
from framework.performance import summarize
from tests.commands import carrybook
from tests.conftest import ROOT

DAYS = pd.date_range("2025-01-01", periods=48, freq="h", tz="UTC")
CLOSE = 100 + np.sin(np.arange(48) / 5)
PRICES = pd.DataFrame({"time": DAYS, "open": CLOSE, "high": CLOSE + 1, "low": CLOSE - 1, "close": CLOSE})
FUNDING = pd.DataFrame({"time": DAYS, "funding_rate": np.linspace(-0.0001, 0.0002, 48)})


def written(frame, path):
    """The frame in a file of the kind that its name says."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_feather(path)
    return path


def test_a_frame_that_was_sorted_keeps_its_times(tmp_path):
    """Its index, which pandas writes as well, is not taken for them."""
    found = understand(written(PRICES.sample(frac=1, random_state=1), tmp_path / "own.parquet"), "prices", "ETH")
    assert np.array_equal(found.samples.time_ns, DAYS.as_unit("ns").asi8)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
def test_every_format_gives_the_same_series(tmp_path, suffix):
    """Rows of an hour, with the times and values of the frame."""
    found = understand(written(PRICES, tmp_path / f"own.{suffix}"), "prices", "ETH")
    assert (found.kind.series, found.kind.span_ns, found.findings) == ("own:ETH:1h", 3_600 * 10**9, ())
    assert np.array_equal(found.samples.time_ns, DAYS.as_unit("ns").asi8)
    assert np.array_equal(found.samples.columns["high"], CLOSE + 1)
    assert found.notes == ()


@pytest.mark.parametrize(("unit", "factor"), [("fraction", 1), ("percent", 100), ("bps", 10_000)])
def test_units_become_fractions(tmp_path, unit, factor):
    """Whatever the unit in the file, the series says fraction of notional."""
    frame = FUNDING.assign(funding_rate=FUNDING.funding_rate * factor)
    found = understand(written(frame, tmp_path / "f.parquet"), "funding", "ETH", unit=unit)
    assert found.kind.units == {"funding_rate": "fraction of notional per 1h"}
    assert found.samples.columns["funding_rate"] == pytest.approx(FUNDING.funding_rate)


@pytest.mark.parametrize(("unit", "words"), [("s", "seconds"), ("ms", "milliseconds"), ("us", "microseconds"),
                                             ("ns", "nanoseconds")])  # fmt: skip
def test_numbers_are_times_since_1970_in_the_unit_of_their_size(tmp_path, unit, words):
    """And the preview says which."""
    frame = FUNDING.assign(time=DAYS.as_unit(unit).asi8)
    found = understand(written(frame, tmp_path / "f.csv"), "funding", "ETH", unit="fraction")
    assert np.array_equal(found.samples.time_ns, DAYS.as_unit("ns").asi8)
    assert found.notes == (f"times are {words} since 1970 in UTC",)


def test_what_was_assumed_is_told(tmp_path):
    """Times without an offset, and rows out of order, which are sorted."""
    frame = FUNDING.assign(time=DAYS.strftime("%Y-%m-%d %H:%M"))[::-1]
    found = understand(written(frame, tmp_path / "f.csv"), "funding", "ETH", unit="fraction")
    assert np.array_equal(found.samples.columns["funding_rate"], FUNDING.funding_rate)
    assert len(found.notes) == 2
    assert "read as UTC" in found.notes[0]
    assert "sorted" in found.notes[1]


@pytest.mark.parametrize("ending", ["+02:00", "-0330", "+00", "Z"])
def test_times_with_an_offset_are_not_said_to_have_none(tmp_path, ending):
    """Each is converted, and nothing was assumed."""
    frame = FUNDING.assign(time=DAYS.strftime("%Y-%m-%dT%H:%M") + ending)
    found = understand(written(frame, tmp_path / "f.csv"), "funding", "ETH", unit="fraction")
    assert found.notes == ()
    assert found.samples.time_ns[0] == pd.Timestamp(frame.time[0]).as_unit("ns").value


def test_one_time_without_an_offset_is_told(tmp_path):
    """Wherever it stands."""
    times = [*DAYS[:-1].strftime("%Y-%m-%dT%H:%M:%SZ"), "2025-01-02 23:00"]
    found = understand(written(FUNDING.assign(time=times), tmp_path / "f.csv"), "funding", "ETH", unit="fraction")
    assert found.notes == ("times without an offset were read as UTC",)


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        (
            "time,funding_rate,other",
            "2025-01-01T{at:02}:00Z,0.0001,7,",
            "row 2: 4 cells; expected 3 as in the header",
        ),
        ("time,volume,funding_rate,other", "2025-01-01T{at:02}:00Z,0.0001,7", "row 2: 3 cells; expected 4 as in"),
        ("# by hand", "2025-01-01T{at:02}:00Z,0.0001", "row 2: 2 cells; expected 1 as in the header, '# by hand'"),
        ("time,funding_rate,funding_rate", "2025-01-01T{at:02}:00Z,1e-4,2e-4", "row 1: column funding_rate twice"),
        ("time;funding_rate", "2025-01-01T{at:02}:00Z;0,0001", "row 1: 'time;funding_rate' is one cell; expected comm"),
        ("\n\ntime;funding_rate", "2025-01-01T{at:02}:00Z;0,0001", "row 3: 'time;funding_rate' is one cell"),
        ("time\tfunding_rate", "2025-01-01T{at:02}:00Z\t0.0001", "is one cell; expected commas between cells"),
        ("time,funding_rate", "{at:02}/01/2025,0.0001", "row 2, column time: '00/01/2025'; expected a time such as"),
    ],
    ids=[
        "a comma at each end",
        "a cell less",
        "a comment",
        "a name twice",
        "semicolons",
        "below blank lines",
        "tabs",
        "days first",
    ],
)
def test_no_cell_is_taken_for_one_of_another_column(tmp_path, header, line, words):
    """Each of these would have been another number, or none of the reasons that pandas gives says what is wrong."""
    lines = [header, *(line.format(at=at) for at in range(20))]
    (tmp_path / "f.csv").write_text("\n".join(lines))
    with pytest.raises(MarketError, match=re.escape(words)):
        understand(tmp_path / "f.csv", "funding", "ETH", unit="fraction")


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            ("1735689600", "", "1735776000"),
            "row 3, column time: no time; expected seconds since 1970, between 2010 and",
        ),
        (("1735689600", "1735689600000", "1735776000"), "row 3, column time: 1735689600000; expected seconds since"),
        (("1735689600", "inf", "1735776000"), "row 3, column time: inf; expected seconds since 1970"),
        (("20250101", "20250102", "20250103"), "column time: 2.02501e+07; expected times since 1970 in s, ms, us or"),
        (("", "", ""), "column time: nan; expected times since 1970 in s, ms, us or ns"),
        (("2025-01-01", "", "2025-01-03"), "row 3, column time: no time; expected a time such as 2025-01-31"),
        (("2025-01-01", "9999-12-31", "2025-01-03"), "row 3, column time: '9999-12-31'; expected a time between 2010"),
        (("1925-01-01", "2025-01-02", "2025-01-03"), "row 2, column time: '1925-01-01'; expected a time between 2010"),
    ],
)
def test_a_time_that_cannot_be_is_refused(tmp_path, times, words):
    """One that is missing would be 1970, and one in another unit would be wrapped around."""
    (tmp_path / "f.csv").write_text("\n".join(["time,apy", *(f"{time},0.01" for time in times)]))
    with pytest.raises(MarketError, match=re.escape(words)):
        understand(tmp_path / "f.csv", "rates", "ETH", unit="fraction")


def test_parts_of_a_second_are_kept(tmp_path):
    """As other programs write times since 1970."""
    (tmp_path / "f.csv").write_text("time,apy\n1735689600.25,0.01\n1735693200.5,0.01\n")
    found = understand(tmp_path / "f.csv", "rates", "ETH", unit="fraction")
    assert found.samples.time_ns.tolist() == [1735689600_250_000_000, 1735693200_500_000_000]


def test_a_file_in_another_encoding_is_refused(tmp_path):
    """As spreadsheets save it under the name Unicode."""
    (tmp_path / "f.csv").write_text("time,funding_rate\n", encoding="utf-16")
    with pytest.raises(MarketError, match=r"f\.csv: not text, byte 0 is not UTF-8"):
        understand(tmp_path / "f.csv", "funding", "ETH", unit="fraction")


def test_one_line_that_lacks_a_cell_is_refused(tmp_path):
    """What stands behind the missing cell would have moved into the column before."""
    frame = FUNDING.assign(volume=1000, spread=0.02)[["time", "volume", "funding_rate", "spread"]]
    file = written(frame, tmp_path / "f.csv")
    file.write_text(file.read_text().replace(",1000,", ",", 1))
    with pytest.raises(MarketError, match=r"f\.csv, row 2: 3 cells; expected 4 as in the header"):
        understand(file, "funding", "ETH", unit="fraction")


def test_a_file_that_a_spreadsheet_saved_is_read_everywhere(tmp_path, capsys):
    """With a byte order mark and an empty last line: `data check`, a new scenario on it, and its run take it."""
    lines = OWN.to_csv(index=False).replace("\n", "\r\n")
    (tmp_path / "own.csv").write_text(lines + "\r\n", encoding="utf-8-sig", newline="")
    assert carrybook(capsys, "data", "check", tmp_path / "own.csv") == (0, "own.csv: 48 samples, 0 findings\n", "")
    code, _ = new(tmp_path, capsys, "--csv", str(tmp_path / "own.csv"), "--column", "usdc_borrowing_apy=debt")
    run = assemble(Scenario.load(tmp_path / "own.toml"), tmp_path).simulation().run()
    assert (code, len(run.market), run.market.cell("close", 47)) == (0, 48, "own.csv:49")


def test_blanks_around_names_and_a_byte_order_mark_are_no_part_of_them(tmp_path):
    """As spreadsheets and people write them."""
    (tmp_path / "f.csv").write_text("Time, Funding\n2025-01-01, 0.0001\n2025-01-02, 0.0002\n", encoding="utf-8-sig")
    found = understand(tmp_path / "f.csv", "funding", "ETH", unit="fraction")
    assert found.samples.columns["funding_rate"].tolist() == [0.0001, 0.0002]


BAD = {
    "another suffix": (PRICES, "own.txt", {}, "expected a file that ends with .csv, .parquet, .feather"),
    "no price": (PRICES.drop(columns="low"), "own.csv", {}, "no column low; expected open, high, low, close"),
    "no time": (PRICES.drop(columns="time"), "own.csv", {}, "no column time; expected --time with one of open"),
    "text": (PRICES.astype({"close": object}).assign(close="x"), "own.csv", {}, "row 2: 'x'; expected a finite number"),
    "a hole": (PRICES.assign(close=[*CLOSE[:-1], np.nan]), "own.csv", {}, "row 49: nan; expected a finite number"),
    "a time twice": (pd.concat([PRICES, PRICES[:1]]), "own.csv", {}, "stands twice; expected each time once"),
    "a word": (PRICES.assign(time="soon"), "own.csv", {}, "row 2, column time: 'soon'; expected a time such as"),
    "a coin": (PRICES, "own.csv", {"coin": "../ETH"}, "expected its code, such as ETH"),
    "no row": (PRICES[:0], "own.csv", {}, "no rows; expected at least two"),
    "one row": (PRICES[:1], "own.csv", {}, "expected two or more, or --interval"),
    "a unit of prices": (PRICES, "own.csv", {"unit": "bps"}, "prices are in usd"),
    "no unit": (FUNDING, "own.csv", {"what": "funding"}, "expected fraction, percent, bps; a value alone does not say"),
    "a unit of funding": (
        FUNDING,
        "own.csv",
        {"what": "funding", "unit": "usd"},
        "--unit usd: expected fraction, percent",
    ),
    "two rates": (
        FUNDING.assign(funding_rate=0.1, other=0.2).rename(columns={"funding_rate": "one"}),
        "own.csv",
        {"what": "rates", "unit": "percent"},
        "expected --column with one of one, other",
    ),
    "another column": (
        FUNDING,
        "own.csv",
        {"what": "rates", "unit": "bps", "column": "x"},
        "no column x; expected one",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_understood_is_refused(tmp_path, case):
    """In one line with the place and what would be right."""
    frame, name, options, words = BAD[case]
    path = tmp_path / name
    if path.suffix == ".csv":
        written(frame, path)
    else:
        path.write_text("?")
    given = {"what": "prices", "coin": "ETH"} | options
    with pytest.raises(MarketError) as error:
        understand(path, given.pop("what"), given.pop("coin"), **given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
def test_a_file_that_is_none_of_its_kind_is_refused(tmp_path, suffix):
    """A picture under the name of a table."""
    path = tmp_path / f"own.{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    with pytest.raises(MarketError, match=r"not text|not a "):
        understand(path, "prices", "ETH")


def imported(capsys, *arguments):
    """Exit code and what is printed."""
    return carrybook(capsys, "data", "import", *arguments)


def test_a_preview_stands_before_what_is_stored(tmp_path, capsys, monkeypatch):
    """Without consent nothing is stored; with it the series is what was shown, and says from which file."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "store"))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    file = written(PRICES, tmp_path / "own.parquet")
    code, printed, _ = imported(capsys, file, "--kind", "prices", "--coin", "ETH")
    assert (code, "own.parquet as own:ETH:1h" in printed, Store.default().ids()) == (130, True, [])
    code, printed, _ = imported(capsys, file, "--kind", "prices", "--coin", "ETH", "--yes")
    assert (code, "own:ETH:1h: 48 new samples" in printed) == (0, True)
    assert Store.default().asked("own:ETH:1h")[0].request == "file own.parquet"
    assert "0 new samples" in imported(capsys, file, "--kind", "prices", "--coin", "ETH", "--yes")[1]


def test_values_that_cannot_be_right_are_not_stored(tmp_path, capsys, monkeypatch):
    """Percent that are called fractions."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "store"))
    file = written(FUNDING.assign(funding_rate=0.02), tmp_path / "own.csv")
    arguments = ("--kind", "funding", "--coin", "ETH", "--unit", "fraction", "--yes")
    code, _, said = imported(capsys, file, *arguments)
    assert (code, "nothing was stored" in said, Store.default().ids()) == (2, True, [])
    code, _, said = imported(capsys, file, "--kind", "funding", "--coin", "ETH", "--unit", "pct")
    assert (code, said) == (
        2,
        "carrybook: --unit pct: expected fraction, percent, bps; a value alone does not say it\n",
    )


@pytest.mark.parametrize("gap", ["", "\n", "  \n"], ids=["no line", "an empty line", "a line of blanks"])
def test_a_row_of_a_csv_file_is_its_line_in_the_file_for_every_command_and_its_error_is_stated_once(
    tmp_path, capsys, monkeypatch, gap
):
    """The header is row 1, and a line without cells counts as one."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "store"))
    file = written(PRICES.assign(close=[*CLOSE[:3], -5.0, *CLOSE[4:]]), tmp_path / "own.csv")
    header, *lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([header, lines[0], gap, *lines[1:]]))
    line = file.read_text().splitlines().index(lines[3].strip()) + 1
    error = f"row {line}, 2025-01-01T03:00:00+00:00, column close: -5.0; expected more than 0"
    code, _, said = imported(capsys, file, "--kind", "prices", "--coin", "ETH", "--yes")
    assert code == 2
    assert said.count(error) == 1
    with pytest.raises(SystemExit):
        main(["data", "check", str(file)])
    assert error in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [("1,2,3,4", ", row 2: 4 cells; expected 2 as in the header"), ('""', ": lines that do not fit the header; expec")],
    ids=["more cells than the header", "a quoted cell of nothing"],
)
def test_lines_that_do_not_fit_the_header_are_refused(tmp_path, line, words):
    """Their first cells would be an index, or rows would have other numbers than their lines."""
    (tmp_path / "own.csv").write_text(f"a,b\n{line}\n")
    with pytest.raises(MarketError, match=rf"own\.csv{words}"):
        understand(tmp_path / "own.csv", "prices", "ETH")


def test_a_file_is_checked_whatever_case_its_column_of_times_has(tmp_path, capsys):
    """A scenario names that column, so `Date` will do; and lines of which none fits are said to be that."""
    frame = PRICES.rename(columns={"time": "Date"}).assign(Date=DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"))
    file = written(frame, tmp_path / "own.csv")
    with pytest.raises(SystemExit) as exit_:
        main(["data", "check", str(file)])
    assert (exit_.value.code, capsys.readouterr().out) == (0, "own.csv: 48 samples, 0 findings\n")
    file.write_text(file.read_text().replace("\n", ",\n").replace("close,", "close"))
    with pytest.raises(SystemExit) as exit_:
        main(["data", "check", str(file)])
    assert (exit_.value.code, capsys.readouterr().err) == (2, f"carrybook: {file}: row 2: 6 cells; expected 5\n")


def test_a_row_of_a_parquet_file_is_counted_from_one(tmp_path):
    """It has no header, and the first sample is row 1."""
    file = written(PRICES.assign(close=[*CLOSE[:3], np.inf, *CLOSE[4:]]), tmp_path / "own.parquet")
    with pytest.raises(MarketError, match="column close, row 4: inf"):
        understand(file, "prices", "ETH")


def test_a_frame_is_a_market_like_that_of_a_file():
    """The embedded market as a frame gives the same run, to the digest of the ledger."""
    scenario = Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")
    assembly = assemble(scenario)
    market = assembly.market
    index = pd.DatetimeIndex(pd.to_datetime(market.open_ns, utc=True))
    again = Market.of(pd.DataFrame(dict(market.columns), index=index), coin=market.coin)
    assert np.array_equal(again.at_ns, market.at_ns)
    runs = [assembly.simulation().run(), assemble(scenario, market=again).simulation().run()]
    assert runs[0].ledger.digest == runs[1].ledger.digest


DOUBTED = {
    "a low of 5": ({"low": (9, 5.0)}, "row 10, column low: 5.0 after "),
    "a high of 100,000": ({"high": (9, 1e5)}, "row 10, column high: 100000.0 after "),
    "lending in percent": ({"sol_lending_apy": (slice(None), 5.0)}, "column sol_lending_apy: 5 in the middle; "),
    "a price times ten": ({"open": (9, 2e3), "high": (9, 2e3)}, "row 10, column open: 2000.0 after "),
}


@pytest.mark.parametrize(("changes", "words"), DOUBTED.values(), ids=DOUBTED)
def test_a_run_on_a_frame_that_is_implausible_says_so_at_its_top_and_to_scripts(changes, words):
    """The label is what the report begins with, and what `--json` calls the data."""
    scenario = Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")
    market = assemble(scenario).market
    index = pd.DatetimeIndex(pd.to_datetime(market.open_ns, utc=True))
    columns = {name: values.copy() for name, values in market.columns.items()}
    for name, (rows, value) in changes.items():
        columns[name][rows] = value
    assembly = assemble(scenario, market=Market.of(pd.DataFrame(columns, index=index), coin=market.coin))
    summary = summarize(assembly, assembly.simulation().run())
    assert f"IMPLAUSIBLE DATA (error): {words}" in summary["data"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "venues.hyperliquid.funding_rate=plain",
            "IMPLAUSIBLE DATA .error.: sol_daily.*, column plain: 5 for 24 h; no ",
        ),
        (
            "venues.asgard.lending_rate=plain",
            "IMPLAUSIBLE DATA .error.: column plain: 5 in the middle; for a rate that",
        ),
    ],
)
def test_a_column_whose_name_says_nothing_is_judged_by_what_reads_it(setting, words):
    """Funding of 5 a day, and 500 % a year."""
    scenario = Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml", [setting])
    market = assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")).market
    label = assemble(scenario, market=with_column(market, "plain", 5.0)).market.label
    assert re.search(words, label)
    assert "IMPLAUSIBLE" not in assemble(scenario, market=with_column(market, "plain", 0.0001)).market.label


def test_a_column_cannot_be_read_as_two_things():
    """One venue takes it for funding, another for a rate per year."""
    settings = ["venues.hyperliquid.funding_rate=plain", "venues.asgard.lending_rate=plain"]
    market = assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml")).market
    scenario = Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml", settings)
    words = "venues.hyperliquid.funding_rate: 'plain' has rates per year; expected a column of funding rates, such as"
    with pytest.raises(MarketError, match=words):
        assemble(scenario, market=with_column(market, "plain", 0.0001))


def with_column(market, name, value):
    """The market with one more column, which has a source like any other."""
    return evolve(
        market,
        columns=market.columns | {name: np.full(len(market), value)},
        sources=market.sources | {name: market.sources["close"]},
    )


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (PRICES.set_index(DAYS.tz_localize(None)), "no time zone; expected times such as frame.tz_localize"),
        (PRICES, "no time zone"),
        (PRICES.drop(columns="time").set_index(DAYS)[:1], "1 rows; expected two or more"),
        (PRICES[["close"]].set_index(DAYS), "no column 'open'"),
        (PRICES.drop(columns="time").set_index(DAYS)[::-1], "expected rows in time order"),
    ],
)
def test_a_frame_that_is_no_market_is_refused(frame, words):
    """In one line."""
    with pytest.raises(MarketError, match=words):
        Market.of(frame)


OWN = PRICES.assign(Funding=0.0001, supply_apy=0.02, debt=0.055)


def new(tmp_path, capsys, *arguments):
    """Exit code and output of `carrybook new scenario` in a directory of its own."""
    with pytest.raises(SystemExit) as exit_:
        main(["new", "scenario", "--coin", "ETH", "--short", "drift", "--out", str(tmp_path / "own.toml"), *arguments])
    said = capsys.readouterr()
    return exit_.value.code or 0, said.out + said.err


def test_a_scenario_on_a_csv_file_runs_on_it(tmp_path, capsys):
    """Columns are found by what people call them, one is named by hand; it is the run of the same values in a frame."""
    written(OWN, tmp_path / "my eth.csv")
    code, said = new(tmp_path, capsys, "--csv", str(tmp_path / "my eth.csv"), "--column", "usdc_borrowing_apy=debt")
    assert (code, said.splitlines()[-1]) == (
        0, f"Run it: carrybook run {tmp_path / 'own.toml'} --data {tmp_path}"
    )  # fmt: skip
    scenario = Scenario.load(tmp_path / "own.toml")
    run = assemble(scenario, tmp_path).simulation().run()
    names = {"Funding": "drift_funding_rate", "supply_apy": "eth_lending_apy", "debt": "usdc_borrowing_apy"}
    frame = OWN.rename(columns=names).set_index("time")
    same = assemble(scenario, market=Market.of(frame, coin="ETH")).simulation().run()
    assert len(run.market) == 48
    assert run.ledger.digest == same.ledger.digest
    assert run.market.cell("drift_funding_rate", 0) == "my eth.csv:2"


@pytest.mark.parametrize(
    ("frame", "arguments", "words"),
    [
        (OWN, (), "no column usdc_borrowing_apy, a rate as a fraction per year; expected --column usdc_borrowing"),
        (OWN.drop(columns="Funding"), (), "no column drift_funding_rate, funding of each row as a fraction of"),
        (OWN.drop(columns="low"), (), "no column low, the low of each row in USD"),
        (OWN, ("--column", "usdc_borrowing_apy=debts"), "no column debts, a rate"),
        (OWN, ("--column", "debt=usdc"), "--column debt: not wanted here; expected one of time, open"),
        (OWN, ("--column", "debt"), "--column debt: expected OURS=THEIRS"),
        (OWN, ("--lending", "kamino:ETH"), "--lending: names a series of the store"),
        (OWN.rename(columns={"time": "when"}), (), "no column time; expected --column time=NAME with one of when"),
        (OWN.assign(time=DAYS.as_unit("ms").asi8), ("--column", "usdc_borrowing_apy=debt"), "column time: numbers"),
        (OWN.iloc[:20], ("--column", "usdc_borrowing_apy=debt"), "20 rows without a whole day in UTC"),
        (OWN[::-1], ("--column", "usdc_borrowing_apy=debt"), "row 3: earlier than the row above; expected times that"),
        (OWN.iloc[::7], ("--column", "usdc_borrowing_apy=debt"), "rows every 25200 s; expected rows every 1m"),
        (OWN.assign(debt=5.5), ("--column", "usdc_borrowing_apy=debt"), "such as 0.055; nothing was written"),
        (OWN.drop(index=30), ("--column", "usdc_borrowing_apy=debt"), "1 missing between 2025-01-01 and 2025-01-02"),
    ],
)  # fmt: skip
def test_what_a_csv_file_lacks_is_said_before_a_scenario_is_written(tmp_path, capsys, frame, arguments, words):
    """In one line, with the option that would say it."""
    written(frame, tmp_path / "own.csv")
    code, said = new(tmp_path, capsys, "--csv", str(tmp_path / "own.csv"), *arguments)
    assert (code, said.count("\n")) == (2, 1)
    assert words in said
    assert not (tmp_path / "own.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--column", "close=c"), "--column: says what a column of a file is; expected --csv FILE with it"),
        (("--csv", "absent.csv"), "absent.csv: not readable (No such file or directory); expected a data file"),
        (("--csv", "own.parquet"), "own.parquet: only CSV is read in place; expected that, or carrybook data import"),
    ],
)
def test_what_is_no_csv_file_is_refused(tmp_path, capsys, arguments, words):
    """As well as columns of none."""
    assert new(tmp_path, capsys, *arguments) == (2, f"carrybook: {words}\n")
