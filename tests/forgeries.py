"""Ways to falsify a finished run: each edits a copy, names the check that must find it, and returns the place."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen

from framework.run_folder.archive import Folder
from tests.forgery import Forgery, Row, nth

RUNS = {
    "rebalance": ("capital_rebalance", ("strategy.leverage=4.0",)),
    "transit": ("capital_rebalance", ("strategy.leverage=4.0", "venues.asgard.bridge.latency_s=172800")),
    "euss": ("euss", ()),
    "rotation": ("full_rotation", ()),
    "incident": ("incident", ()),
    "own": ("capital_rebalance", ("strategy.leverage=4.0", "venues.hyperliquid.class=tests.own_venue:Own")),
}
"""Name of a run -> example and settings.

4x has liquidations, a bad debt and transfers, eUSS rewards and fees; the full rotation values at cost. In the incident
a venue fails.
The venue of the last is of a user's own class, whose accounts, kinds, events and rules have names of their own.
"""

Edit = Callable[[Forgery], str]


@frozen
class Case:
    """A way to falsify a run, and the check that must find it."""

    check: str
    edit: Edit
    run: str


CASES: list[Case] = []


def found_by(check: str, run: str = "rebalance") -> Callable[[Edit], Edit]:
    def register(edit: Edit) -> Edit:
        CASES.append(Case(check, edit, run))
        return edit

    return register


@found_by("files")
def a_byte_changed(forgery: Forgery) -> str:
    path = forgery.path / "equity.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    return "equity.parquet"


@found_by("files")
def a_file_truncated(forgery: Forgery) -> str:
    path = forgery.path / "ledger.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    return "ledger.parquet"


@found_by("files")
def a_file_gone(forgery: Forgery) -> str:
    (forgery.path / "balances.parquet").unlink()
    return "balances.parquet"


@found_by("chain")
def an_amount_off_by_one_unit(forgery: Forgery) -> str:
    forgery.change("ledger", 700, amount=lambda amount: amount + 1)
    forgery.seal_files()
    return "entries 1 to 4096"


@found_by("chain")
def an_account_renamed_in_the_chart(forgery: Forgery) -> str:
    rows = forgery.rows("ledger")
    for row in rows:
        for side in ("debit", "credit"):
            row[side] = row[side].replace("Hyperliquid:TakerFee", "Hyperliquid:Rebate")
    forgery.write("ledger", rows)

    def edit(manifest: dict) -> None:
        chart = manifest["ledger"]["chart"]
        renamed = "Hyperliquid:TakerFee", "Hyperliquid:Rebate"
        chart["accounts"] = [[name.replace(*renamed), asset] for name, asset in chart["accounts"]]

    forgery.json("manifest", edit)
    forgery.seal_files()
    return "the chart of accounts"


@found_by("chain")
def a_link_of_the_chain_changed(forgery: Forgery) -> str:
    def edit(manifest: dict) -> None:
        manifest["ledger"]["chain"][-1] = "0" * 64
        manifest["ledger"]["digest"] = "0" * 64

    forgery.json("manifest", edit)
    return "entries 1 to 4096"


@found_by("transfers")
def an_entry_removed(forgery: Forgery) -> str:
    rows, at = forgery.rows("ledger"), forgery.at("ledger", 700)
    forgery.write("ledger", rows[:at] + rows[at + 1 :])
    return "entry 701"


@found_by("transfers")
def an_amount_turned_around(forgery: Forgery) -> str:
    forgery.change("ledger", 700, amount=lambda amount: -amount)
    forgery.seal()
    return "entry 701"


@found_by("transfers")
def an_account_that_is_not_in_the_chart(forgery: Forgery) -> str:
    forgery.change("ledger", 700, debit="Assets:Elsewhere")
    forgery.seal_files()
    return "entry 701"


@found_by("trial balance")
def a_balance_of_the_end_changed(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest["ledger"]["balances"].__setitem__(0, 5))
    return "asset USDC"


@found_by("balances")
def money_moved_between_two_balances(forgery: Forgery) -> str:
    accounts = Folder(forgery.path).accounts
    first, second = [code for code, each in enumerate(accounts) if each.asset.code == "USDC"][1:3]

    def edit(manifest: dict) -> None:
        manifest["ledger"]["balances"][first] += 10**6
        manifest["ledger"]["balances"][second] -= 10**6

    forgery.json("manifest", edit)
    return f"account {accounts[first].name}"


@found_by("rolled forward")
def a_month_of_the_roll_forward_changed(forgery: Forgery) -> str:
    line = forgery.change("balances", 30, debits=lambda amount: amount + 1, closing=lambda amount: amount + 1)
    forgery.seal_files()
    return f"account {line['account']} in {line['month']}"


@found_by("floors")
def more_sent_than_there_was(forgery: Forgery) -> str:
    at = forgery.find("ledger", debit="Assets:Bridge:InTransit")
    forgery.change("ledger", at, credit="Assets:Wallet:Cash")
    forgery.seal()
    return f"entry {at + 1}"


@found_by("time order")
def an_entry_moved_in_time(forgery: Forgery) -> str:
    forgery.change("ledger", 700, at_ns=lambda at_ns: at_ns - 30 * 86_400 * 10**9)
    forgery.seal()
    return "entry 701"


@found_by("time order")
def an_event_and_its_entry_after_the_end_of_the_scenario(forgery: Forgery) -> str:
    event = forgery.rows("events")[-1]["event"]
    at = forgery.find("ledger", event=event)
    for table in ("ledger", "events"):
        rows = forgery.rows(table)
        late = [row | {"at_ns": row["at_ns"] + 2 * 86_400 * 10**9} if row["event"] == event else row for row in rows]
        forgery.write(table, late)
    forgery.seal()
    return f"entry {at + 1}"


@found_by("event log")
def an_event_gone(forgery: Forgery) -> str:
    rows, at = forgery.rows("events"), forgery.at("events", 50)
    forgery.write("events", rows[:at] + rows[at + 1 :])
    forgery.seal()
    return f"event {nth(rows, at + 1)['event']}"


@found_by("event log")
def an_effect_before_its_cause(forgery: Forgery) -> str:
    at = forgery.find("events", kind="TransferSent")
    event = forgery.change("events", at, cause=10**6)
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("bijection")
def an_entry_removed_and_the_rest_numbered_again(forgery: Forgery) -> str:
    at = forgery.at("ledger", 700)
    row = forgery.rows("ledger")[at]
    forgery.entries(lambda rows: rows.pop(at))
    forgery.seal()
    return f"event {row['event']}"


@found_by("bijection")
def an_entry_doubled(forgery: Forgery) -> str:
    at = forgery.at("ledger", 700)
    row = forgery.rows("ledger")[at]
    forgery.entries(lambda rows: rows.insert(at, row))
    forgery.seal()
    return f"event {row['event']}"


@found_by("bijection")
def two_entries_swapped(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=40, kind="funding")

    def swap(rows: list[Row]) -> None:
        rows[at], rows[at - 1] = (
            rows[at - 1] | {"at_ns": rows[at]["at_ns"], "event": rows[at]["event"]},
            rows[at] | {"at_ns": rows[at - 1]["at_ns"], "event": rows[at]["event"]},
        )

    forgery.entries(swap)
    forgery.seal()
    return f"event {forgery.rows('ledger')[at]['event']}"


@found_by("bijection")
def an_event_without_entry(forgery: Forgery) -> str:
    rows = forgery.rows("events")
    invented = nth([row for row in rows if row["kind"] == "FundingSettled"], 0) | {
        "event": len(rows) + 1,
        "at_ns": rows[-1]["at_ns"],
    }
    forgery.write("events", [*rows, invented])
    forgery.seal()
    return f"event {invented['event']}"


@found_by("bijection")
def an_entry_without_event(forgery: Forgery) -> str:
    rows = forgery.rows("ledger")
    forgery.entries(lambda rows: rows.append(rows[-1] | {"event": rows[-1]["event"] + 1}))
    forgery.seal()
    return f"entry {len(rows) + 1}"


@found_by("bijection")
def an_entry_later_than_its_event(forgery: Forgery) -> str:
    forgery.change("ledger", 700, at_ns=lambda at_ns: at_ns + 1)
    forgery.seal()
    return "entry 701"


@found_by("incidents", "incident")
def a_halt_invented(forgery: Forgery) -> str:
    rows = forgery.rows("events")
    kept = ("event", "at_ns", "row")
    halt = dict.fromkeys(rows[-1]) | {name: rows[-1][name] for name in kept}
    halt |= {"event": len(rows) + 1, "kind": "VenueHalted", "venue": "hyperliquid"}
    forgery.write("events", [*rows, halt])
    forgery.seal()
    return f"event {halt['event']}"


@found_by("kinds")
def a_fee_booked_as_funding(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="taker_fee")
    forgery.change("ledger", at, debit="Income:Hyperliquid:Funding")
    forgery.seal()
    return f"entry {at + 1}"


@found_by("kinds")
def interest_called_lending(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=7, kind="interest")
    forgery.change("ledger", at, kind="lending")
    forgery.seal()
    return f"entry {at + 1}"


@found_by("settlements")
def a_rate_changed_in_the_events(forgery: Forgery) -> str:
    at = forgery.find("events", nth=20, kind="FundingSettled")
    event = forgery.change("events", at, rate=lambda rate: rate * 1.001)
    forgery.seal_files()
    return f"entry {forgery.find('ledger', event=event['event']) + 1}"


@found_by("settlements")
def an_amount_off_by_one_unit_in_sealed_books(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=20, kind="funding")
    forgery.change("ledger", at, amount=lambda amount: amount + 1)
    forgery.seal()
    return f"entry {at + 1}"


@found_by("fills")
def a_fee_larger_than_its_event_says(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="taker_fee")
    event = forgery.change("ledger", at, amount=lambda amount: amount + 1)["event"]
    forgery.seal()
    return f"entry {forgery.find('ledger', event=event) + 1}"


@found_by("fills")
def a_transfer_smaller_than_its_event_says(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, debit="Assets:Bridge:InTransit")
    event = forgery.change("ledger", at, amount=lambda amount: amount - 1)["event"]
    forgery.seal()
    return f"entry {forgery.find('ledger', event=event) + 1}"


@found_by("transit", run="transit")
def an_arrival_suppressed(forgery: Forgery) -> str:
    last = [row for row in forgery.rows("events") if row["kind"] == "TransferArrived"][-1]
    at = forgery.find("events", event=last["event"])
    forgery.change("events", at, kind="ConditionMet")
    forgery.seal()
    return "account Assets:Bridge:InTransit"


@found_by("transit", run="transit")
def an_arrival_invented(forgery: Forgery) -> str:
    event = forgery.change("events", forgery.find("events", kind="TransferArrived"), cause=1)
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("waterfall")
def another_capital(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest.update(capital=manifest["capital"] - 1))
    return "the waterfall"


@found_by("summary")
def a_figure_of_the_summary_changed(forgery: Forgery) -> str:
    forgery.json("summary", lambda summary: summary.update(return_pct=summary["return_pct"] + 0.01))
    forgery.seal_files()
    return "summary.json, return_pct"


@found_by("summary")
def funding_that_feeds_the_summary_alone(forgery: Forgery) -> str:
    forgery.json("summary", lambda summary: summary.update(funding_usd=summary["funding_usd"] + 0.000001))
    forgery.seal_files()
    return "summary.json, funding_usd"


@found_by("again: inputs")
def another_input_named(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest["inputs"].update({"other.json": "0" * 64}))
    return "other.json"


@found_by("again: market")
def a_row_of_the_market_changed(forgery: Forgery) -> str:
    forgery.change("market", 100, usdc_borrowing_apy=lambda apy: apy + 1e-6)
    forgery.seal_files()
    return "row 101 ("


def _everywhere(forgery: Forgery, at: int, more: int) -> str:
    """One settlement larger by some units in entry and event alike, all sealed."""
    entry = forgery.change("ledger", at, amount=lambda amount: amount + more)
    event = forgery.find("events", event=entry["event"])
    forgery.change("events", event, amount=lambda amount: amount + more if amount > 0 else amount - more)
    forgery.seal()
    return f"entry {at + 1}, "


@found_by("again: market")
def a_rate_of_the_market_that_nobody_used_changed(forgery: Forgery) -> str:
    forgery.change("market", 100, drift_funding_rate=lambda rate: rate + 1e-6)
    forgery.seal_files()
    return "row 101 ("


@found_by("accruals")
def funding_off_by_one_unit_in_entry_and_event(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="funding"), 1)


@found_by("accruals", run="euss")
def funding_with_the_other_sign(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=30, kind="funding")
    row = forgery.rows("ledger")[at]
    forgery.change("ledger", at, debit=row["credit"], credit=row["debit"])
    forgery.seal()
    return f"entry {at + 1}, "


@found_by("accruals")
def interest_off_by_one_unit_in_entry_and_event(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="interest"), 1)


@found_by("accruals")
def lending_off_by_one_unit_in_entry_and_event(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="lending"), 1)


@found_by("accruals", run="euss")
def a_reward_off_by_one_unit_in_entry_and_event(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="staking_reward"), 1)


@found_by("accruals", run="euss")
def the_pool_s_fee_off_by_one_unit(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="reward_fee"), 1)


@found_by("accruals", run="euss")
def the_issuer_s_fee_off_by_one_unit(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="maintenance_fee"), 1)


def _funding_raised(forgery: Forgery, name: str, factor: float) -> str:
    """Rate, price or size of a settlement changed, with its amount in event and entry, all sealed."""
    at = forgery.find("events", nth=20, kind="CarryPaid")
    old = forgery.rows("events")[at]
    new = type(old[name])(old[name] * factor)
    made = round(old["amount"] * new / old[name])
    forgery.change("events", at, amount=made, **{name: new})
    slot = forgery.find("ledger", event=old["event"])
    forgery.change("ledger", slot, amount=abs(made))
    forgery.seal()
    return f"entry {slot + 1}, event {old['event']}"


@found_by("rates", run="own")
def a_rate_at_a_venue_of_a_user_changed_with_all_that_follows(forgery: Forgery) -> str:
    return _funding_raised(forgery, "rate", 1.01)


@found_by("rates", run="own")
def a_price_at_a_venue_of_a_user_changed_with_all_that_follows(forgery: Forgery) -> str:
    return _funding_raised(forgery, "price", 1.01)


@found_by("rates", run="own")
def a_position_at_a_venue_of_a_user_changed_with_all_that_follows(forgery: Forgery) -> str:
    return _funding_raised(forgery, "size", 1.01)


@found_by("rates")
def a_rate_said_to_stand_in_another_row(forgery: Forgery) -> str:
    at = forgery.find("events", nth=20, kind="InterestAccrued")
    event = forgery.change("events", at, rate_source_row=lambda row: row + 1)["event"]
    forgery.seal_files()
    return f"event {event}"


@found_by("rates", run="euss")
def a_step_of_the_pool_said_to_stand_in_another_file(forgery: Forgery) -> str:
    at = forgery.find("events", nth=20, kind="RewardAccrued")
    event = forgery.change("events", at, rate_source="other.csv")["event"]
    forgery.seal_files()
    return f"event {event}"


@found_by("orders")
def a_fee_raised_in_entry_and_event(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="taker_fee")
    entry = forgery.change("ledger", at, amount=lambda amount: amount + 2)
    forgery.change("events", forgery.find("events", event=entry["event"]), fee=lambda fee: fee + 2)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("orders", run="euss")
def the_issuer_s_cut_forgotten(forgery: Forgery) -> str:
    at = forgery.find("events", nth=1, order="charge_rebalance")
    event = forgery.change("events", at, fee=0)
    forgery.entries(lambda rows: rows.pop(forgery.find("ledger", event=event["event"])))
    forgery.seal()
    return f"event {event['event']}"


@found_by("orders")
def a_penalty_lowered_in_entry_and_event(forgery: Forgery) -> str:
    at = forgery.find("ledger", kind="liquidation_penalty")
    entry = forgery.change("ledger", at, amount=lambda amount: amount - 2)
    forgery.change("events", forgery.find("events", event=entry["event"]), penalty=lambda penalty: penalty - 2)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("fills")
def coins_of_a_trade_off_by_one_unit(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="trade", debit="Assets:Asgard:Collateral")
    event = forgery.change("ledger", at, amount=lambda amount: amount + 1)["event"]
    forgery.seal()
    return f"entry {forgery.find('ledger', event=event) + 1}"


@found_by("fills")
def a_penalty_smaller_than_its_event_says(forgery: Forgery) -> str:
    at = forgery.find("ledger", kind="liquidation_penalty")
    event = forgery.change("ledger", at, amount=lambda amount: amount - 1)["event"]
    forgery.seal()
    return f"entry {forgery.find('ledger', event=event) + 1}"


@found_by("orders")
def an_equity_at_liquidation_that_the_books_did_not_have(forgery: Forgery) -> str:
    at = forgery.find("events", kind="Liquidated")
    event = forgery.change("events", at, equity=lambda equity: equity + 2)
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("fills")
def a_liquidation_that_says_it_cost_a_fee(forgery: Forgery) -> str:
    at = forgery.find("events", kind="Liquidated")
    event = forgery.change("events", at, fee=lambda fee: fee + 2)
    forgery.seal_files()
    return f"entry {forgery.find('ledger', event=event['event']) + 1}"


@found_by("orders")
def a_loss_forgiven(forgery: Forgery) -> str:
    return _forgiven(forgery)


@found_by("acts")
def a_liquidation_that_did_not_have_to_be(forgery: Forgery) -> str:
    at = forgery.find("events", kind="Liquidated")
    event = forgery.change("events", at, row=lambda row: row - 1)
    forgery.seal_files()
    return f"row {event['row']} ("


@found_by("acts")
def a_liquidation_that_is_not_told(forgery: Forgery) -> str:
    at = forgery.find("events", kind="Liquidated")
    event = forgery.change("events", at, kind="ConditionMet")
    forgery.seal_files()
    return f"row {event['row'] + 1} ("


@found_by("orders")
def an_order_of_another_size(forgery: Forgery) -> str:
    at = forgery.find("events", nth=1, kind="OrderFilled", venue="hyperliquid")
    event = forgery.change("events", at, size=lambda size: size + 1)
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("orders", run="own")
def an_order_of_another_size_at_a_venue_of_a_user(forgery: Forgery) -> str:
    return an_order_of_another_size(forgery)


@found_by("states")
def a_position_in_the_curve_changed(forgery: Forgery) -> str:
    forgery.change("equity", 201, hyperliquid_size=lambda size: size * 1.001)
    forgery.seal_files()
    return "row 201 ("


@found_by("states")
def a_point_of_the_curve_changed(forgery: Forgery) -> str:
    forgery.change("equity", 201, equity_usd=lambda usd: usd + 0.01)
    forgery.seal_files()
    return "row 201 ("


@found_by("states", run="rotation")
def a_point_of_a_curve_at_cost_changed(forgery: Forgery) -> str:
    forgery.change("equity", 11, equity_usd=lambda usd: usd + 0.01)
    forgery.seal_files()
    return "row 11 ("


@found_by("states", run="rotation")
def positions_at_cost_valued_at_the_market(forgery: Forgery) -> str:
    """Both legs at the close instead of what was paid: the total stays what it was, for they are equal."""
    row = forgery.rows("equity")[11]
    opened = nth([event for event in forgery.rows("events") if event["order"] == "open"], 0)
    gain = row["asgard_size"] * (row["close"] - opened["price"])
    assert abs(gain) > 1
    forgery.change(
        "equity", 11, asgard_equity_usd=lambda usd: usd + gain, hyperliquid_equity_usd=lambda usd: usd - gain
    )
    forgery.seal_files()
    return "row 11 ("


@found_by("states")
def equity_of_one_venue_counted_at_another(forgery: Forgery) -> str:
    forgery.change(
        "equity", 201, asgard_equity_usd=lambda usd: usd - 0.01, hyperliquid_equity_usd=lambda usd: usd + 0.01
    )
    forgery.seal_files()
    return "row 201 ("


@found_by("states")
def money_under_way_counted_as_cash(forgery: Forgery) -> str:
    forgery.change("equity", 201, cash_usd=lambda usd: usd + 0.01, transit_usd=lambda usd: usd - 0.01)
    forgery.seal_files()
    return "row 201 ("


@found_by("again: run")
def another_scenario(forgery: Forgery) -> str:
    path = forgery.path / "scenario.toml"
    path.write_text(path.read_text().replace("trigger = 6.0", "trigger = 6.5"))
    forgery.seal_files()
    return "scenario.toml"


@found_by("again: run")
def a_ledger_of_another_rule(forgery: Forgery) -> str:
    at = forgery.find("ledger", kind="withdrawal")
    forgery.change("ledger", at, kind="deposit")
    forgery.seal()
    return f"entry {at + 1}"


@found_by("files")
def a_file_that_the_manifest_does_not_name(forgery: Forgery) -> str:
    forgery.change("equity", 200, close=lambda usd: usd + 1)
    forgery.json("manifest", lambda manifest: manifest["files"].pop("equity.parquet"))
    return "equity.parquet"


@found_by("again: run")
def a_label_taken_away(forgery: Forgery) -> str:
    """The warning that the data are synthetic, wherever it stands in the folder."""
    forgery.json("manifest", lambda manifest: manifest.update(label=""))
    return "manifest.json, label"


@found_by("name")
def a_run_under_the_name_of_another(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest.update(run="0" * 64))
    return "manifest.json, run"


@found_by("name")
def a_run_under_another_name_and_of_another_version(forgery: Forgery) -> str:
    def edit(manifest: dict) -> None:
        manifest.update(run="0" * 64)
        manifest["versions"]["carrybook"] = "0.0.9"

    forgery.json("manifest", edit)
    return "manifest.json, run"


@found_by("name")
def a_folder_under_the_name_of_another_run(forgery: Forgery) -> str:
    forgery.move("0" * 64)
    return "0" * 64


def _a_column_more(table: pa.Table) -> pa.Table:
    return table.append_column("note", pa.array(["paid"] * len(table)))


def _a_column_twice(table: pa.Table) -> pa.Table:
    return table.append_column("amount", table["amount"])


def _a_word_in_the_schema(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({"note": "audited"})


for _number, _edit in enumerate((_a_column_more, _a_column_twice, _a_word_in_the_schema)):

    def _another_schema(forgery: Forgery, edit: Callable[[pa.Table], pa.Table] = _edit) -> str:
        path = forgery.path / "ledger.parquet"
        pq.write_table(edit(pq.read_table(path)), path)
        forgery.seal_files()
        return "ledger.parquet"

    _another_schema.__name__ = f"a_ledger_with{_edit.__name__}"
    found_by("tables")(_another_schema)


@found_by("again: run")
def a_figure_invented(forgery: Forgery) -> str:
    forgery.json("summary", lambda summary: summary.update(sharpe_ratio=3.0))
    forgery.seal_files()
    return "summary.json, sharpe_ratio"


@found_by("again: run")
def a_count_of_the_log_changed(forgery: Forgery) -> str:
    forgery.json("summary", lambda summary: summary.update(liquidations=0))
    forgery.seal_files()
    return "summary.json, liquidations"


def _told_otherwise(forgery: Forgery, at: int, **values: object) -> str:
    event = forgery.change("events", at, **values)["event"]
    forgery.seal_files()
    return f"events.parquet, event {event}"


@found_by("again: run")
def an_order_filled_at_a_better_price(forgery: Forgery) -> str:
    at = forgery.find("events", kind="OrderFilled", order="open")
    return _told_otherwise(forgery, at, price=lambda usd: usd * 0.99)


@found_by("orders")
def an_order_filled_at_a_price_off_by_a_ten_trillionth(forgery: Forgery) -> str:
    at = forgery.find("events", kind="OrderFilled", order="open")
    event = forgery.change("events", at, price=lambda usd: usd * (1 + 1e-13))
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("rates")
def a_settlement_at_a_price_off_by_a_ten_trillionth(forgery: Forgery) -> str:
    at = forgery.find("events", kind="FundingSettled", nth=50)
    event = forgery.change("events", at, price=lambda usd: usd * (1 + 1e-13))
    forgery.seal_files()
    return f"event {event['event']}"


@found_by("again: run")
def a_reason_invented(forgery: Forgery) -> str:
    return _told_otherwise(forgery, forgery.find("events", kind="OrderFilled", order="close"), reason="profit taken")


@found_by("again: run")
def another_cause(forgery: Forgery) -> str:
    at = forgery.find("events", kind="TransferSent")
    return _told_otherwise(forgery, at, cause=lambda event: event - 1)


@found_by("again: run")
def a_condition_that_nobody_named(forgery: Forgery) -> str:
    return _told_otherwise(forgery, forgery.find("events", kind="ConditionMet"), condition="EveryRow()")


@found_by("again: run", run="euss")
def a_margin_that_was_called_at_another_price(forgery: Forgery) -> str:
    return _told_otherwise(forgery, forgery.find("events", kind="MarginCalled"), price=lambda usd: usd + 1)


@found_by("again: run")
def a_rate_said_to_stand_nowhere(forgery: Forgery) -> str:
    at = forgery.find("events", nth=20, kind="FundingSettled")
    return _told_otherwise(forgery, at, rate_source=None, rate_source_row=None, rate_source_rows=None)


@found_by("again: run")
def a_row_of_the_market_said_to_stand_elsewhere(forgery: Forgery) -> str:
    forgery.change("market", 100, close_source_row=lambda row: row + 1)
    forgery.seal_files()
    return "market.parquet, row 100"


@found_by("again: run")
def another_close_beside_the_curve(forgery: Forgery) -> str:
    row = forgery.change("equity", 200, close=lambda usd: usd + 1)
    forgery.seal_files()
    return f"equity.parquet, at_ns {row['at_ns']}"


@found_by("again: run")
def a_delta_that_was_never_neutral(forgery: Forgery) -> str:
    row = forgery.change("equity", 200, net_size=0.0, asgard_size=lambda size: size * 1.001)
    forgery.seal_files()
    return f"equity.parquet, at_ns {row['at_ns']}"


@found_by("accounts")
def an_account_moved_to_another_bucket(forgery: Forgery) -> str:
    """A penalty shown as a trading fee, in a chart that is sealed again."""
    name = "Expenses:Hyperliquid:LiquidationPenalty"
    code = [each.name for each in Folder(forgery.path).accounts].index(name)
    forgery.json("manifest", lambda manifest: manifest["ledger"]["chart"]["buckets"].__setitem__(code, ["fees"]))
    forgery.seal()
    return f"account {name}"


@found_by("accounts")
def an_account_said_to_be_of_another_venue(forgery: Forgery) -> str:
    name = "Assets:Hyperliquid:Margin"
    code = [each.name for each in Folder(forgery.path).accounts].index(name)
    forgery.json("manifest", lambda manifest: manifest["owners"].__setitem__(code, "asgard"))
    return f"account {name}"


@found_by("end")
def a_curve_that_ends_higher_than_the_books(forgery: Forgery) -> str:
    last = len(forgery.rows("equity")) - 2
    forgery.change("equity", last, equity_usd=lambda usd: usd + 1, hyperliquid_equity_usd=lambda usd: usd + 1)
    forgery.seal_files()
    return "the last close of the curve"


@found_by("end", run="rotation")
def a_curve_at_cost_that_ends_higher_than_the_books(forgery: Forgery) -> str:
    return a_curve_that_ends_higher_than_the_books(forgery)


@found_by("end")
def money_of_the_end_counted_twice(forgery: Forgery) -> str:
    last = len(forgery.rows("equity")) - 2
    forgery.change("equity", last, cash_usd=lambda usd: usd + 1, equity_usd=lambda usd: usd + 1)
    forgery.seal_files()
    return "the last close of the curve"


@found_by("end")
def cash_of_the_end_said_to_be_under_way(forgery: Forgery) -> str:
    last = len(forgery.rows("equity")) - 2
    forgery.change("equity", last, cash_usd=lambda usd: usd - 1, transit_usd=lambda usd: usd + 1)
    forgery.seal_files()
    return "the last close of the curve"


@found_by("end")
def a_curve_without_the_cost_of_closing(forgery: Forgery) -> str:
    last = len(forgery.rows("equity")) - 1
    forgery.change("equity", last, equity_usd=lambda usd: usd + 1, cash_usd=lambda usd: usd + 1)
    forgery.seal_files()
    return "the end of the curve"


@found_by("end")
def a_curve_that_starts_after_the_opening_fee(forgery: Forgery) -> str:
    forgery.change("equity", 0, equity_usd=lambda usd: usd - 1, cash_usd=lambda usd: usd - 1)
    forgery.seal_files()
    return "the start of the curve"


@found_by("end")
def a_total_that_is_not_the_sum_of_its_parts(forgery: Forgery) -> str:
    forgery.change("equity", 200, equity_usd=lambda usd: usd + 0.01)
    forgery.seal_files()
    return "equity.parquet, row 201"


def _hidden(forgery: Forgery, event: int) -> None:
    """Take an event and its entry out of log and ledger, number the rest again, and seal everything."""

    def moved(number: int | None) -> int | None:
        return number - 1 if number is not None and number > event else number

    rows = [row for row in forgery.rows("ledger") if row["event"] != event]
    forgery.write("ledger", [row | {"seq": seq, "event": moved(row["event"])} for seq, row in enumerate(rows, 1)])
    rows = [row for row in forgery.rows("events") if row["event"] != event]
    forgery.write("events", [row | {"event": moved(row["event"]), "cause": moved(row["cause"])} for row in rows])
    forgery.seal()


def _place(forgery: Forgery, event: Row) -> str:
    """The row of an event."""
    return f"row {event['row'] + 1} ("


@found_by("accruals", run="own")
def funding_of_a_user_s_venue_off_by_one_unit(forgery: Forgery) -> str:
    return _everywhere(forgery, forgery.find("ledger", nth=30, kind="carry"), 1)


@found_by("accruals", run="own")
def funding_of_a_user_s_venue_hidden(forgery: Forgery) -> str:
    """A payment that cost money is gone from log, ledger and balances."""
    paid = nth([row for row in forgery.rows("events") if row["kind"] == "CarryPaid" and row["amount"] < 0], 5)
    _hidden(forgery, paid["event"])
    return _place(forgery, paid)


@found_by("accruals")
def interest_hidden(forgery: Forgery) -> str:
    owed = nth([row for row in forgery.rows("events") if row["kind"] == "InterestAccrued" and row["amount"] < 0], 30)
    _hidden(forgery, owed["event"])
    return _place(forgery, owed)


@found_by("orders", run="own")
def a_fee_of_a_user_s_venue_lowered_in_entry_and_event(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="toll")
    entry = forgery.change("ledger", at, amount=lambda amount: amount - 1)
    forgery.change("events", forgery.find("events", event=entry["event"]), fee=lambda fee: fee - 1)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("orders", run="own")
def a_penalty_of_a_user_s_venue_lowered_in_entry_and_event(forgery: Forgery) -> str:
    at = forgery.find("ledger", kind="forfeit")
    entry = forgery.change("ledger", at, amount=lambda amount: amount - 1)
    forgery.change("events", forgery.find("events", event=entry["event"]), penalty=lambda penalty: penalty - 1)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("acts", run="own")
def a_liquidation_at_a_user_s_venue_hidden(forgery: Forgery) -> str:
    at = forgery.find("events", kind="Liquidated", venue="hyperliquid")
    event = forgery.rows("events")[at]
    _hidden(forgery, event["event"])
    return _place(forgery, event)


@found_by("acts", run="own")
def an_act_of_a_user_s_venue_hidden(forgery: Forgery) -> str:
    event = forgery.rows("events")[forgery.find("events", nth=2, kind="Skimmed")]
    _hidden(forgery, event["event"])
    return _place(forgery, event)


@found_by("orders", run="own")
def an_act_of_a_user_s_venue_that_took_less(forgery: Forgery) -> str:
    entry = forgery.change("ledger", forgery.find("ledger", nth=2, kind="skim"), amount=lambda amount: amount - 1)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("kinds", run="own")
def a_toll_of_a_user_s_venue_booked_as_a_loss(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="toll")
    forgery.change("ledger", at, debit="Expenses:Hyperliquid:Skim")
    forgery.seal()
    return f"entry {at + 1}"


@found_by("states", run="own")
def a_point_of_the_curve_at_a_user_s_venue_changed(forgery: Forgery) -> str:
    forgery.change("equity", 201, hyperliquid_equity_usd=lambda usd: usd + 0.01, equity_usd=lambda usd: usd + 0.01)
    forgery.seal_files()
    return "row 201 ("


@found_by("orders")
def the_passage_of_money_made_cheaper(forgery: Forgery) -> str:
    """What leaving cost, in entry and event alike."""
    at = forgery.find("ledger", nth=3, kind="bridge_fee")
    entry = forgery.change("ledger", at, amount=lambda amount: amount - 1)
    forgery.change("events", forgery.find("events", event=entry["event"]), fee=lambda fee: fee - 1)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("orders", run="transit")
def an_arrival_that_took_a_nanosecond_longer(forgery: Forgery) -> str:
    """In entry and event alike, with nothing between."""
    event = forgery.rows("events")[forgery.find("events", kind="TransferArrived", nth=2)]["event"]
    for table in ("ledger", "events"):
        rows = forgery.rows(table)
        late = [row | {"at_ns": row["at_ns"] + 1} if row["event"] == event else row for row in rows]
        forgery.write(table, late)
    forgery.seal()
    return f"event {event}"


@found_by("orders", run="rotation")
def a_fee_at_cost_forgotten(forgery: Forgery) -> str:
    at = forgery.find("ledger", nth=1, kind="taker_fee")
    entry = forgery.change("ledger", at, amount=lambda amount: amount // 2)
    forgery.change("events", forgery.find("events", event=entry["event"]), fee=entry["amount"] // 2)
    forgery.seal()
    return f"event {entry['event']}"


@found_by("again: run")
def a_stream_said_to_have_another_basis(forgery: Forgery) -> str:
    forgery.json("manifest", lambda manifest: manifest["streams"][0].update(basis="total"))
    return "manifest.json, streams"


def _forgiven(forgery: Forgery) -> str:
    """Write a part of what was lost off: the margin gets it back as a bad debt that somebody else bears."""
    at = forgery.find("events", kind="Liquidated", bad_debt=0)
    event = forgery.rows("events")[at]
    slot = forgery.find("ledger", event=event["event"])
    margin, debts = "Assets:Hyperliquid:Margin", "Income:Hyperliquid:BadDebt"
    template = forgery.rows("ledger")[slot]

    def edit(rows: list[Row]) -> None:
        rows.insert(
            slot,
            template | {"kind": "bad_debt", "debit": margin, "credit": debts, "amount": 10**6, "asset": "USDC"},
        )

    forgery.entries(edit)
    forgery.change("events", at, bad_debt=10**6)
    forgery.seal()
    return f"entry {slot + 1}, event {event['event']}"
