"""The commands that read a run again, as a user meets them: tables, JSON, exit codes, and one line for a mistake."""

import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from tests.commands import carrybook
from tests.forgery import Forgery


@pytest.fixture
def run(saved):
    """The folder of a finished run, to be left as it is."""
    return saved("capital_rebalance")[1]


def test_audit_prints_a_line_for_every_check(capsys, run):
    code, printed, complaint = carrybook(capsys, "audit", run)
    assert (code, complaint) == (0, "")
    assert printed.count(" passed ") == 19
    code, printed, _ = carrybook(capsys, "audit", run, "--thorough")
    assert code == 0
    assert printed.count(" passed ") == 29


def test_audit_ends_with_one_on_any_finding(capsys, run, tmp_path):
    forgery = Forgery(run, tmp_path / "forged")
    forgery.change("ledger", 700, amount=lambda amount: amount + 1)
    forgery.seal()
    code, printed, _ = carrybook(capsys, "audit", forgery.path)
    assert code == 1
    assert "1 found" in printed
    assert "entry 701: moves" in printed
    code, printed, _ = carrybook(capsys, "audit", forgery.path, "--json")
    assert code == 1
    found = {result["check"]: result for result in json.loads(printed) if result["count"]}
    assert found["settlements"]["findings"][0]["place"] == "entry 701"
    assert set(found) == {"settlements", "summary"}


def test_audit_tells_what_was_not_made_from_what_passed_and_failed(capsys, run, tmp_path):
    """Without its ledger a folder fails one check; those that read it are not made, in text and in JSON."""
    forgery = Forgery(run, tmp_path / "forged")
    (forgery.path / "ledger.parquet").unlink()
    code, printed, _ = carrybook(capsys, "audit", forgery.path)
    assert code == 1
    assert (printed.count(" found "), printed.count(" passed "), printed.count("  not made  ")) == (2, 4, 13)
    said = " ".join(printed.split())
    assert said.count("expected the table as it was saved") == 2  # what tables found, and why chain was not made
    assert said.count("for the same reason as chain") == 12
    code, printed, _ = carrybook(capsys, "audit", forgery.path, "--json")
    assert code == 1
    results = {result["check"]: result for result in json.loads(printed)}
    assert (results["files"]["outcome"], results["files"]["not_made"]) == ("failed", None)
    assert results["trial balance"]["outcome"] == "passed"
    assert results["chain"]["outcome"] == "not made"
    assert results["chain"]["findings"] == []
    assert results["chain"]["not_made"].endswith("expected the table as it was saved")


def test_audit_ends_with_one_where_a_check_is_not_made_and_nothing_is_found(capsys, run, tmp_path):
    """With a directory of sources the checks are the thorough ones; without those sources they are not made."""
    code, printed, _ = carrybook(capsys, "audit", run, "--data", tmp_path)
    assert code == 1
    assert "found" not in printed.replace("first finding", "")
    assert "scenario.toml cannot be assembled: " in printed
    assert "sol_daily_candles.json" in printed


def test_explain_prints_a_tree_and_json(capsys, run):
    code, printed, _ = carrybook(capsys, "explain", run, "funding_usd", "--entries", "0")
    assert code == 0
    assert "Income:Hyperliquid:Funding (USDC)" in printed
    assert " event " not in printed
    code, printed, _ = carrybook(
        capsys, "explain", run, "funding", "--json", "--from", "2025-01-01", "--to", "2025-01-31"
    )
    node = json.loads(printed)
    (account,) = node["children"]
    (month,) = account["children"]
    assert (month["label"], month["entries"]) == ("2025-01", 31)
    assert Decimal(node["usd"]) == sum(Decimal(entry["usd"]) for entry in month["children"])


def test_explain_says_debit_and_credit_in_words(capsys, run):
    """What is earned was given, what is spent received; of what has a price it is said how its profit is made."""
    day = ("--from", "2025-01-15", "--to", "2025-01-15")
    _, earned, _ = carrybook(capsys, "explain", run, "funding", *day)
    assert "+1.001420 USD  funding  (1 entry)" in earned
    assert "2025-01-15: gave 1.001420 USDC (credit) to Assets:Hyperliquid:Margin  <- event 57" in earned
    assert "A debit is what an account receives, a credit what it gives" in earned
    assert "What has a price" not in earned
    _, spent, _ = carrybook(capsys, "explain", run, "carry", *day)
    assert "-2.617162 USD  entry 65, 2025-01-15: received 2.617162 USDC (debit) from Liabilities:Asgard:Loan" in spent
    _, held, _ = carrybook(capsys, "explain", run, "price_pnl", *day)
    assert "What has a price gains what it is worth at the end" in held
    _, short, _ = carrybook(capsys, "explain", run, "funding", "--entries", "0")
    assert "debit" not in short


