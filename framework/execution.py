"""Execution: orders and liquidations become outcomes of venues, and outcomes become entries of the books."""

from collections.abc import Callable, Iterable

from framework.accounts import Draft
from framework.clock import NS_PER_SECOND, Phase
from framework.errors import CarrybookError, LedgerError
from framework.events import Liquidated, OrderFilled, TransferArrived, TransferSent, Unstaked
from framework.orders import (
    ChargeRebalance,
    Close,
    Deposit,
    Mint,
    Move,
    MoveTokens,
    Open,
    Order,
    PayPenalty,
    Redeem,
    Resize,
    Stake,
    Swap,
    Unstake,
    Withdraw,
)
from framework.present import Present
from framework.units import USDC
from framework.venue import BRIDGE_FEE, CASH, IN_TRANSIT, Moment, filled, positive, refusal, wrong


class Execution:
    """Executes at the present of a run; `on_arrival` is told of money that was on its way for a time."""

    def __init__(self, present: Present, on_arrival: Callable[[TransferArrived | Unstaked], None]) -> None:
        self._present = present
        self._on_arrival = on_arrival
        self._last_order: dict[str, int] = {}

    def acted_since(self, event: Liquidated) -> bool:
        """Whether an order was executed at the event's venue after the event."""
        return self._last_order.get(event.venue, 0) > event.event

    def liquidate(self, venues: Iterable[str]) -> list[Liquidated]:
        """The liquidation of the positions at these venues."""
        present = self._present
        events = []
        for name in venues:
            draft = Draft(present.books.ledger)
            event = present.venue(name).liquidate(draft, present.moment(None))
            present.books.post(event, draft)
            events.append(event)
        return events

    def execute(self, order: Order, cause: int) -> None:
        """One order, whole; raises `OrderRefused`, and then nothing of it has happened."""
        present = self._present
        moment, draft = present.moment(cause), Draft(present.books.ledger)
        match order:
            case MoveTokens():
                outcome = self._move_tokens(order, draft, moment)
            case Deposit():
                amount = positive(order.venue, moment, order, "amount_usd", USDC)
                present.venue(order.venue).receive(draft, CASH, amount, moment, "deposit")
                outcome = filled(order.venue, "deposit", moment, price=moment.price, amount=amount)
            case Withdraw():
                amount = self._payable(order, order.venue, moment)
                present.venue(order.venue).pay(draft, CASH, amount, moment, "withdrawal")
                outcome = filled(order.venue, "withdrawal", moment, price=moment.price, amount=amount)
            case PayPenalty():
                amount = positive(order.venue, moment, order, "amount_usd", USDC)
                venue = present.venue(order.venue)
                penalties = venue.penalty_account()
                if penalties is None:
                    raise wrong(order.venue, moment, order, "venue", "a venue that takes penalties")
                venue.pay(draft, penalties, amount, moment, "liquidation_penalty")
                outcome = filled(order.venue, "penalty", moment, price=moment.price, amount=amount)
            case Move():
                self._send(order, draft, moment)
                return
            case Open() | Close() | Resize() | Swap() | Stake() | Unstake() | Mint() | Redeem() | ChargeRebalance():
                outcome = present.venue(order.venue).execute(order, draft, moment)
            case _:
                raise CarrybookError(f"the strategy yielded {order!r} in row {moment.row + 1}; expected an order")
        if draft.transfers:
            self._post(outcome, draft, order, moment)
            self._last_order[outcome.venue] = outcome.event
            self._await(order, outcome)
        elif not isinstance(outcome, OrderFilled):
            raise refusal(order.venue, moment, order, f"it answers with {outcome!r}; expected OrderFilled")

    def _await(self, order: Order, outcome: OrderFilled) -> None:
        """Let what an order leaves outstanding arrive in its time."""
        present = self._present
        venue = present.venue(outcome.venue)
        due_ns = venue.due_ns(order, outcome.at_ns)
        if due_ns is None:
            return

        def arrive() -> None:
            moment, draft = present.moment(outcome.event), Draft(present.books.ledger)
            event = venue.deliver(outcome, draft, moment)
            self._post(event, draft, order, moment)
            self._on_arrival(event)

        present.clock.call(due_ns, Phase.ARRIVAL, arrive)

    def _move_tokens(self, order: MoveTokens, draft: Draft, moment: Moment) -> OrderFilled:
        """Tokens go from venue to venue at once: both are on one chain."""
        accounts = []
        for name in (order.source, order.target):
            account = self._present.venue(name).token_account(order.token)
            if account is None:
                raise wrong(name, moment, order, "token", f"tokens that {name} takes")
            accounts.append(account)
        source, target = accounts
        size = positive(order.source, moment, order, "size", source.asset)
        if source is target:
            raise wrong(order.source, moment, order, "target", "another venue than the source")
        draft.transfer(target, source, size, "transfer")
        return filled(order.source, "move_tokens", moment, price=moment.mark.of(source.asset), size=size)

    def _send(self, order: Move, draft: Draft, moment: Moment) -> None:
        present = self._present
        source, target = present.venue(order.source), present.venue(order.target)
        amount = self._payable(order, order.source, moment)
        near, far = source.bridge, target.bridge
        leaving = USDC.nearest(near.fee_usd * near.sender_share) + USDC.nearest(far.fee_usd * far.sender_share)
        arriving = USDC.nearest(near.fee_usd) + USDC.nearest(far.fee_usd) - leaving
        latency_ns = round((near.latency_s + far.latency_s) * NS_PER_SECOND)
        if source is target:
            raise wrong(order.source, moment, order, "target", "another venue than the source")
        target.receive(Draft(present.books.ledger), IN_TRANSIT, amount, moment, "transfer")
        source.pay(draft, IN_TRANSIT, amount, moment, "transfer")
        source.pay(draft, BRIDGE_FEE, leaving, moment, "bridge_fee")
        sent = TransferSent(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=order.source,
            cause=moment.cause,
            counterparty=order.target,
            amount=amount,
            fee=leaving,
            price=moment.price,
        )
        self._post(sent, draft, order, moment)
        self._last_order[order.source] = sent.event
        if latency_ns:
            present.clock.call(
                moment.at_ns + latency_ns, Phase.ARRIVAL, lambda: self._on_arrival(self._arrive(sent, arriving, order))
            )
        else:
            self._arrive(sent, arriving, order)

    def _arrive(self, sent: TransferSent, fee: int, order: Move) -> TransferArrived:
        present = self._present
        moment, draft = present.moment(sent.event), Draft(present.books.ledger)
        target = present.venue(sent.counterparty)
        target.receive(draft, IN_TRANSIT, sent.amount, moment, "transfer")
        target.pay(draft, BRIDGE_FEE, fee, moment, "bridge_fee")
        arrived = TransferArrived(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=sent.counterparty,
            cause=sent.event,
            counterparty=sent.venue,
            amount=sent.amount,
            fee=fee,
            price=moment.price,
        )
        self._post(arrived, draft, order, moment)
        self._last_order[sent.counterparty] = arrived.event
        return arrived

    def _post(
        self, event: OrderFilled | TransferSent | TransferArrived | Unstaked, draft: Draft, order: Order, moment: Moment
    ) -> None:
        try:
            self._present.books.post(event, draft)
        except LedgerError as error:
            raise refusal("the ledger", moment, order, str(error)) from None

    def _payable(self, order: Withdraw | Move, venue: str, moment: Moment) -> int:
        amount = positive(venue, moment, order, "amount_usd", USDC)
        equity_usd = self._present.leg(venue).equity_usd
        if USDC.units(amount) > equity_usd:
            raise wrong(venue, moment, order, "amount_usd", f"at most the equity of {equity_usd:.6f} USD there")
        return amount
