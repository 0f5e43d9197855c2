"""Opens a report in a real headless browser, uses it, and prints as JSON what a person would see."""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1280,900"
)


def browser(profile):
    options = webdriver.ChromeOptions()
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def shown(driver, selector):
    return [part for part in driver.find_elements(By.CSS_SELECTOR, selector) if part.is_displayed()]


def unmarked(driver):
    """What would be there if a text had become markup."""
    return {name: len(driver.find_elements(By.TAG_NAME, tag)) for name, tag in (("scripts", "script"), ("images", "img"), ("bold", "b"))}


def use_comparison(driver, filter_for):
    seen = {"title": driver.title, "verdict": driver.find_element(By.CSS_SELECTOR, ".verdict").text.lower()}
    seen["places"] = len(shown(driver, "#places > tbody"))
    driver.find_element(By.TAG_NAME, "body").send_keys("/")
    field = driver.switch_to.active_element
    field.send_keys(filter_for)
    seen["filtered"] = len(shown(driver, "#places > tbody"))
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.DELETE)
    new = driver.find_element(By.CSS_SELECTOR, "input[data-severity=new]")
    new.send_keys(Keys.SPACE)
    seen["without_new"] = len(shown(driver, "#places > tbody"))
    new.send_keys(Keys.SPACE)
    driver.find_element(By.CSS_SELECTOR, "details.host summary").send_keys(Keys.ENTER)
    seen["opened"] = len(driver.find_elements(By.CSS_SELECTOR, "details.host[open]"))
    return seen | unmarked(driver)


def use(driver, filter_for):
    seen = {"title": driver.title, "verdict": driver.find_element(By.CSS_SELECTOR, ".verdict").text.lower()}
    seen["places"] = len(shown(driver, "#places tbody"))
    seen["hosts"] = len(shown(driver, "details.host"))
    # The keyboard alone: `/` goes to the filter.
    driver.find_element(By.TAG_NAME, "body").send_keys("/")
    field = driver.switch_to.active_element
    field.send_keys(filter_for)
    seen["filtered"] = len(shown(driver, "#places tbody"))
    seen["said"] = driver.find_element(By.CSS_SELECTOR, "[data-shown=places]").text
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.DELETE)
    driver.find_element(By.CSS_SELECTOR, "input[data-severity=critical]").send_keys(Keys.SPACE)
    seen["without_critical"] = len(shown(driver, "#places tbody"))
    driver.find_element(By.CSS_SELECTOR, "input[data-severity=critical]").send_keys(Keys.SPACE)
    numbers = lambda: [row.text for row in driver.find_elements(By.CSS_SELECTOR, "#places tbody > tr:first-child > td:first-child")]
    by_number = driver.find_element(By.CSS_SELECTOR, "#places th button")
    by_number.send_keys(Keys.ENTER)
    seen["up"] = numbers()[:3]
    by_number.send_keys(Keys.ENTER)
    seen["down"] = numbers()[:3]
    host = driver.find_element(By.CSS_SELECTOR, "details.host summary")
    host.send_keys(Keys.ENTER)
    seen["opened"] = len(driver.find_elements(By.CSS_SELECTOR, "details.host[open]"))
    radios = driver.find_elements(By.CSS_SELECTOR, "input[name=layer]")
    if radios:
        radios[0].send_keys(Keys.ARROW_RIGHT)
        seen["layers"] = len(shown(driver, "svg.heat .layer"))
    seen |= unmarked(driver)
    seen["requests"] = driver.execute_script("return performance.getEntriesByType('resource').length")
    return seen


def main(page, filter_for, pictures=None):
    with tempfile.TemporaryDirectory() as profile:
        driver = browser(profile)
        try:
            begun = time.monotonic()
            driver.get(Path(page).resolve().as_uri())
            loaded = time.monotonic() - begun
            if pictures:
                for scheme in ("light", "dark"):
                    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
                    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
                    picture(driver, f"{pictures}-{scheme}.png")
            seen = (use_comparison if driver.title.startswith("fleetdiag diff") else use)(driver, filter_for)
            seen["load_seconds"] = round(loaded, 2)
            seen["console"] = [entry["message"] for entry in driver.get_log("browser")]
            print(json.dumps(seen))
        finally:
            driver.quit()


def picture(driver, path):
    import base64

    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip(driver)})
    Path(path).write_bytes(base64.b64decode(shot["data"]))


def clip(driver):
    height = driver.execute_script("return document.documentElement.scrollHeight")
    return {"x": 0, "y": 0, "width": 1280, "height": min(height, 3200), "scale": 1}


if __name__ == "__main__":
    main(*sys.argv[1:])
