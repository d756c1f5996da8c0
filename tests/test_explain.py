"""Where a number comes from: sums that add up exactly at every level, down to entries, events and market rows."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import RunError
from framework.money import BUCKETS, USDC
from framework.performance import COSTS, FIGURES
from framework.reports.explain import ACCOUNTS, Selection, explain, origins, register, rules_behind, sources
from framework.reports.frames import explain_frame, register_frame
from framework.run import Run
from framework.run_folder.archive import Folder
from framework.valuation import PricedBook, waterfall_of
from tests.runs import EXAMPLES


@pytest.fixture(scope="module")
def folders(saved: Callable[[str], tuple[Run, Path]]) -> Callable[[str], Folder]:
    """The finished run of an example."""
    return lambda example: Folder(saved(example)[1])


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_bucket_is_the_sum_of_its_parts_at_every_level(example: str, folders: Callable[[str], Folder]) -> None:
    folder = folders(example)
    worth = PricedBook.of(folder.accounts, folder.market, folder.opened_at).worth(folder.records())
    steps = waterfall_of(worth, folder.capital)
    result = explain(folder, "result")
    assert {child.label for child in result.children} <= set(BUCKETS)
    for _, node in result.walk():
        if node.children:
            assert node.amount == sum(child.amount for child in node.children)
            assert node.entries == sum(child.entries for child in node.children)
        else:
            assert node.entries == (0 if node.event is None else 1)
    buckets = {child.label: child.usd for child in result.children}
    for bucket in BUCKETS:
        assert buckets.get(bucket, Decimal()) == getattr(steps, bucket)
    assert explain(folder, "final_equity_usd").amount == worth.equity()


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_figures_of_the_summary_are_explained_with_their_sign(example: str, folders: Callable[[str], Folder]) -> None:
    folder = folders(example)
    for figure, bucket in FIGURES.items():
        if bucket in BUCKETS:
            usd = explain(folder, figure).usd
            assert float(usd) == folder.summary[figure]
            assert usd == explain(folder, bucket).usd * (-1 if figure in COSTS else 1)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_accounts_are_explained_as_what_they_gained_or_cost(example: str, folders: Callable[[str], Folder]) -> None:
    folder = folders(example)
    for account, balance in zip(folder.accounts, folder.manifest.ledger.balances, strict=True):
        alone = [each for each in folder.accounts if f"{each.name}:".startswith(f"{account.name}:")] == [account]
        if alone and account.asset == USDC:
            sign = -1 if account.name.startswith("Income:") else 1
            assert explain(folder, account.name).usd == account.asset.decimal(sign * balance)
    for figure, name in ACCOUNTS.items():
        if any(account.name == name for account in folder.accounts):
            assert float(explain(folder, figure).usd) == folder.summary[figure]


@pytest.mark.slow
@pytest.mark.parametrize("example", ["capital_rebalance", "euss"])
@settings(deadline=None)
@given(data=st.data())
def test_periods_add_up_to_the_whole(example: str, folders: Callable[[str], Folder], data: st.DataObject) -> None:
    folder = folders(example)
    market = folder.scenario.market
    cut = data.draw(st.dates(market.start, market.end - timedelta(days=1)))
    what = data.draw(st.sampled_from(sorted(BUCKETS)))
    parts = [
        explain(folder, what, Selection(until=cut)),
        explain(folder, what, Selection(since=cut + timedelta(days=1))),
    ]
    assert sum(part.usd for part in parts) == explain(folder, what).usd


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_entry_of_funding_leads_to_the_rows_that_made_it(example: str, folders: Callable[[str], Folder]) -> None:
    """The event behind each entry has a rate, a price and a size that make its amount, and names their source rows."""
    folder = folders(example)
    leaves = [node for _, node in explain(folder, "funding").walk() if node.event is not None]
    if not leaves:
        assert folder.summary["funding_usd"] == 0
        return
    events = pd.read_parquet(folder.path / "events.parquet").set_index("event")
    market = pd.read_parquet(folder.path / "market.parquet")
    places = {asset.code: asset.decimals for asset in folder.assets}
    for leaf in leaves[:: max(1, len(leaves) // 25)]:
        event = events.loc[leaf.event]
        decimals = places[event["asset"]]
        on_quote = event["asset"] == USDC.code  # at cost: on what is due or owed for the contracts
        exact = (1 if on_quote else -1) * event["rate"] * event["size"] / 10**decimals * event["price"]
        assert float(leaf.usd) == pytest.approx(exact, abs=1.1e-6)
        words = sources(folder, [leaf.event])[leaf.event]
        assert f"rate {event['rate']:.10g} ({event['rate_source']}:{event['rate_source_row']:.0f}" in words
        assert words.endswith(f", size {event['size'] / 10**decimals:.{decimals}f} {event['asset']}")
        if isinstance(event["price_source"], str):
            assert f"({event['price_source']}:{event['price_source_row']:.0f})" in words
            assert event["price"] in market.loc[int(event["row"])].to_numpy()
        else:
            assert example in ("static", "full_rotation"), "only at cost is a price no cell of the market"


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_entry_says_what_its_account_received_or_gave(example: str, folders: Callable[[str], Folder]) -> None:
    """With the other side of the transfer, and the same amount that the ledger has to the last unit."""
    folder = folders(example)
    ledger = pd.read_parquet(folder.path / "ledger.parquet").set_index("seq")
    words = re.compile(r"entry (\d+), [\d-]+: (received|gave) ([\d.]+) ([A-Z-]+) \((debit|credit)\) (from|to) (\S+)")
    nodes = [(above[-2], node) for above, node in explain(folder, "result").walk() if node.event is not None]
    told = [(account, words.fullmatch(node.label)) for account, node in nodes[:: max(1, len(nodes) // 50)]]
    for account, match in told:
        assert match is not None
        seq, did, amount, asset, term, way, other = match.groups()
        row = ledger.loc[int(seq)]
        assert (did, term, way) == (("received", "debit", "from") if term == "debit" else ("gave", "credit", "to"))
        assert account == f"{row[term]} ({row.asset})"
        assert other == row["credit" if term == "debit" else "debit"]
        code = next(each for each in folder.assets if each.code == asset == row.asset)
        assert Decimal(amount) == code.decimal(int(row.amount))
    assert {match[5] for _, match in told if match} == {"debit", "credit"}


def test_a_partial_liquidation_is_walked_down_to_its_oracle_price_and_its_rules(
    folders: Callable[[str], Folder],
) -> None:
    """The crash: 1 % of a tenth of the loan, where the oracle's way to its low met the line of 75 %."""
    folder = folders("crash")
    first, *_ = [node for _, node in explain(folder, "liquidation_penalty").walk() if node.event is not None]
    assert first.event is not None
    events = pd.read_parquet(folder.path / "events.parquet").set_index("event")
    loan_usd = 0.75 * events["size"][first.event] / 1e9 * events.price[first.event]
    assert float(-first.usd) == pytest.approx(loan_usd * 0.1 * 0.01, rel=1e-6)
    told = sources(folder, [first.event])[first.event]
    price = f"{events.price[first.event]:.10g}"
    assert f", reached {price}, liquidation price {price} on the way to " in told
    assert re.search(r" in SOL\.oracle\.low \(crash_5m\.csv:\d+\), by ", told)
    assert told.endswith(
        "by terms.liquidation_ltv 0.75 (inferred), terms.close_factor 0.1 (secondary), terms.min_bonus 0.01 (secondary)"
    )
    rules = rules_behind(folder, [first.event])
    assert list(rules) == [
        "asgard terms.liquidation_ltv 0.75", "asgard terms.close_factor 0.1", "asgard terms.min_bonus 0.01",
    ]  # fmt: skip
    assert rules["asgard terms.close_factor 0.1"].startswith(
        "since 2025-09-01 until 2026-11-30, secondary: kamino.com/"
    )
    plain = origins(folder, [first.event])[first.event]["rules"]
    assert isinstance(plain, dict)
    assert plain["terms.close_factor"]["certainty"] == "secondary"


