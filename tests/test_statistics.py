"""Statistics of results, against published figures, other programs and repeated experiments."""

from itertools import combinations

import numpy as np
import pytest

from framework.data.drawn_paths import stationary_rows
from framework.many_runs.statistics import (
    best_of_luck,
    confidence_set,
    deflated_sharpe,
    expected_shortfall,
    mean,
    no_better,
    overfitting,
    quantile,
    sharpe,
    student_tail,
)

ESTIMATES = {
    "mean": mean,
    "5 %": lambda values, **options: quantile(values, 0.05, **options),
    "median": lambda values, **options: quantile(values, 0.5, **options),
    "worst 10 %": lambda values, **options: expected_shortfall(values, 0.1, **options),
}


@pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
def test_a_standard_error_is_the_deviation_over_repeated_experiments(estimate):
    """Also that of a difference between two cells on the same paths, which is far smaller than each alone."""
    random = np.random.default_rng(5)
    shared = random.standard_normal((600, 900))
    other = shared + 0.3 * random.standard_normal((600, 900))
    first, second = ([estimate(values) for values in each] for each in (shared, other))
    for found in (first, [one.less(two) for one, two in zip(first, second, strict=True)]):
        spread = np.std([each.value for each in found])
        assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=4 / np.sqrt(2 * 600) + 0.05)


def test_mirrored_paths_count_as_pairs():
    """The mean of a figure and its mirror image is certain; taken as independent its error would be far too large."""
    values = np.random.default_rng(1).standard_normal(400)
    mirrored = np.stack((values, -values), axis=1).ravel()
    assert mean(mirrored, pairs=True).error == pytest.approx(0, abs=1e-12)
    assert mean(mirrored).error == pytest.approx(np.std(mirrored, ddof=1) / np.sqrt(800))


def test_estimates_by_hand():
    """The figures of ten values, of which half counts in a shortfall of 25 %."""
    values = np.arange(10.0)
    assert mean(values).value == 4.5
    assert quantile(values, 0.5).value == 4.5
    assert expected_shortfall(values, 0.2).value == 0.5
    assert expected_shortfall(values, 0.25).value == pytest.approx((0 + 1 + 2 / 2) / 2.5)
    assert np.isnan(mean(values[:1]).error)


def test_the_error_of_a_part_of_one_path_is_not_known():
    """The mean of the worst 5 % of ten paths is the worst of them, whatever lies beyond it."""
    values = np.arange(10.0)
    assert np.isnan(expected_shortfall(values, 0.05).error)
    assert np.isnan(expected_shortfall(values + 1, 0.05).less(expected_shortfall(values, 0.05)).error)
    assert expected_shortfall(values, 0.05).words() == "+0.0"
    assert expected_shortfall(np.arange(20.0), 0.05).error > 0


def test_the_error_of_a_quantile_beyond_which_there_is_no_path_is_not_known():
    """The 5 % quantile of nineteen paths lies between the least two whatever is below; of twenty one is beyond it."""
    for level in (0.05, 0.95):
        assert np.isnan(quantile(np.arange(19.0), level).error)
        assert quantile(np.arange(20.0), level).error > 0
    assert quantile(np.arange(10.0), 0.9).error > 0


def test_pairs_that_agree_by_chance_leave_the_error_of_a_median_open():
    """Each pair has one value below and one above, however far apart: that is no certainty. Equal values are one."""
    assert np.isnan(quantile(np.array([1.0, 4.0, 5.0, 2.0, 0.0, 7.0]), 0.5, pairs=True).error)
    assert np.isnan(quantile(np.array([0.0, 1.0, 1.0, 1.0]), 0.5).error)
    assert quantile(np.ones(6), 0.5).error == 0


def test_a_growth_without_bound_below_is_told_without_a_warning():
    """One path on which everything is lost: minus infinity, no error, and no difference to another such figure."""
    lost, other = mean(np.array([1.0, -np.inf, 2.0])), mean(np.array([-np.inf, 0.0, 2.0]))
    assert np.isnan(lost.error)
    assert (lost.words(), lost.less(other).words()) == ("-inf", "unknown")
    assert no_better(mean(np.ones(3)), [lost]) == [1]


def test_a_chance_of_which_all_paths_say_the_same_has_a_bound():
    """Of ten paths without the event, its chance is below 25.9 %: at that, none has it in one of twenty cases."""
    none, pairs = mean(np.zeros(10)), mean(np.zeros(20), pairs=True)
    assert (none.percent(), pairs.percent(), mean(np.ones(10)).percent()) == (
        "0.0, < 25.9 %", "0.0, < 25.9 %", "100.0, > 74.1 %"
    )  # fmt: skip
    assert mean(np.zeros(1)).percent() == "0.0 %"
    assert mean(np.array([0.0, 1.0])).percent() == "50.0 ± 50.0 %"


