"""Paths keep of their history what they must, and are the same wherever they are drawn."""

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from framework import Scenario, assemble
from framework.assembly import path_of
from framework.audit import audit
from framework.command_line.cli import main
from framework.data.drawn_paths import CircularBootstrap, Drawn, Path, Which, block_length, chained, stationary_rows
from framework.errors import CarrybookError
from framework.market import PRICES
from framework.performance import summarize
from framework.run_folder.archive import Folder, save
from tests.conftest import ROOT
from tests.histories import history

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
EPISODES = {"crash": {"start": "2024-10-10", "end": "2024-10-12"}}
METHODS = {
    "stationary": {"block_rows": 7},
    "circular": {"block_rows": 7},
    "filtered": {"block_rows": 3},
    "jumps": {"block_rows": 7, "per_year": 20, "episodes": EPISODES},
    "gbm": {},
}


def draw(source, method, number=1, seed=5, rows=None, **options):
    """A path of a history."""
    table = {"method": method, "seed": seed, "number": number} | ({"rows": rows} if rows else {}) | options
    return path_of(table).of(source)


def rows_of(market):
    """Which row of the history each row of a path is, by the sources of its funding."""
    return market.sources["funding_rate"].first_row - 2


def log_returns(market):
    """The log returns of the closes; that of the first row from its open."""
    return np.diff(np.log(np.concatenate((market["open"][:1], market["close"]))))


@pytest.mark.parametrize("method", ["stationary", "circular", "jumps"])
def test_a_row_of_a_path_is_a_row_of_the_data(method):
    """Funding is that of the row its source names, and so is every price over the close before."""
    source, path = history(), draw(history(), method, **METHODS[method])
    rows = rows_of(path)
    assert np.array_equal(path["funding_rate"], source["funding_rate"][rows])
    for market, picked in ((source, slice(None)), (path, rows)):
        before = np.concatenate((market["open"][:1], market["close"][:-1]))
        ratios = [market[name] / before for name in PRICES]
        if market is source:
            of_data = ratios
        else:
            for mine, theirs in zip(ratios, of_data, strict=True):
                np.testing.assert_allclose(mine, theirs[picked], rtol=1e-14)


def test_cells_name_the_rows_behind_them():
    """Rates are cells of the file; prices are made of the file's returns, and say so."""
    path = draw(history(), "stationary", block_rows=7)
    row = rows_of(path)[3] + 2
    assert path.cell("funding_rate", 3) == f"rows.csv:{row}"
    assert path.cell("close", 3) == f"returns of rows.csv:{row}"
    assert path.label == "SYNTHETIC: path 1 of seed 5, stationary bootstrap, blocks of 7 rows on average"


def test_a_circular_block_as_long_as_the_data_is_the_data_turned():
    """Rows in their order from a random start; from the first row on it is the history itself."""
    source = history()
    path = draw(source, "circular", block_rows=300)
    assert np.array_equal(rows_of(path), (rows_of(path)[0] + np.arange(300)) % 300)
    again = chained(source, Drawn(picked=np.arange(300)))
    for name in source.columns:
        np.testing.assert_allclose(again.columns[name], source[name], rtol=1e-13)


def test_blocks_of_one_row_are_drawn_independently():
    """Every row comes equally often, whatever came before: counts and pairs within four standard errors."""
    rows = np.concatenate(
        [rows_of(draw(history(rows=20), "stationary", number, rows=4000, block_rows=1)) for number in range(1, 6)]
    )
    count = np.bincount(rows, minlength=20)
    assert np.abs(count - len(rows) / 20).max() < 4 * np.sqrt(len(rows) / 20 * (1 - 1 / 20))
    followed = ((rows[1:] - rows[:-1]) % 20 == 1).mean()
    assert abs(followed - 1 / 20) < 4 * np.sqrt(0.05 * 0.95 / len(rows))


