"""Why it is one, why it is two, and a person who knows better; our own patrol is named and stays on the map."""

import time

import msgspec
from playwright.sync_api import expect

from station.contact_requests import MergeContacts, SplitContact
from station.picture import Sentence
from tests.scene import KHE_DA, alarm, contact, corridor_entry


def test_a_contact_says_why_and_is_split_and_joined(logged_in, watched):
    mind = logged_in()
    now = time.time_ns()
    walker = msgspec.structs.replace(
        contact("C-000007", KHE_DA, 0.4, now), sensors=("gate-1", "gate-2"), own_patrol="Tổ 3", party=("C-000008",),
        why_merged=(Sentence("contact.why.own_patrol", {"patrol": "Tổ 3", "distance_m": 4, "seconds": 1}),),
        why_apart=(Sentence("contact.why.apart", {"contact": "C-000008", "sensor": "gate-1", "distance_m": 2.1}),),
    )
    other = contact("C-000008", KHE_DA, 0.41, now)
    mind.say(contacts=(walker, other))
    mind.say(alarms=(alarm("A-1", now, contact_view=walker, says=corridor_entry(), ago_s=1),))
    watched.locator(".card.open").click()
    drawer = watched.locator("#drawer, .drawer").first
    expect(drawer).to_contain_text("Tuần tra của ta")
    expect(drawer).to_contain_text("Tổ 3")
    expect(drawer).to_contain_text("2 người cùng đi")
    expect(drawer).to_contain_text("vẫn cảnh báo như thường")
    expect(drawer).to_contain_text("trong một khung hình, cách nhau 2,1 m")
    drawer.get_by_role("button", name="Tách phần gate-2 thấy").click()
    drawer.get_by_role("button", name="Gộp").click()
    deadline = time.monotonic() + 20
    while len(mind.asked) < 2 and time.monotonic() < deadline:
        watched.wait_for_timeout(100)
    assert mind.asked == [SplitContact("C-000007", "gate-2", "lan"), MergeContacts("C-000007", "C-000008", "lan")]