def test_a_bound_is_rounded_away_from_what_is_certain():
    """A chance is not below 0.0 %, nor above 100.0 %, of however many paths."""
    assert mean(np.zeros(6000)).percent() == "0.0, < 0.05 %"
    assert mean(np.ones(6000)).percent() == "100.0, > 99.95 %"
    assert mean(np.ones(1000)).percent() == "100.0, > 99.7 %"


def test_an_error_is_shown_with_as_many_decimals_as_it_needs():
    """± 0.0 is that of equal paths alone."""
    assert mean(np.array([2.0, 2.06])).words() == "+2.03 ± 0.03"
    assert mean(np.array([2.0, 3.0])).words(0, sign="-") == "2.5 ± 0.5"
    assert mean(np.array([200.0, 260.0])).words(0, sign="-") == "230 ± 30"
    assert mean(np.ones(3)).words() == "+1.0 ± 0.0"
    assert mean(np.eye(2000)[0]).percent() == "0.05 ± 0.05 %"


def test_the_deflated_sharpe_ratio_is_the_published_one():
    """The example of Bailey and Lopez de Prado (2014): 2.5 a year over five years, skewness -3, kurtosis 10."""
    known = {"rows": 1250, "skewness": -3.0, "kurtosis": 10.0, "variance": 0.5 / 250}
    assert best_of_luck(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / 250**0.5, trials=100, **known) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(2.5 / 250**0.5, trials=46, **known) == pytest.approx(0.9505, abs=5e-5)


def test_the_best_of_luck_is_what_the_best_of_many_reaches():
    """The expected maximum of independent normal ratios, within a percent for twenty of them."""
    drawn = np.random.default_rng(2).standard_normal((20_000, 20)).max(axis=1).mean()
    assert best_of_luck(1.0, 20) == pytest.approx(drawn, rel=0.02)
    assert best_of_luck(1.0, 1) == 0