def test_stationary_blocks_have_the_mean_length():
    """A row is followed by its successor with the chance 1 - 1 / length, and else by any."""
    rows = stationary_rows(1000, 200_000, 12.5, np.random.default_rng(3))
    followed = ((rows[1:] - rows[:-1]) % 1000 == 1).mean()
    expected = 1 - 1 / 12.5 + 1 / 12.5 / 1000
    assert abs(followed - expected) < 4 * np.sqrt(expected * (1 - expected) / 200_000)


def test_circular_blocks_have_their_length():
    """Only at multiples of the length does another block begin."""
    rows = rows_of(draw(history(), "circular", block_rows=7))
    breaks = np.flatnonzero((rows[1:] - rows[:-1]) % 300 != 1) + 1
    assert len(breaks) > 30
    assert not (breaks % 7).any()


def many(source, paths=400, **options):
    """Funding and returns of many paths: shape (paths, rows) each."""
    drawn = [draw(source, "stationary", number, **options) for number in range(1, paths + 1)]
    return np.array([each["funding_rate"] for each in drawn]), np.array([log_returns(each) for each in drawn])


def within(samples, expected):
    """Whether the mean of independent samples is within four standard errors of what is expected."""
    return abs(samples.mean() - expected) < 4 * samples.std(ddof=1) / np.sqrt(len(samples))


def test_marginals_memory_and_correlation_are_those_of_the_bootstrap():
    """Moments against the closed forms of Politis and Romano: lag k has (1 - 1 / length) ** k of its autocovariance."""
    source, length = history(), 10
    funding, returns = many(source, block_rows=length)
    own, moves = source["funding_rate"], log_returns(source)
    for values, data in ((funding, own), (returns, moves)):
        for power in (1, 2):
            assert within((values**power).mean(axis=1), (data**power).mean())
    around = funding - own.mean()
    for lag in (1, 3, 10):
        circular = ((own - own.mean()) * np.roll(own - own.mean(), -lag)).mean()
        kept = (1 - 1 / length) ** lag * circular
        assert within((around[:, lag:] * around[:, :-lag]).mean(axis=1), kept)
    assert within((around * (returns - moves.mean())).mean(axis=1), np.cov(own, moves, bias=True)[0, 1])
    assert np.corrcoef(own, moves)[0, 1] > 0.2  # there was something to keep


@pytest.mark.parametrize("method", METHODS)
def test_a_path_depends_on_nothing_but_seed_and_number(method):
    """Drawn again, and after others, it is the same to the bit; another seed or number gives another."""
    source, options = history(), METHODS[method]
    first = draw(source, method, 3, **options)
    draw(source, method, 8, **options)
    again = draw(history(), method, 3, **options)
    for name in source.columns:
        assert first[name].tobytes() == again[name].tobytes()
    for other in (draw(source, method, 4, **options), draw(source, method, 3, seed=6, **options)):
        assert not np.array_equal(first["close"], other["close"])


@given(
    method=st.sampled_from(list(METHODS)),
    seed=st.integers(0, 2**63 - 1),
    rows=st.integers(1, 700),
    length=st.sampled_from((1, 2.5, 30, "auto")),
)
def test_any_path_is_a_market(method, seed, rows, length):
    """Prices within low and high, the length that was asked for, and the times of the data going on at their step."""
    options = METHODS[method] | ({} if method == "gbm" else {"block_rows": length})
    path = draw(history(), method, seed=seed, rows=rows, **options)
    assert len(path) == rows
    assert (path["low"] <= np.minimum(path["open"], path["close"])).all()
    assert (path["high"] >= np.maximum(path["open"], path["close"])).all()
    assert path.open_ns[0] == history().open_ns[0]
    assert set(np.diff(path.open_ns)) <= {history().open_ns[1] - history().open_ns[0]}


