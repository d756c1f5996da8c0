"""Quantities become integers in two ways only: exactly, or by the one rounding of the project."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import UnitError
from framework.money import USD_LIMIT, USDC, Asset, perpetual
from venues.jito import JITOSOL, SOL

COUNT = Asset("COUNT", 0)
TENTHS = Asset("TENTHS", 1)

ATOMS = st.integers(min_value=-(10**24), max_value=10**24)
DECIMALS = st.integers(min_value=0, max_value=12)


@pytest.mark.parametrize(
    ("asset", "units", "atoms"),
    [
        (USDC, 1, 1_000_000),
        (USDC, "1", 1_000_000),
        (USDC, "0.000001", 1),
        (USDC, "-0.000001", -1),
        (USDC, "1.50", 1_500_000),
        (USDC, "1.5000000000", 1_500_000),
        (USDC, Decimal("12.345678"), 12_345_678),
        (USDC, "1e3", 1_000_000_000),
        (USDC, "1e-6", 1),
        (USDC, 0, 0),
        (USDC, "-0", 0),
        (USDC, USD_LIMIT, 10**15),
        (SOL, "0.000000001", 1),
        (SOL, "1.000000001", 1_000_000_001),
        (COUNT, "7", 7),
    ],
    ids=str,
)
def test_whole_units_become_atoms_exactly(asset, units, atoms):
    """A quantity that the asset can hold is that many atomic units, and an int."""
    exact = asset.exact(units)
    assert exact == atoms
    assert type(exact) is int


@pytest.mark.parametrize(
    ("asset", "units"),
    [
        (USDC, "0.0000001"),
        (USDC, "1.2345678"),
        (USDC, Decimal("-0.0000005")),
        (SOL, "0.0000000001"),
        (COUNT, "0.5"),
        (USDC, "1e-7"),
    ],
    ids=str,
)
def test_more_decimals_than_the_asset_has_are_refused(asset, units):
    """Nothing is rounded on the way in: the message gives the quantity and the smallest unit."""
    with pytest.raises(UnitError) as refusal:
        asset.exact(units)
    assert str(refusal.value) == f"{units} {asset.code} is not a whole number of 1e-{asset.decimals} {asset.code}"


@pytest.mark.parametrize("units", ["NaN", "-NaN", "inf", "-Infinity", Decimal("NaN"), Decimal("Infinity")], ids=str)
def test_what_is_not_finite_is_not_exact(units):
    """NaN and infinity are numbers to `Decimal` and not to the books."""
    with pytest.raises(UnitError, match=f"^{units} USDC is not a whole number of 1e-6 USDC$"):
        USDC.exact(units)


@pytest.mark.parametrize("units", ["many", "", "1,5", "0x10", "1.2.3", None, [1], object], ids=str)
def test_what_is_not_a_number_is_refused(units):
    """Anything that `Decimal` cannot read is named as it was given."""
    with pytest.raises(UnitError) as refusal:
        USDC.exact(units)
    assert str(refusal.value) == f"{units!r} is not a quantity of USDC; expected a decimal number"


@pytest.mark.parametrize(
    ("asset", "units", "atoms"),
    [
        (COUNT, 0.5, 0),
        (COUNT, 1.5, 2),
        (COUNT, 2.5, 2),
        (COUNT, 3.5, 4),
        (COUNT, -0.5, 0),
        (COUNT, -1.5, -2),
        (COUNT, -2.5, -2),
        (TENTHS, 0.25, 2),
        (TENTHS, 0.75, 8),
        (TENTHS, -0.25, -2),
    ],
)
def test_ties_go_to_the_even_atom(asset, units, atoms):
    """Halves that a float holds exactly go to the even neighbour, on both sides of zero."""
    nearest = asset.nearest(units)
    assert nearest == atoms
    assert type(nearest) is int


@pytest.mark.parametrize(
    ("units", "atoms"),
    [(0.0, 0), (0.1, 100_000), (1.2345674, 1_234_567), (1.2345676, 1_234_568), (-1.2345676, -1_234_568), (1e9, 10**15)],
)
def test_nearest_is_the_closest_atom(units, atoms):
    """Away from ties the closer neighbour wins, and binary noise does not show."""
    assert USDC.nearest(units) == atoms


@pytest.mark.parametrize("units", [float("nan"), float("inf"), float("-inf"), 1e303], ids=str)
def test_nearest_refuses_what_is_not_finite(units):
    """NaN, infinity and what becomes infinite in atomic units have no nearest atom."""
    with pytest.raises(UnitError) as refusal:
        USDC.nearest(units)
    assert str(refusal.value) == f"{units} is not a quantity of USDC; expected a finite number"


@given(units=st.floats(min_value=-1e9, max_value=1e9), decimals=DECIMALS)
def test_nearest_is_within_half_an_atom_of_the_product(units, decimals):
    """Against exact fractions: no integer is closer to the scaled float, and a tie is even."""
    asset = Asset("X", decimals)
    scaled = Fraction(units * asset.scale)
    nearest = asset.nearest(units)
    assert abs(nearest - scaled) <= Fraction(1, 2)
    if abs(nearest - scaled) == Fraction(1, 2):
        assert nearest % 2 == 0


@pytest.mark.parametrize(
    ("asset", "atoms", "price", "usdc"),
    [(SOL, 1_500_000_000, 100.0, 150_000_000), (SOL, -1, 1_000.0, -1), (SOL, 1, 499.0, 0), (TENTHS, 3, 0.5, 150_000)],
)
def test_worth_is_in_atoms_of_usdc(asset, atoms, price, usdc):
    """Whatever the decimals of the asset, to the nearest atom."""
    assert asset.worth(atoms, price) == usdc


@given(atoms=ATOMS, decimals=DECIMALS)
def test_decimal_and_exact_are_inverse(atoms, decimals):
    """Atoms written as a decimal, or as its text, are read back as the same atoms."""
    asset = Asset("X", decimals)
    written = asset.decimal(atoms)
    assert asset.exact(written) == atoms
    assert asset.exact(str(written)) == atoms


@given(atoms=ATOMS, decimals=DECIMALS)
def test_one_decimal_too_many_is_always_refused(atoms, decimals):
    """A digit behind the last atomic place is never dropped."""
    with localcontext(prec=60):
        units = (Decimal(atoms) + Decimal("0.1")).scaleb(-decimals)
    with pytest.raises(UnitError, match="is not a whole number of"):
        Asset("X", decimals).exact(units)


@given(atoms=st.integers(min_value=-(10**15), max_value=10**15))
def test_floats_resolve_every_atom_up_to_the_limit(atoms):
    """Up to `USD_LIMIT` dollars a float and back loses nothing: that is what the limit is for."""
    assert USDC.nearest(USDC.units(atoms)) == atoms


def test_decimal_keeps_every_place():
    """A decimal for display has the asset's full scale, zeros included."""
    assert str(USDC.decimal(1_500_000)) == "1.500000"
    assert str(SOL.decimal(-1)) == "-1E-9"
    assert f"{SOL.decimal(-1):f}" == "-0.000000001"
    assert str(COUNT.decimal(3)) == "3"


def test_assets_are_equal_by_code_and_decimals():
    """An asset is its code and its decimals, and serves as a key."""
    assert perpetual("SOL") == Asset("SOL-PERP", 9)
    assert hash(perpetual("SOL")) == hash(Asset("SOL-PERP", 9))
    assert Asset("USDC", 6) == USDC
    assert len({USDC, SOL, JITOSOL, Asset("USDC", 9), perpetual("SOL")}) == 5
    assert (USDC.scale, SOL.scale, COUNT.scale) == (10**6, 10**9, 1)


@pytest.mark.parametrize("units", ["1.0000000000000000000000000000001", "12345678901234567890123.0000001", "1e999999"])
def test_exactness_does_not_depend_on_the_length_of_a_number(units):
    """However many digits there are, what the asset cannot hold is refused and never rounded."""
    with pytest.raises(UnitError, match="is not a whole number of 1e-6 USDC"):
        USDC.exact(units)
