"""axe-core on the pages that have no test of their own for it: the door, the map with a drawer, and the replay."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.accessibility import faults, faults_in_both_lights
from tests.scene import scene


def test_the_door(stage, watched) -> None:
    watched.goto(stage.address + "/login")
    watched.wait_for_selector("#name")
    assert faults_in_both_lights(watched, "login") == []


def test_the_map_its_drawer_and_its_keys(logged_in, watched) -> None:
    logged_in(scene())
    watched.wait_for_selector(".card")
    assert faults(watched) == []
    watched.click(".card >> nth=0")
    expect(watched.locator("#drawer")).to_be_visible()
    assert faults_in_both_lights(watched, "alarm") == []
    watched.keyboard.press("n")
    assert watched.evaluate("document.documentElement.hasAttribute('data-night')")
    watched.reload()
    watched.wait_for_selector(".card")
    assert watched.evaluate("document.documentElement.hasAttribute('data-night')"), "the browser remembers the night"
    assert faults(watched) == []
    watched.keyboard.press("?")
    watched.wait_for_selector("#keys[open]")
    assert faults(watched) == []


def test_the_replay(logged_in, stage, watched) -> None:
    logged_in(scene())
    watched.goto(stage.address + "/replay")
    watched.wait_for_selector(".replay-bar")
    watched.wait_for_selector("body[data-map=ready]")
    assert faults_in_both_lights(watched, "replay") == []
