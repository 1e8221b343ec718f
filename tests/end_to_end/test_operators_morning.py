"""An operator's morning: hundreds of failures of several targets, one order, a pause; by keyboard, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.end_to_end import bundle as bundles
from tests.end_to_end.browsing import Page
from tests.end_to_end.bundle import Bundle, running

ORDER = "PO-4711"
EXACT = 12345678901234567890  # which JavaScript would round
CRM_FAILURES = 260
PHONE = {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture
def crm() -> Iterator[str]:
    """A second target."""
    with bundles.target() as url:
        yield url


@pytest.fixture
def morning(crm: str, home: Path) -> Iterator[Bundle]:
    """A bundle after a bad night."""
    with (
        bundles.target() as erp,
        running(home, ALLOWED_TARGETS=f"{erp},{crm}", SHOW_PAYLOADS="true") as it,
    ):
        policy = {
            "name": "erp",
            "targetRestApi": f"{erp}/",
            "success": "status < `300` && body.amount != `0`",
        }
        it.put_policies(policy)
        one_by_one = range(CRM_FAILURES)
        it.store([it.record(f"{crm}/flaky/1/{one}", streamKey=f"customer-{one}") for one in one_by_one])
        it.store([it.record(f"{erp}/status/404/{number}") for number in range(60)])
        it.stored(f"{erp}/status/404/{'x' * 1900}", reference="PO-long")
        payload = {"order": EXACT, "amount": 0}
        it.stored(f"{erp}/mirror/200", reference=ORDER, targetRestApiPayload=payload)
        it.process()
        yield it


def of_host(url: str) -> str:
    return url.removeprefix("http://")


def key(name: str) -> str:
    return f"[data-key='{name}']"


def test_one_order_is_found_edited_and_replayed_alone(
    browser: webdriver.Chrome, morning: Bundle, crm: str
) -> None:
    page = Page(browser, morning)
    assert f"failed\n{CRM_FAILURES + 62}" in page.text("counts")
    assert all(name in page.text("targets") for name in ("erp", of_host(crm)))
    page.find(ORDER)
    page.until("The target said", "record-body")
    assert f'"order":{EXACT},"amount":0' in page.text("record-body").replace(" ", "")
    page.one("#edit-box summary").click()
    field = page.one("#edit [name=targetRestApiPayload]")
    assert str(EXACT) in str(field.get_property("value"))

    field.clear()
    field.send_keys('{"order": ')
    page.one("#edit button").click()
    page.until("targetRestApiPayload is not JSON", "edit-message")
    assert field.get_attribute("aria-invalid") == "true"
    field.send_keys(f'{EXACT}, "amount": 120.50}}')
    page.one("#edit button").click()
    page.until("Saved", "record-message")
    page.press("record-replay")
    page.until("Delivered.", "record-message")
    for word in ("success", "Edited: targetRestApiPayload", "Replayed"):
        page.until(word, "record-body")
    assert not page.one("#edit-box").is_displayed()  # what is finished can't be changed

    state = morning.state(str(page.ask("record.id")))
    assert (state["status"], len(state["attempts"])) == ("success", 2)
    assert page.complaints() == []


def test_the_edited_payload_arrived_as_it_was_typed(morning: Bundle) -> None:
    records = [one for one in morning.documents() if one.get("reference") == ORDER]
    assert [str(one["targetRestApiPayload"]["order"]) for one in records] == [str(EXACT)]


def test_all_of_a_target_are_replayed_with_a_stop_between(
    browser: webdriver.Chrome, morning: Bundle, crm: str
) -> None:
    page = Page(browser, morning)
    page.click(key(f"failures {of_host(crm)}"))
    page.until_failures(50)
    assert f"target: {crm}/" in page.text("chips")
    browser.refresh()  # the filter stands in the address
    page.until_failures(50)
    assert f"target: {crm}/" in page.text("chips")
    page.press("older")
    page.until("Page 2", "failures-table")
    page.press("newer")
    page.until("Page 1", "failures-table")

    page.press("select-all")
    page.press("replay-selected")
    page.until(f"{CRM_FAILURES} failed records match", "sure-text")
    assert f"503\n{CRM_FAILURES}" in page.text("sure-of").replace(" ", "\n")
    assert of_host(crm) in page.text("sure-of")
    assert page.violations() == []
    page.press("sure-yes")
    stop_at_once = """
    const [done] = arguments, button = document.getElementById("job-button");
    const look = () => button.offsetParent ? (button.click(), done()) : requestAnimationFrame(look);
    look();"""
    browser.execute_async_script(stop_at_once)
    page.until("Stopped: ", "job-text")
    assert page.text("job-button") == "Go on"
    sent = morning.live(of_host(crm))["failed"]
    assert 0 < sent < CRM_FAILURES
    assert page.violations() == []
    page.press("job-button")
    page.until(f"Replayed: {CRM_FAILURES} delivered, 0 failed again.", "job-text")
    page.until("No failed record matches", "failures-table")
    page.press("job-button")
    assert not page.one("#job").is_displayed()
    assert page.complaints() == []


def test_a_target_is_paused_and_stays_so(browser: webdriver.Chrome, morning: Bundle, crm: str) -> None:
    morning.stored(f"{crm}/status/503/later")
    morning.process()
    page = Page(browser, morning)
    pause = key(f"pause {of_host(crm)}")
    page.click(pause)
    page.until("paused until somebody resumes it", "targets")
    assert page.ask("document.activeElement.textContent") == "Resume"  # the focus stays on the target
    assert page.violations() == []
    browser.refresh()
    page.until("paused until somebody resumes it", "targets")
    assert morning.live(of_host(crm))["paused"] is True
    kept = morning.call("GET", "/process/targets").json()["targets"]
    assert [one["name"] for one in kept] == ["erp", of_host(crm)]
    assert kept[0]["success"] == "status < `300` && body.amount != `0`"

    page.show("failures")
    page.fill(targetRestApi=f"{crm}/")
    page.until_failures(1)
    page.open_record()
    page.until("503", "record-body")
    page.press("record-replay")
    page.until("It was not sent: its target is paused", "record-message")

    page.show("overview")
    page.until("Resume", "targets")
    page.click(pause)
    page.until("Resumed", "targets")
    assert morning.live(of_host(crm))["paused"] is False


def test_some_are_cancelled(browser: webdriver.Chrome, morning: Bundle) -> None:
    page = Page(browser, morning, "view=failures&retryCodes=404")
    page.until_failures(50)
    page.press("select-page")
    page.until("50 selected", "selected")
    page.press("older")
    page.until_failures(11)
    page.click("#failures-table input")
    page.until("51 selected", "selected")
    page.press("cancel-selected")
    page.until("51 failed records match and will end as cancelled", "sure-text")
    page.press("sure-yes")
    page.until("Ended: 51 cancelled.", "job-text")
    page.until_failures(10)
    page.press("job-button")
    page.press("select-all")
    page.press("cancel-selected")
    page.until("10 failed records match", "sure-text")
    page.press("sure-yes")
    page.until("Ended: 10 cancelled.", "job-text")
    page.until("No failed record matches. Remove a filter", "failures-table")
    page.show("overview")
    page.until("cancelled\n61", "counts")


def test_one_is_cancelled(browser: webdriver.Chrome, morning: Bundle, crm: str) -> None:
    waiting = morning.stored(f"{crm}/ok")
    page = Page(browser, morning, f"view=record&id={waiting}")
    page.until("not_processed", "record-body")
    assert not page.one("#record-replay").is_displayed()
    page.press("record-cancel")
    page.press("sure-yes")
    page.until("Cancelled: it is never sent again.", "record-message")
    page.until("nothing can be changed any more", "record-body")
    assert morning.state(waiting)["status"] == "cancelled"


def test_filters_are_taken_off_and_pages_sorted(browser: webdriver.Chrome, morning: Bundle, crm: str) -> None:
    ids = [morning.stored(f"{crm}/status/404/{number}", reference="sorted") for number in range(3)]
    morning.process()
    page = Page(browser, morning, "view=failures&reference=sorted&retryCodes=404&sort=createdDate")
    page.until_failures(3)
    assert page.failures() == ids
    page.one("#sort option[value='-createdDate']").click()
    page.until_failures(3)
    assert page.failures() == ids[::-1]
    page.click(key("chip retryCodes"))
    page.until("reference: sorted", "chips")
    assert "code" not in page.text("chips")
    assert page.one("#filter [name=retryCodes]").get_property("value") == ""
    moment = morning.state(ids[2])["createdDate"][:19]
    page.fill(reference="")
    browser.execute_script(f"location.hash = 'view=failures&to={moment}Z'")
    page.until("stored before", "chips")
    zoned = "new Date(document.querySelector('#filter [name=to]').value).toISOString().slice(0, 19)"
    assert page.ask(zoned) == moment
    assert not set(page.failures()) & set(ids[2:])


def test_who_did_what_is_shown(browser: webdriver.Chrome, morning: Bundle) -> None:
    (order,) = morning.call("GET", f"/store?reference={ORDER}").json()["records"]
    (unwanted,) = morning.call("GET", "/store?reference=PO-long").json()["records"]
    change = {"targetRestApiPayload": {"order": 1, "amount": 1}}
    assert morning.call("PATCH", f"/store/{order['id']}", change).status_code == 200
    assert morning.retry(ids=[order["id"]])["processedmessages"] == 1
    assert morning.call("DELETE", f"/store/{unwanted['id']}").status_code == 200
    page = Page(browser, morning, "view=history")
    for words in ("edited", "changed the targets: version", "cancelled", "1 delivered"):
        page.until(words, "history-table")


@pytest.mark.parametrize(
    "view", ["overview", "failures", "found&text=PO-long", "found&text=nobody", "history"]
)
def test_nothing_is_wider_than_a_phone(browser: webdriver.Chrome, morning: Bundle, view: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        page = Page(browser, morning, f"view={view}")
        if view == "found&text=PO-long":
            page.until("x" * 1900, "record-body")
        assert page.width() <= PHONE["width"]
        assert page.violations() == []
        hidden = page.ask(
            "[...document.querySelectorAll('svg text')].some((one) => one.getBoundingClientRect().left < 0)"
        )
        assert hidden is False  # no label is cut
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_goes_by_keyboard(browser: webdriver.Chrome, morning: Bundle) -> None:
    page = Page(browser, morning)

    def press(*keys: str) -> None:
        for one in keys:
            webdriver.ActionChains(browser).send_keys(one).perform()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.ask(f"document.activeElement.matches({selector!r})"):
                return
            press(Keys.TAB)
        raise AssertionError(f"the keyboard does not reach {selector}")

    press(Keys.TAB)
    assert page.ask("document.activeElement.id") == "skip"
    press(Keys.ENTER)
    assert page.ask("document.activeElement.id") == "main"
    tab_to("#reasons a[href*='retryCodes=404']")
    press(Keys.ENTER)
    page.until("code: ", "chips")
    assert page.ask("document.activeElement.id") == "failures-title"
    page.until("record", "failures-table")
    tab_to("#failures-table input")
    press(Keys.SPACE)
    page.until("1 selected", "selected")
    page.one("#select-none").send_keys("")  # back to what stands before the table
    tab_to("#replay-selected")
    press(Keys.ENTER)
    page.until("1 failed record matches", "sure-text")
    tab_to("#sure-yes")
    press(Keys.ENTER)
    page.until("Replayed: 0 delivered, 1 failed again.", "job-text")
    assert page.ask("document.activeElement.id") == "job-button"
    press(Keys.ENTER)
    assert page.ask("document.activeElement.id") == "failures-title"


def test_it_says_in_words_that_nothing_answers(browser: webdriver.Chrome, morning: Bundle) -> None:
    page = Page(browser, morning)
    browser.execute_script("window.fetch = async () => { throw new TypeError('Failed to fetch'); }")
    page.press("refresh")
    page.until("The function did not answer: Failed to fetch.", "overview-message")
    browser.execute_script(
        "window.fetch = async () => new Response('<html>', { status: 504, statusText: 'Gateway Timeout' })"
    )
    page.press("refresh")
    page.until("The function did not answer: 504 Gateway Timeout", "overview-message")
    browser.execute_script("window.fetch = async () => new Response('', { status: 401 })")
    page.press("refresh")
    page.until("This gateway wants a key: run datasync view.", "overview-message")


def test_it_reads_anew_by_itself(browser: webdriver.Chrome, morning: Bundle, crm: str) -> None:
    page = Page(browser, morning)
    before = morning.call("GET", "/process").json()["counts"]["not_processed"]
    morning.stored(f"{crm}/ok")
    browser.execute_script("readAt -= 30000")  # as if half a minute had gone by
    page.until(f"not processed\n{before + 1}", "counts")
