"""What the ordinary environment does not show: `nox -s lowest`, `nox -s pythons`, `nox -s coverage`.

These sessions make environments of their own with uv, take minutes, and are no part of `.ci/run`.
"""

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lowest", "pythons"]

EXAMPLE = "examples/capital_rebalance/scenario.toml"
TOOLS = ("hypothesis", "pytest-xdist", "selenium", "quantstats", "optuna")
"""What the fast tests need besides the project and its extras."""
FAST = ("-m", "not slow", "-n", "auto", "--ignore=tests/test_house.py", "--ignore=tests/test_site.py",
        "--ignore=tests/test_notebooks.py")  # fmt: skip
"""The everyday tests without linters, documentation and notebooks, whose tools have lower bounds of their own."""


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The main job and the fast tests on the oldest Python and the lowest versions that `pyproject.toml` allows."""
    session.install("--resolution", "lowest-direct", ".[all,cluster]")
    main_job(session)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The same on every Python that is supported, with the newest versions."""
    session.install(".[all,cluster]")
    main_job(session)


@nox.session(python="3.13")
def coverage(session: nox.Session) -> None:
    """Which lines the everyday tests do not reach.

    On Python 3.12 and later Python itself says which lines are run, and counting them costs nothing. On 3.11, on which
    the tests are run elsewhere, it costs two fifths more time, so they are run without.
    """
    session.install(".[dev]", "pytest-cov>=6.0")
    packages = [f"--cov={each}" for each in ("framework", "venues", "strategies")]
    session.run("pytest", "-m", "not slow", "-n", "auto", *packages, "--cov-report=term-missing:skip-covered",
                env={"COVERAGE_CORE": "sysmon"})  # fmt: skip


def main_job(session: nox.Session) -> None:
    """Run, query, report, and the fast tests, or what stands behind `--` instead of them."""
    place = session.create_tmp()
    session.run("carrybook", "run", EXAMPLE, "--out", place, silent=True)
    session.run("carrybook", "sql", f"{place}/latest", "--memory", "0.5", "SELECT count(*) FROM transfers")
    session.run("carrybook", "report", f"{place}/latest", "--out", f"{place}/report.html")
    session.install(*TOOLS)
    session.run("pytest", *(session.posargs or FAST))