def test_filtered_returns_are_residuals_at_the_volatility_of_the_path():
    """Of a mean square of 1, each is that of the row behind; with no memory of volatility nothing is rescaled."""
    source = history()
    path = draw(source, "filtered", block_rows=3, alpha=0.1, beta=0.85)
    rows, variance = rows_of(path), (log_returns(source) ** 2).mean()

    def volatility(returns, first):
        squares = [first]
        for each in returns:
            squares.append(0.05 * variance + 0.1 * each**2 + 0.85 * squares[-1])
        return np.sqrt(squares)

    of_data = volatility(log_returns(source), variance)
    of_path = volatility(log_returns(path), of_data[-1] ** 2)
    residuals = log_returns(source) / of_data[:-1]
    residuals /= np.sqrt((residuals**2).mean())
    np.testing.assert_allclose(log_returns(path) / of_path[:-1], residuals[rows], rtol=1e-9)
    plain, filtered = (draw(source, method, block_rows=3, **more) for method, more in
                       (("stationary", {}), ("filtered", {"alpha": 0.0, "beta": 0.0})))  # fmt: skip
    np.testing.assert_allclose(filtered["close"], plain["close"], rtol=1e-11)


@pytest.mark.parametrize(("alpha", "beta"), [(0.08, 0.9), (0.02, 0.98)])
def test_filtered_paths_vary_as_much_as_the_data(alpha, beta):
    """From the variance of the last row it goes back to that of the data, by alpha + beta a row, or stays."""
    source, rows = assemble(Scenario.load(SCENARIO)).market, 100
    returns = log_returns(source)
    variance = now = (returns**2).mean()
    for each in returns:
        now = (1 - alpha - beta) * variance + alpha * each**2 + beta * now
    expected = variance + (now - variance) * ((alpha + beta) ** np.arange(rows)).mean()
    drawn = [draw(source, "filtered", number, rows=rows, alpha=alpha, beta=beta) for number in range(1, 601)]
    assert within(np.array([(log_returns(each) ** 2).mean() for each in drawn]), expected)


def test_episodes_come_whole_and_as_often_as_asked():
    """Between them lies the bootstrap; their number is that of a Poisson process within four standard errors."""
    source = history()
    window = np.flatnonzero([source.date(row) in ("2024-10-10", "2024-10-11", "2024-10-12") for row in range(300)])
    began = 0
    for number in range(1, 41):
        rows = rows_of(draw(source, "jumps", number, block_rows=1, per_year=8, episodes=EPISODES))
        starts = [at for at in range(298) if np.array_equal(rows[at : at + 3], window)]
        began += len(starts)
    expected = 40 * 8 * 300 / 365
    assert abs(began - expected) < 4 * np.sqrt(expected) + expected * 0.05  # some are cut off by another or the end


def test_an_episode_that_is_cut_off_does_not_go_on_behind_the_one_that_cut_it():
    """Behind two days that begin within a long one lies the bootstrap, whose next row is seldom one of the long one."""
    source = history()
    long_first, short_first = 6, 100
    long, short = ({"start": source.date(first), "end": source.date(first + days - 1)}
                   for first, days in ((long_first, 20), (short_first, 2)))  # fmt: skip
    within = resumed = 0
    for number in range(1, 101):
        rows = rows_of(draw(source, "jumps", number, block_rows=1, per_year=25, episodes={"a": long, "b": short}))
        for at in range(1, 298):
            before = rows[at - 1] - long_first
            if rows[at : at + 2].tolist() == [short_first, short_first + 1] and 0 <= before < 17:
                within += 1
                resumed += rows[at + 2] == rows[at - 1] + 3
    assert within > 100
    assert resumed < within / 20


def test_tokens_keep_their_premium():
    """The premium of a token over rate times coin is that of the row, however long the path is."""
    scenario = Scenario.load(ROOT / "examples" / "uss" / "scenario.toml")
    source = assemble(scenario).market

    def premium(market):
        return market["jitosol_close"] / (market["jitosol_rate_close"] * market["close"])

    path = draw(source, "stationary", rows=5000, block_rows=20)
    rows = path.sources["funding_rate"].first_row - source.sources["funding_rate"].first_row[0]
    np.testing.assert_allclose(premium(path), premium(source)[rows], rtol=1e-12)
    assert path["jitosol_rate_close"][-1] > path["jitosol_rate_open"][0]
    table = scenario.table()
    table["market"]["path"] = {"method": "stationary", "block_rows": 20}
    assert assemble(Scenario.of(table)).simulation().run().ledger.records().size


