"""The operators' page as somebody sees it who can click and type, in a real browser."""

import shutil
from importlib import resources
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.end_to_end.bundle import PATIENCE, Bundle

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IS_THERE = bool(BROWSER and DRIVER)
MISSING = "needs a browser: the Debian packages chromium and chromium-driver"

_AXE = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_VIOLATIONS = """
const [done] = arguments;
axe.run().then(({ violations }) => done(violations.map((one) => `${one.id}: ${one.nodes[0].html}`)), String);
"""


def open_browser() -> webdriver.Chrome:
    """Start a browser, which keeps what its console says."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1400"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(DRIVER))


class Page:
    """The page in a browser; `view` is what stands behind the # of its address."""

    def __init__(self, browser: webdriver.Chrome, bundle: Bundle, view: str = ""):
        self.browser = browser
        browser.get("about:blank")  # else only what is behind the # would change
        browser.get(f"{bundle.url}/process#{view}")
        self.until("as of", "asof")

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, identity: str) -> str:
        return self.one(f"#{identity}").text

    def until(self, text: str, identity: str) -> None:
        WebDriverWait(self.browser, PATIENCE).until(
            lambda _: text in self.ask(f"document.getElementById('{identity}').innerText"),
            f"{text} in {identity}",
        )

    def ask(self, expression: str) -> Any:
        """What the page's own script says."""
        return self.browser.execute_script(f"return {expression}")

    def press(self, identity: str) -> None:
        self.one(f"#{identity}").click()

    def click(self, selector: str) -> None:
        """Click what may just be drawn anew."""
        waiting = WebDriverWait(
            self.browser,
            PATIENCE,
            ignored_exceptions=(StaleElementReferenceException, NoSuchElementException),
        )
        waiting.until(lambda _: self.one(selector).click() is None)

    def show(self, view: str) -> None:
        self.one(f"nav [data-view={view}]").click()

    def open_record(self, identity: str = "") -> None:
        """Follow the first link to a record, or the one to this."""
        selector = f"[data-id='{identity}']" if identity else "[data-id]"
        self.click(f"#failures {selector}")

    def fill(self, **values: str) -> None:
        for name, text in values.items():
            field = self.one(f"#filter [name={name}]")
            field.clear()
            field.send_keys(text)
        self.one("#filter button").click()

    def find(self, text: str) -> None:
        self.one("#find-text").clear()
        self.one("#find-text").send_keys(f"{text}\n")

    def failures(self) -> list[str]:
        found: list[str] = self.ask(
            "[...document.querySelectorAll('#failures [data-id]')].map((one) => one.textContent)"
        )
        return found

    def until_failures(self, number: int) -> None:
        WebDriverWait(self.browser, PATIENCE).until(
            lambda _: len(self.failures()) == number, f"{number} failures"
        )

    def violations(self) -> list[str]:
        """What axe-core finds that people with a screen reader, or little sight, would stumble over."""
        self.browser.set_script_timeout(PATIENCE)
        self.browser.execute_script(_AXE)
        found: list[str] = self.browser.execute_async_script(_VIOLATIONS)
        return found

    def width(self) -> int:
        """How wide the content is, at the least as wide as the screen."""
        width: int = self.ask("document.documentElement.scrollWidth")
        return width

    def complaints(self) -> list[str]:
        """What the browser's console has complained of."""
        return [one["message"] for one in self.browser.get_log("browser") if one["level"] == "SEVERE"]