def test_ledger_prints_a_register_and_json(capsys, run):
    code, printed, _ = carrybook(capsys, "ledger", run, "--account", "Income:Hyperliquid", "--limit", "2")
    assert code == 0
    signs, head, *lines = printed.splitlines()
    assert signs.startswith("Income:Hyperliquid: change > 0: received (debit), < 0: given (credit); change < 0: earned")
    assert [word.strip() for word in head.split("  ") if word.strip()] == [
        "entry", "time, UTC", "event", "kind", "debit: receives", "credit: gives", "change", "balance",
    ]  # fmt: skip
    assert len(lines) == 2
    assert all(head.index("debit") == line.index("Assets:") for line in lines)
    assert all(head.index("credit") == line.index("Income:") for line in lines)
    code, printed, _ = carrybook(capsys, "ledger", run, "--event", "2", "--json")
    lines = [json.loads(line) for line in printed.splitlines()]
    assert {line["event"] for line in lines} == {2}
    assert {line["balance"] for line in lines} == {None}
    day = ("--from", "2025-02-01", "--to", "2025-02-01")
    assert carrybook(capsys, "ledger", run, "--kind", "capital", *day) == (0, "", "No transfers.\n")


def test_an_event_without_transfers_is_there_and_one_beyond_the_last_is_not(capsys, run):
    events = json.loads((run / "manifest.json").read_text())["counts"]["events"]
    moved = set(pq.read_table(run / "ledger.parquet")["event"].to_pylist())
    still = next(event for event in range(1, events + 1) if event not in moved)
    kind = next(each["kind"] for each in pq.read_table(run / "events.parquet").to_pylist() if each["event"] == still)
    assert carrybook(capsys, "ledger", run, "--event", still) == (0, "", f"event {still} {kind}: no transfers\n")
    of_a_kind = ("--event", still, "--kind", "capital")
    assert carrybook(capsys, "ledger", run, *of_a_kind) == (0, "", "No transfers.\n")
    assert carrybook(capsys, "ledger", run, "--event", events, "--json")[0] == 0
    for event in (0, -1, events + 1):
        code, printed, complaint = carrybook(capsys, "ledger", run, "--event", event)
        assert (code, printed) == (2, "")
        assert complaint == f"carrybook: no event {event}; expected one from 1 to {events}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("audit", "NOWHERE"), "nowhere: not a finished run; expected a folder"),
        (("explain", "RUN", "profit"), "nothing to explain as 'profit'; expected one of carry, funding"),
        (("explain", "RUN", "funding", "--from", "yesterday"), "'yesterday'; expected a date such as 2025-01-31"),
        (("ledger", "RUN", "--to", "2025-13-01"), "'--to': '2025-13-01'; expected a date such as 2025-01-31"),
        (("ledger", "RUN", "--to", "20250101"), "'--to': '20250101'; expected a date such as 2025-01-31"),
        (("ledger", "RUN", "--account", "Assets:Bank"), "no account 'Assets:Bank'; expected one of Assets:Wallet:Cash"),
        (("ledger", "RUN", "--kind", "gift"), "no transfers of kind 'gift'; expected one of capital"),
        (("ledger", "RUN", "--event", "two"), "'two' is not a valid integer"),
        (("ledger", "RUN", "--limit", "0"), "0 is not in the range x>=1"),
        (
            ("ledger", "RUN", "--from", "2030-01-01"),
            "no rows of the market from 2030-01-01 on; expected days from 2024-12-31 to 2026-02-13",
        ),
        (("ledger", "RUN", "--to", "2024-12-30"), "no rows of the market up to 2024-12-30; expected days from 2024-"),
        (("explain", "RUN", "fees", "--to", "2024-12-30"), "no rows of the market up to 2024-12-30; expected days"),
        (
            ("ledger", "RUN", "--from", "2025-02-01", "--to", "2025-01-01"),
            "--to 2025-01-01: before --from 2025-02-01; ",
        ),
        (("explain", "RUN", "funding", "--from", "2025-02-01", "--to", "2025-01-01"), "--to 2025-01-01: before --from"),
    ],
)
def test_a_mistake_is_one_line(capsys, run, tmp_path, arguments, complaint):
    places = {"RUN": run, "NOWHERE": tmp_path / "nowhere"}
    code, printed, told = carrybook(capsys, *(places.get(word, word) for word in arguments))
    assert (code, printed) == (2, "")
    assert complaint in told
    assert told.count("\n") == 1