def test_coins_move_together():
    """Of several coins each has the return of the same row, its own chain of closes, and its own oracle."""
    other = history(seed=2)
    more = {f"BTC.{name}": 500 * other[name] for name in PRICES} | {"BTC.oracle": 501 * other["close"]}
    source = history(**more)
    path = draw(source, "filtered", block_rows=5, alpha=0.0, beta=0.0)
    rows = rows_of(path)
    mine = np.diff(np.log(path["BTC.close"]))
    inside = rows[1:] > 0
    theirs = np.diff(np.log(source["BTC.close"]))[rows[1:][inside] - 1]
    np.testing.assert_allclose(mine[inside], theirs, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(path["BTC.oracle"] / path["BTC.close"], 501 / 500, rtol=1e-12)


def test_antithetic_paths_mirror_each_other():
    """The log returns of a pair sum to twice the drift, and one's highs are the other's lows."""
    source = history()
    up, down = (draw(source, "gbm", number, antithetic=True, volatility=0.8, growth=0.1) for number in (7, 8))
    drift = (0.1 - 0.8**2 / 2) / 365
    np.testing.assert_allclose(log_returns(up) + log_returns(down), 2 * drift, atol=1e-14)
    still = [draw(source, "gbm", number, antithetic=True, volatility=0.8, growth=0.32) for number in (7, 8)]
    np.testing.assert_allclose(np.log(still[0]["high"] / still[0]["open"]), -np.log(still[1]["low"] / still[1]["open"]))
    assert not np.array_equal(draw(source, "gbm", 9, antithetic=True)["close"], up["close"])


def random_walk(memory, count):
    """A series with a memory, from the numbers of a linear congruential generator."""
    state, value, found = 1, 0.0, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        value = memory * value + state / 2**64 - 0.5
        found.append(value)
    return np.array(found)


ARCH = {
    (0.3, 500): (4.854430753607586, 5.556936023143507),
    (0.8, 500): (15.19340526271487, 17.392107397114458),
    (-0.4, 300): (5.83366340941492, 6.677877591019487),
    (0.95, 1000): (37.22901154847007, 42.61657975571616),
    (0.0, 400): (2.050890170241192, 2.34768318778772),
}
"""`arch.bootstrap.optimal_block_length` of arch 8.0.0: memory and samples -> stationary and circular length."""


@pytest.mark.parametrize("series", ARCH)
def test_the_automatic_block_length_is_that_of_arch(series):
    """The rule of Politis and White, computed by another program."""
    stationary, circular = ARCH[series]
    values = random_walk(*series)
    assert block_length(values) == pytest.approx(stationary, rel=1e-12)
    assert block_length(values, circular=True) == pytest.approx(circular, rel=1e-12)
    assert block_length(1e6 - 3 * values) == pytest.approx(stationary, rel=1e-9)
    assert block_length(np.ones(50)) == 1


BAD = {
    "no method": ({"method": "magic"}, "market.path.method: 'magic'; expected one of stationary, circular, filtered"),
    "nothing": ({}, "market.path.method: None; expected one of stationary"),
    "path 0": ({"method": "gbm", "number": 0}, "market.path.number: 0; expected >= 1"),
    "a seed below 0": ({"method": "gbm", "seed": -1}, "market.path.seed: -1; expected >= 0"),
    "no rows": ({"method": "gbm", "rows": 0}, "market.path.rows: 0; expected >= 1"),
    "half a row": ({"method": "stationary", "block_rows": 0.5}, "market.path.block_rows: 0.5; expected blocks of 1 to"),
    "below 0": ({"method": "stationary", "block_rows": -2}, "market.path.block_rows: -2.0; expected a length above 0"),
    "a long block": ({"method": "circular", "block_rows": 301}, "block_rows: 301; expected blocks of 1 to 300 rows"),
    "long days": ({"method": "stationary", "block_days": 400.0}, "block_days: 400; expected blocks of 1 to 300 rows"),
    "two lengths": (
        {"method": "stationary", "block_rows": 20, "block_days": 30},
        "market.path.block_days: 30; expected no block_rows beside it, which is 20",
    ),
    "a word": ({"method": "stationary", "block_rows": "long"}, "block_rows: 'long'; expected a number or auto"),
    "not its key": ({"method": "stationary", "antithetic": True}, "antithetic: not a key of the method stationary;"),
    "explosive": ({"method": "filtered", "alpha": 0.2, "beta": 0.9}, "beta: 0.9; expected at most 1 - alpha"),
    "no episodes": ({"method": "jumps", "per_year": 1.0}, "market.path.episodes: missing"),
    "an empty table": ({"method": "jumps", "per_year": 1.0, "episodes": {}}, "episodes: {}; expected tables with"),
    "an episode elsewhere": (
        {"method": "jumps", "per_year": 1.0, "episodes": {"x": {"start": "2030-01-01", "end": "2030-01-02"}}},
        "market.path.episodes.x: 2030-01-01 to 2030-01-02; expected days of the data, 2024-10-04 to 2025-07-30",
    ),
    "backwards": (
        {"method": "jumps", "per_year": 1.0, "episodes": {"x": {"start": "2025-01-02", "end": "2025-01-01"}}},
        "market.path.episodes.x.end: 2025-01-01; expected on or after 2025-01-02",
    ),
    "too wild": ({"method": "gbm", "volatility": 1000.0}, "expected"),
}  # fmt: skip


def test_days_take_the_place_of_an_automatic_length():
    """So `--block-days` can be put over a scenario that leaves the length to the rule."""
    days = path_of({"method": "stationary", "block_rows": "auto", "block_days": 12})
    assert days.method.length(history()) == 12


@pytest.mark.parametrize(("table", "words"), BAD.values(), ids=BAD)
def test_a_bad_path_is_refused_in_one_line(table, words):
    """The line names the key, and what would be right."""
    with pytest.raises(CarrybookError) as error:
        path_of(table).of(history())
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_markets_that_cannot_be_drawn_from_are_refused():
    """Rows of several lengths; a second coin, where one is drawn."""
    source = history()
    uneven = evolve(source, at_ns=np.concatenate((source.at_ns[:-1], source.at_ns[-1:] - 1000)))
    with pytest.raises(CarrybookError, match="the data's rows differ in length"):
        draw(uneven, "stationary")
    with pytest.raises(CarrybookError, match=r"gbm draws one coin; the data have the column BTC\.open as well"):
        draw(history(**{f"BTC.{name}": source[name] for name in PRICES}), "gbm")


def test_a_path_without_sources_is_a_path_all_the_same():
    """A market made in memory has no files; its path has none either."""
    bare = evolve(history(), sources={})
    path = Path(method=CircularBootstrap(block_rows=5), which=Which()).of(bare)
    assert not path.sources


@pytest.mark.slow
@pytest.mark.parametrize("method", ["jumps", "gbm"])
def test_a_run_on_a_path_stands_every_check(method, tmp_path):
    """The books of a path are audited thoroughly, the market drawn again among it."""
    options = METHODS[method] | (
        {"episodes": {"x": {"start": "2025-03-01", "end": "2025-03-04"}}} if method == "jumps" else {}
    )
    table = Scenario.load(SCENARIO).table()
    table["market"]["path"] = {"method": method, "seed": 2} | options
    assembly = assemble(Scenario.of(table))
    run = assembly.simulation().run()
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    results = audit(folder, thorough=True)
    assert [each for each in results if each.findings or each.not_made] == []


def test_the_command_runs_a_path_and_names_it_on_top(capsys, tmp_path):
    """`--set market.path.KEY=VALUE` is all it takes."""
    path = [
        "--set",
        "market.path.method=circular",
        "--set",
        "market.path.block_rows=10",
        "--set",
        "market.path.number=4",
    ]
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(SCENARIO), "--out", str(tmp_path), *path])
    assert not exit_.value.code
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("SYNTHETIC: path 4 of seed 0, circular block bootstrap, blocks of 10 rows; SYNTHETIC")