def by_definition(returns, blocks):
    """The probability of overfitting, split by split, with the ranks written out."""
    parts = np.array_split(returns, blocks)
    worse = []
    for half in combinations(range(blocks), blocks // 2):
        inside = sharpe(np.concatenate([parts[at] for at in half]))
        outside = sharpe(np.concatenate([parts[at] for at in range(blocks) if at not in half]))
        rank = (outside < outside[inside.argmax()]).sum() + ((outside == outside[inside.argmax()]).sum() + 1) / 2
        worse.append(np.log(rank / (returns.shape[1] + 1 - rank)) <= 1e-12)
    return np.mean(worse)


def test_the_probability_of_overfitting_is_that_of_its_definition():
    """Logits of ranks that are not above 0, over every half."""
    returns = np.random.default_rng(4).standard_normal((60, 7)) + np.linspace(0, 0.3, 7)
    assert 0 < by_definition(returns, 6) < 0.6
    assert overfitting(returns, 6) == pytest.approx(by_definition(returns, 6))


@pytest.mark.parametrize("constant", [0.0, 7e-5, 1e-4, -1e-4])
def test_a_cell_whose_returns_do_not_vary_has_no_ratio_in_any_half(constant):
    """Its variance is that of rounding; taken at its word it would make the best ratio of all."""
    returns = 2e-4 + 5e-3 * np.random.default_rng(14).standard_normal((200, 4))
    returns[:, 0] = constant
    assert sharpe(returns)[0] == 0
    assert overfitting(returns, 8) == pytest.approx(by_definition(returns, 8))


def test_skill_is_not_luck_and_noise_is():
    """A cell that is better in every block is chosen rightly; among equals half of the choices are below the median."""
    random = np.random.default_rng(6)
    noise = np.mean([overfitting(random.standard_normal((160, 10)), 8) for _ in range(60)])
    assert noise == pytest.approx(0.5, abs=0.12)
    skilled = 0.1 * random.standard_normal((320, 10))
    skilled[:, 3] += 0.2
    assert overfitting(skilled) == 0
    assert np.isnan(overfitting(skilled[:, :1]))
    assert np.isnan(overfitting(skilled[:20]))


def sums_of_twelve(rows, cells):
    """Values close to normal, from the numbers of a linear congruential generator."""
    state, found = 1, []
    for _ in range(rows * cells * 12):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        found.append(state / 2**64)
    return np.array(found).reshape(rows, cells, 12).sum(axis=2) - 6


def blocks(rows, samples, length, seed=3):
    """Rows of bootstrap samples."""
    random = np.random.default_rng(seed)
    return np.stack([stationary_rows(rows, rows, length, random) for _ in range(samples)])


def test_the_confidence_set_is_that_of_arch():
    """p-values of `arch.bootstrap.MCS`, arch 8.0.0, method max, 20,000 samples in blocks of 8, seed 0."""
    returns = 0.02 * sums_of_twelve(400, 5) + np.array([0, 0.001, 0.002, 0.0, -0.003])
    arch = [0.26875, 0.61655, 1.0, 0.33155, 0.0127]
    found = confidence_set(returns, blocks(400, 4000, 8))
    error = np.sqrt(np.array(arch) * (1 - np.array(arch)) * (1 / 4000 + 1 / 20_000))
    assert (np.abs(found - arch) <= 4 * error).all()


def test_the_best_cell_is_in_the_set_as_often_as_promised():
    """In at least 90 % of experiments, less four standard errors, and a hopeless cell is not."""
    random = np.random.default_rng(8)
    inside, hopeless = [], []
    for seed in range(60):
        returns = 0.01 * random.standard_normal((120, 4)) + np.array([0.0, 0.002, 0.001, -0.02])
        values = confidence_set(returns, blocks(120, 200, 1, seed))
        inside.append(values[1] > 0.1)
        hopeless.append(values[3] > 0.1)
    assert np.mean(inside) > 0.9 - 4 * np.sqrt(0.09 / 60)
    assert not any(hopeless)


def test_cells_that_are_the_same_share_their_fate():
    """One strategy under two names cannot be told apart."""
    one = 0.01 * np.random.default_rng(9).standard_normal((100, 1))
    assert confidence_set(np.hstack((one, one)), blocks(100, 50, 5)).tolist() == [1, 1]
    worse = confidence_set(np.hstack((one, one, one - 1, one - 1)), blocks(100, 50, 5))
    assert worse.tolist() == [1, 1, 0, 0]


TAILS = {(6.313752, 1): 0.05, (2.919986, 2): 0.05, (2.353363, 3): 0.05, (2.015048, 5): 0.05, (4.143700, 10): 0.001,
         (1.959964, 10**6): 0.025, (1.0, 1): 0.25, (-1.0, 1): 0.75, (0.0, 7): 0.5}  # fmt: skip
"""Value and degrees of freedom -> the chance to be above, from the tables."""


@pytest.mark.parametrize(("value", "freedom"), TAILS)
def test_the_tail_of_students_t_is_that_of_the_tables(value, freedom):
    """Even and odd degrees of freedom, and so many that it is the normal distribution."""
    assert student_tail(value, freedom) == pytest.approx(TAILS[value, freedom], abs=2e-6)


def test_leads_of_the_best_by_hand():
    """Two paths, one degree of freedom: a lead of one error has the tail 1/4; the least counts for 3 x 2 pairs."""
    best, near, far = mean(np.array([1.0, 1.0])), mean(np.array([1.0, -1.0])), mean(np.array([-20.0, -22.0]))
    tail = 0.5 - np.arctan(22) / np.pi
    assert no_better(best, [near, far]) == pytest.approx([2 * 0.25, 6 * tail])
    assert no_better(best, [best, mean(np.zeros(2))]) == [1, 0]
    assert no_better(best, []) == []
    assert no_better(mean(np.ones(1)), [mean(np.zeros(1))]) == [1]


FIGURES = {name: ESTIMATES[name] for name in ("mean", "5 %")} | {
    "worst 5 %": lambda values: expected_shortfall(values, 0.05)
}


@pytest.mark.parametrize("paths", [4, 60])
@pytest.mark.parametrize("cells", [2, 12])
@pytest.mark.parametrize("estimate", FIGURES.values(), ids=FIGURES)
def test_cells_that_are_equal_are_told_from_the_best_as_rarely_as_promised(estimate, cells, paths):
    """In at most 5 % of experiments and four standard errors, although the best was chosen on the same paths."""
    random, told = np.random.default_rng(12), []
    for _ in range(400):
        drawn = random.standard_normal((paths, 1)) + 0.5 * random.standard_normal((paths, cells))
        found = sorted((estimate(values) for values in drawn.T), key=lambda each: -each.value)
        told.append(min(no_better(found[0], found[1:])) < 0.05)
    assert np.mean(told) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_a_cell_that_is_far_behind_is_told_from_the_best():
    """And makes no difference to what is said of those that are near."""
    random = np.random.default_rng(13)
    near = [mean(better + random.standard_normal(100)) for better in (0.6, 0.0, 0.0)]
    far = mean(random.standard_normal(100) - 20)
    assert max(no_better(near[0], near[1:])) < 0.05
    assert no_better(near[0], [*near[1:], far])[:2] == no_better(near[0], near[1:])
