"""Chromium without a screen: what measures, photographs and tests pages opens them with it."""

import shutil
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

PROGRAMS = ("chromium", "chromedriver")
WIDTH, HEIGHT = 1200, 1000
SWITCHES = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", f"window-size={WIDTH},{HEIGHT}",
)  # fmt: skip


def missing() -> str:
    """Which of the programs are not there, as text; empty where all are."""
    return ", ".join(name for name in PROGRAMS if not shutil.which(name))


def chromium(profile: Path) -> webdriver.Chrome:
    """A browser with an empty profile in a directory; it logs its console and every request. The caller quits it."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in (*SWITCHES, f"user-data-dir={profile}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.get("about:blank")  # instead of the browser's own first page, whose requests would be in the log
    driver.execute_cdp_cmd("Network.enable", {})
    return driver


def draw(browser: webdriver.Chrome, page: Path, seconds: float = 30) -> None:
    """Open a report and wait until its pictures are on the screen."""
    browser.get(page.resolve().as_uri())
    WebDriverWait(browser, seconds, poll_frequency=0.05).until(
        lambda opened: opened.execute_script("return document.documentElement.dataset.drawn === '1'")
    )
