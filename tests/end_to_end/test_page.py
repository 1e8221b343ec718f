"""The operators' page in a real browser: look, filter, open a record, count, replay, see it succeed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.end_to_end.browsing import Page
from tests.end_to_end.bundle import PATIENCE, ROOT, Bundle, running

FAILURES = "view=failures"


def test_an_operator_finds_opens_and_replays_a_failure(browser: webdriver.Chrome, bundle: Bundle) -> None:
    flaky = [bundle.stored(f"/flaky/1/{n}", streamKey=f"order-{n}") for n in range(3)]
    gone = bundle.stored("/status/404")
    delivered = bundle.stored("/ok")
    bundle.process()
    page = Page(browser, bundle)
    assert [
        line for line in ("delivered", "failed", "of these dead") if line not in page.text("counts")
    ] == []
    chart = browser.find_element(By.CSS_SELECTOR, "#day svg")
    assert chart.get_attribute("aria-label") == "1 deliveries and 4 failures in the last 24 hours"

    page.show("failures")
    page.until_failures(4)
    assert sorted(page.failures()) == sorted([*flaky, gone])
    page.fill(retryCodes="404")
    page.until_failures(1)
    page.fill(retryCodes="", targetRestApi=f"{bundle.target_url}/flaky/")
    page.until_failures(3)
    page.fill(streamKey="order-1")
    page.until_failures(1)
    page.fill(streamKey="")
    page.until_failures(3)

    page.one(f"[data-id='{flaky[0]}']").send_keys(Keys.ENTER)  # by the keyboard
    page.until("503", "record-body")
    assert "Attempt: 503" in page.text("record-body")
    assert '{"detail": "not yet"}' in page.text("record-body")  # what the target said
    assert "18jan" not in page.text("record-body")  # no payload, unless the operator turns it on
    browser.back()

    page.until_failures(3)
    page.press("select-all")
    page.press("replay-selected")
    page.until("3 failed records match", "sure-text")
    page.one("#sure button[value=no]").click()
    assert bundle.state(flaky[0])["status"] == "failed"  # it was not confirmed
    page.press("replay-selected")
    page.until("3 failed records match", "sure-text")
    page.press("sure-yes")
    page.until("Replayed: 3 delivered, 0 failed again.", "job-text")
    page.until_failures(0)
    assert [bundle.state(one)["status"] for one in (*flaky, delivered)] == ["success"] * 4
    assert bundle.state(gone)["status"] == "failed"

    assert page.complaints() == []
    hosts = "return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)"
    assert set(browser.execute_script(hosts)) == {bundle.url}


def test_what_callers_sent_is_shown_as_text(browser: webdriver.Chrome, bundle: Bundle) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    bundle.stored("/status/404/%3Cscript%3E", streamKey=hostile, remark=hostile)
    bundle.process()
    page = Page(browser, bundle, FAILURES)
    page.until_failures(1)
    assert hostile in page.text("failures-table")
    page.open_record()
    page.until(hostile, "record-body")
    page.find(hostile)
    page.until(hostile, "record-body")
    page.find(f"{hostile}?")
    page.until(f"{hostile}?", "found-table")
    assert browser.find_elements(By.CSS_SELECTOR, "main img, dialog img, main script, dialog script") == []


def test_a_wrong_filter_is_explained(browser: webdriver.Chrome, bundle: Bundle) -> None:
    page = Page(browser, bundle, FAILURES)
    page.fill(retryCodes="abc")
    page.until("422: /retryCodes must contain HTTP status codes", "failures-message")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(browser: webdriver.Chrome, bundle: Bundle, scheme: str) -> None:
    bundle.stored("/status/404/" + "long" * 50)
    bundle.process()
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    phone = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        page = Page(browser, bundle)
        assert page.width() <= 360
        assert page.violations() == []
        page.show("failures")
        page.until_failures(1)
        assert page.width() <= 360
        assert page.violations() == []
        colour = page.ask("getComputedStyle(document.body).backgroundColor")
        assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_field_and_table_has_a_name(browser: webdriver.Chrome, bundle: Bundle) -> None:
    bundle.stored("/status/404")
    bundle.process()
    Page(browser, bundle, FAILURES).until_failures(1)
    tree = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("textbox", "button", "checkbox", "table", "image", "dialog", "link")
    named = [
        (one["role"]["value"], one.get("name", {}).get("value"))
        for one in tree
        if not one.get("ignored") and one.get("role", {}).get("value") in roles
    ]
    assert len(named) > 8
    assert [role for role, name in named if not name] == []


def test_payloads_are_shown_where_the_operator_turns_them_on(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    with running(tmp_path / "home", SHOW_PAYLOADS="true") as bundle:
        bundle.stored("/status/404", targetRestApiHeaders={"X-Tenant": "north"})
        bundle.process()
        page = Page(browser, bundle, FAILURES)
        page.until_failures(1)
        page.open_record()
        page.until("18jan", "record-body")
        assert "X-Tenant" in page.text("record-body")


def test_json_is_the_answer_unless_a_page_is_asked_for(bundle: Bundle) -> None:
    for accept, kind in (
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html;q=0.5,application/json", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
    ):
        assert bundle.call("GET", "/process", Accept=accept).headers["Content-Type"] == kind, accept
    policy = bundle.call("GET", "/process", Accept="text/html").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_behind_a_gateway_that_wants_a_key_the_page_is_viewed_through_this_machine(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    keys = "source/app:s0urce-4f2a9c71d8aa,operator/ops:0perator-b83e5d06ff"
    with running(tmp_path / "home", API_KEYS=keys) as bundle:
        stored = bundle.call("POST", "/store", bundle.record("/status/404"), X_API_Key="s0urce-4f2a9c71d8aa")
        assert stored.status_code == 202
        assert bundle.call("POST", "/process", X_API_Key="0perator-b83e5d06ff").status_code == 200
        assert requests.get(f"{bundle.url}/process", timeout=PATIENCE).status_code == 401
        command = [sys.executable, "-m", "datasync", "view", "--url", bundle.url, "--no-browser"]
        environment = os.environ | {"DATASYNC_API_KEY": "0perator-b83e5d06ff"}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as viewing:
            assert viewing.stdout is not None
            address = viewing.stdout.readline().split("/process")[0]
            try:
                page = Page(browser, replace(bundle, url=address), FAILURES)
                page.until_failures(1)
                page.open_record()
                page.until("404", "record-body")
                for foreign in (
                    {"Host": "evil.example.com"},
                    {"Origin": "https://evil.example.com"},
                    {"Sec-Fetch-Site": "cross-site"},
                    {"Content-Type": "text/plain"},
                ):
                    headers = {"Content-Type": "application/json"} | foreign
                    other = requests.post(
                        f"{address}/process/retry", b"{}", headers=headers, timeout=PATIENCE
                    )
                    assert other.status_code == 403, foreign
                page.press("record-replay")  # while its own page may
                page.until("It failed again", "record-message")
            finally:
                viewing.terminate()
