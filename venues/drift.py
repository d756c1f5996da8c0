"""Drift: an account with one perpetual position, its margin in USDC and, beside it, a token as collateral."""

from typing import Any, Literal

from attrs import field, frozen, validators

from framework.accounts import Account, Book, Draft, Stream
from framework.market import Floats, Ints, Mark
from framework.units import TOKENS, USDC, Asset
from framework.venue import Moment, Stretch, account_part
from venues.perpetual import Perpetual


@frozen(kw_only=True)
class Drift(Perpetual):
    """Drift's perpetual under given rules; `Perpetual` says what most of them mean.

    `collateral` is a token that is taken as margin at `collateral_weight` of its price. The account is judged as a
    whole, position, margin and tokens at one instant, with the premium or discount that the token has in that row. With
    `funding_apart` funding lies beside the margin: it counts for the equity and backs nothing. What a closed position
    leaves owing is paid by selling collateral.
    """

    name: str = "drift"
    funding_rate: str = "drift_funding_rate"
    collateral: Literal["SOL", "JITOSOL"] | None = field(
        default=None, validator=validators.optional(validators.in_(tuple(TOKENS)))
    )
    collateral_weight: float = field(default=1.0, validator=(validators.ge(0.0), validators.le(1.0)))
    funding_apart: bool = False
    _token: Asset = field(init=False, repr=False, eq=False)
    _tokens: Account = field(init=False, repr=False, eq=False)
    _tokens_traded: Account = field(init=False, repr=False, eq=False)
    _apart: Account = field(init=False, repr=False, eq=False)
    _apart_stream: Stream = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        place, token = account_part(self.name), TOKENS[self.collateral or "JITOSOL"]
        apart = Account(f"Assets:{place}:Funding", USDC)
        for name, value in (
            ("_token", token),
            ("_tokens", Account(f"Assets:{place}:Collateral", token, floor=True)),
            ("_tokens_traded", Account(f"Equity:{place}:Trading", token)),
            ("_apart", apart),
            ("_apart_stream", Stream(apart, self._chart.funding, "funding")),
        ):
            object.__setattr__(self, name, value)
        beside = tuple(each for each in self.accounts() if each is self._tokens or each is self._apart)
        object.__setattr__(self, "_held", self._held + beside)

    def accounts(self) -> tuple[Account, ...]:
        tokens = (self._tokens, self._tokens_traded) if self.collateral else ()
        return (*super().accounts(), *tokens, *((self._apart,) if self.funding_apart else ()))

    def columns(self) -> tuple[str, ...]:
        prices = (f"{self._token.code.lower()}_close",) if self.collateral and self.collateral != self.coin else ()
        return (*super().columns(), *prices)

    def token_account(self, code: str) -> Account | None:
        return self._tokens if code == self.collateral else None

    def _beside(self, book: Book, received: Ints | int, token_price: Floats | float) -> tuple[Any, Any, float]:
        money = book.balance(self._chart.margin) + book.balance(self._chart.quote)
        tokens = self._token.units(book.balance(self._tokens)) if self.collateral else 0.0
        apart = book.balance(self._apart) if self.funding_apart else 0
        counted = money if self.funding_apart else money + received
        worth_usd = tokens * token_price
        equity_usd = (money + apart + received) / USDC.scale + worth_usd
        return equity_usd, counted / USDC.scale + self.collateral_weight * worth_usd, tokens

    def _token_prices(self, stretch: Stretch, price: Floats) -> Floats:
        if not self.collateral:
            return price
        column = stretch.market.price_column(self._token)
        return price * (stretch.column(column) / stretch.column("close"))

    def _token_price(self, mark: Mark) -> float:
        return mark.of(self._token) if self.collateral else mark.price

    def _funding_stream(self) -> Stream:
        return self._apart_stream if self.funding_apart else super()._funding_stream()

    def _equity(self, draft: Draft, price: float, moment: Moment) -> int:
        equity = super()._equity(draft, price, moment)
        if self.funding_apart:
            equity += draft.balance(self._apart)
        if self.collateral:
            equity += self._tokens_worth(draft.balance(self._tokens), moment)
        return equity

    def _settle(self, draft: Draft, moment: Moment) -> None:
        super()._settle(draft, moment)
        margin = self._chart.margin
        if self.funding_apart:
            apart = draft.balance(self._apart)
            sides = (margin, self._apart) if apart > 0 else (self._apart, margin)
            draft.transfer(*sides, abs(apart), "settlement")
        owed = -draft.balance(margin)
        if self.collateral and owed > 0:
            price = moment.mark.of(self._token)
            sold = min(self._token.nearest(USDC.units(owed) / price) + 1, draft.balance(self._tokens))
            draft.transfer(self._tokens_traded, self._tokens, sold, "collateral_sale")
            draft.transfer(margin, self._chart.trading_usdc, self._tokens_worth(sold, moment), "collateral_sale")

    def _tokens_worth(self, tokens: int, moment: Moment) -> int:
        return USDC.nearest(self._token.units(tokens) * moment.mark.of(self._token)) if tokens else 0
