"""Every page says what it is before any script runs, and nothing else of the disk is served."""

import re

import pytest

from station.shelf import PAGES, page
from wire.units import Realm

NAMES = sorted(p.name for p in PAGES.glob("*.html"))


@pytest.mark.parametrize("realm", list(Realm))
@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_its_realm_the_watermark_and_the_frame_and_takes_all_from_its_own_station(name, realm) -> None:
    html = page(name, realm).decode()
    assert f'<html lang="vi" data-realm="{realm.value}">' in html
    assert html.count('class="watermark"') == html.count('class="frame"') == html.count("<noscript>") == 1
    assert "TRAINING / HUẤN LUYỆN" in html and "{{" not in html
    taken = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert taken and all(address.startswith("/static/") for address in taken)
    assert "<script>" not in html and " on" not in "".join(re.findall(r"<[a-z][^>]*", html))


def test_a_page_of_the_past_is_the_live_page_and_marked() -> None:
    live, past = (page("index.html", Realm.LIVE, is_replay).decode().splitlines() for is_replay in (False, True))
    assert set(past) - set(live) == {
        '<html lang="vi" data-realm="live" data-replay="yes">', '<link rel="stylesheet" href="/static/replay.css">',
        '<script type="module" src="/static/replay.js"></script>',
    }
    assert set(live) - set(past) == {'<html lang="vi" data-realm="live">'}