def test_what_is_neither_a_bucket_nor_a_figure_is_refused(folders: Callable[[str], Folder]) -> None:
    for what, words in (
        ("profit", r"expected one of carry, .*funding_usd, .*an account$"),
        ("feees", r"did you mean fees\?$"),
        ("Income:Hyperliquid:Fundin", r"did you mean Income:Hyperliquid:Funding\?$"),
        ("Income:Hyperlquid", r"did you mean Income:Hyperliquid\?$"),
    ):
        with pytest.raises(RunError, match=f"^nothing to explain as '{what}'; {words}"):
            explain(folders("static"), what)
    with pytest.raises(RunError, match=r"^no rows of the market from 2030-01-01 on; expected days from "):
        explain(folders("static"), "funding", Selection(since=date(2030, 1, 1)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_register_runs_from_zero_to_the_balance(example: str, folders: Callable[[str], Folder]) -> None:
    folder = folders(example)
    for account, balance in zip(folder.accounts, folder.manifest.ledger.balances, strict=True):
        lines = [line for line in register(folder, Selection(account=account.name)) if line.asset == account.asset.code]
        running = Decimal()
        for line in lines:
            assert line.change is not None
            running += line.change
            assert line.balance == running
            assert abs(line.change) == line.amount
            assert account.name in (line.debit, line.credit)
        assert running == account.asset.decimal(balance)


def test_a_register_of_a_period_begins_with_what_was_there(folders: Callable[[str], Folder]) -> None:
    folder, place = folders("capital_rebalance"), "Assets:Hyperliquid:Margin"
    whole = list(register(folder, Selection(account=place)))
    cut = whole[len(whole) // 2].at.date()
    assert list(register(folder, Selection(account=place, since=cut))) == [
        each for each in whole if each.at.date() >= cut
    ]
    assert list(register(folder, Selection(account=place, until=cut))) == [
        each for each in whole if each.at.date() <= cut
    ]


def test_a_register_of_what_moves_within_it_does_not_move_its_balance(folders: Callable[[str], Folder]) -> None:
    """Between two accounts below the one that was asked for, the balance of both together stays."""
    folder = folders("capital_rebalance")
    inner = [line for line in register(folder, Selection(account="Assets")) if line.credit.startswith("Assets:")]
    inner = [line for line in inner if line.debit.startswith("Assets:")]
    assert inner
    assert {line.change for line in inner} == {Decimal()}


def test_a_register_by_kind_and_by_event(folders: Callable[[str], Folder]) -> None:
    folder = folders("capital_rebalance")
    frame = pd.read_parquet(folder.path / "ledger.parquet")
    assert [line.seq for line in register(folder, Selection(kind="funding"))] == frame[
        frame.kind == "funding"
    ].seq.tolist()
    lines = list(register(folder, Selection(event=2)))
    assert [line.seq for line in lines] == frame[frame.event == 2].seq.tolist()
    assert {line.balance for line in lines} == {None}


def test_what_a_register_cannot_select_is_refused(folders: Callable[[str], Folder]) -> None:
    folder = folders("static")
    with pytest.raises(
        RunError, match=r"^no account 'Assets:Nowhere'; expected one of Assets:Wallet:Cash, .*begin with"
    ):
        next(register(folder, Selection(account="Assets:Nowhere")))
    with pytest.raises(RunError, match=r"^no account 'Asets:Wallet:Cash'; did you mean Assets:Wallet:Cash\?$"):
        next(register(folder, Selection(account="Asets:Wallet:Cash")))
    with pytest.raises(RunError, match=r"^no transfers of kind 'gift'; expected one of capital, "):
        next(register(folder, Selection(kind="gift")))
    with pytest.raises(RunError, match=r"^no transfers of kind 'fund'; did you mean funding\?$"):
        next(register(folder, Selection(kind="fund")))


def test_register_and_explanation_are_frames(folders: Callable[[str], Folder]) -> None:
    folder = folders("euss")
    frame = register_frame(folder.path, Selection(account="Income:Drift:Funding"))
    assert frame.balance.iloc[-1] == frame.change.sum()
    tree = explain_frame(folder.path, "funding")
    assert tree.usd[0] == tree[tree.level == 1].usd.sum() == tree[tree.event.notna()].usd.sum() == -frame.change.sum()
    assert tree.entries[0] == len(frame)
    assert re.fullmatch(r"funding / Income:Drift:Funding \(USDC\) / \d{4}-\d\d", tree.above.iloc[-1])
