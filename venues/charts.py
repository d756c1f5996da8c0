"""Charts of accounts: what a perpetual account and a leveraged long on a lender keep, by the venue's name."""

from attrs import AttrsInstance, field, fields, frozen

from framework.accounts import Account, Stream
from framework.units import USDC, Asset
from framework.venue import account_part


def accounts_of(chart: AttrsInstance) -> tuple[Account, ...]:
    """Every account of a chart, in its order."""
    values = (getattr(chart, each.name) for each in fields(type(chart)))
    return tuple(value for value in values if isinstance(value, Account))


@frozen(cache_hash=True)
class PerpetualAccounts:
    """The chart of one perpetual account."""

    margin: Account
    position: Account
    quote: Account
    trading_contracts: Account
    trading_usdc: Account
    funding: Account
    taker_fee: Account
    penalty: Account
    bad_debt: Account
    funding_to_margin: Stream = field(init=False)

    @funding_to_margin.default
    def _funding_to_margin(self) -> Stream:
        return Stream(self.margin, self.funding, "funding")

    @classmethod
    def of(cls, venue: str, contract: Asset) -> "PerpetualAccounts":
        """The accounts at `venue`, for positions in `contract`."""
        place = account_part(venue)
        return cls(
            margin=Account(f"Assets:{place}:Margin", USDC),
            position=Account(f"Assets:{place}:Position", contract),
            quote=Account(f"Assets:{place}:Quote", USDC),
            trading_contracts=Account(f"Equity:{place}:Trading", contract),
            trading_usdc=Account(f"Equity:{place}:Trading", USDC),
            funding=Account(f"Income:{place}:Funding", USDC),
            taker_fee=Account(f"Expenses:{place}:TakerFee", USDC),
            penalty=Account(f"Expenses:{place}:LiquidationPenalty", USDC),
            bad_debt=Account(f"Income:{place}:BadDebt", USDC),
        )


@frozen
class LendingAccounts:
    """The accounts of one leveraged long, and the streams of what they earn and owe.

    Trading holds what was paid for the coins that are held, Realised what is left of it once they are sold.
    """

    collateral: Account
    loan: Account
    deposit: Account
    trading_coin: Account
    trading_usdc: Account
    realised_coin: Account
    realised_usdc: Account
    lending_coin: Account
    lending_usdc: Account
    interest: Account
    deposit_income: Account
    open_fee: Account
    gas: Account
    penalty: Account
    bad_debt: Account

    @classmethod
    def of(cls, venue: str, coin: Asset) -> "LendingAccounts":
        """The accounts at `venue`, for collateral in `coin`."""
        place = account_part(venue)
        return cls(
            collateral=Account(f"Assets:{place}:Collateral", coin, floor=True),
            loan=Account(f"Liabilities:{place}:Loan", USDC, floor=True),
            deposit=Account(f"Assets:{place}:Deposit", USDC, floor=True),
            trading_coin=Account(f"Equity:{place}:Trading", coin),
            trading_usdc=Account(f"Equity:{place}:Trading", USDC),
            realised_coin=Account(f"Equity:{place}:Realised", coin),
            realised_usdc=Account(f"Equity:{place}:Realised", USDC),
            lending_coin=Account(f"Income:{place}:Lending", coin),
            lending_usdc=Account(f"Income:{place}:Lending", USDC),
            interest=Account(f"Expenses:{place}:Interest", USDC),
            deposit_income=Account(f"Income:{place}:DepositInterest", USDC),
            open_fee=Account(f"Expenses:{place}:OpenFee", USDC),
            gas=Account(f"Expenses:{place}:Gas", USDC),
            penalty=Account(f"Expenses:{place}:LiquidationPenalty", USDC),
            bad_debt=Account(f"Income:{place}:BadDebt", USDC),
        )

    coin_lending: Stream = field(init=False)
    usdc_lending: Stream = field(init=False)
    loan_interest: Stream = field(init=False)
    deposit_interest: Stream = field(init=False)

    @coin_lending.default
    def _coin_lending(self) -> Stream:
        return Stream(self.collateral, self.lending_coin, "lending")

    @usdc_lending.default
    def _usdc_lending(self) -> Stream:
        return Stream(self.deposit, self.lending_usdc, "lending")

    @loan_interest.default
    def _loan_interest(self) -> Stream:
        return Stream(self.interest, self.loan, "interest")

    @deposit_interest.default
    def _deposit_interest(self) -> Stream:
        return Stream(self.deposit, self.deposit_income, "interest")
