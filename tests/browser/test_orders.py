"""An operator orders a picture and a clip of a camera, and looks at them."""

import contextlib
import re

import cv2
import msgspec
import numpy as np
from playwright.sync_api import expect

from station.orders import OrderBook
from station.store import INBOX, open_store
from tests.scene import scene
from wire.clock import WallClock
from wire.codec import encode_envelope
from wire.messages import Envelope, Footage, FootageFrame

CHOOSE = "id => import(new URL('/static/state.js', location.href).href).then(m => m.select('sensor', id))"


def answered(stage, order, pictures):
    """What the inbox writes when the node has answered."""
    clock = WallClock()
    jpeg = cv2.imencode(".jpg", np.full((90, 160, 3), 120, np.uint8))[1].tobytes()
    frames = tuple(FootageFrame(clock.utc_ns() + k * 10**9, jpeg) for k in range(pictures))
    payload = encode_envelope(Envelope(order.node, 1, 1, Footage(order.id, order.sensor, 0, 1, frames)))
    with contextlib.closing(open_store(stage.settings.inbox_db, INBOX, stage.settings.realm, clock)) as db:
        number = db.execute(
            "INSERT INTO arrivals(node, boot, sequence, kind, received_ns, payload) "
            "VALUES (?, 1, (SELECT count(*) FROM arrivals), 'footage', 1, ?)", (order.node, payload),
        ).lastrowid
        times = msgspec.json.encode([f.captured_ns for f in frames]).decode()
        db.execute("INSERT INTO footage VALUES (?, ?, ?, ?, 0, 1, ?)", (number, order.id, order.node, order.sensor, times))
        db.execute(
            "INSERT INTO order_results(order_id, node, done, detail, received_ns) VALUES (?, ?, 1, 'on its way', 1)",
            (order.id, order.node),
        )


def test_a_picture_and_a_clip_are_ordered_and_looked_at(logged_in, stage, watched):
    picture = scene()
    logged_in(picture)
    watched.evaluate(CHOOSE, picture.sensors[0].id)
    book = OrderBook(stage.settings, WallClock())
    listed = watched.locator(".orders > li")

    watched.get_by_role("button", name="Chụp ảnh ngay").click()
    expect(listed).to_have_count(1)
    expect(listed.first).to_contain_text("đang chờ nút của camera")
    answered(stage, book.newest()[0], 1)
    expect(listed.first).to_contain_text("đã xong")
    image = listed.first.locator("img")
    expect(image).to_be_visible()
    watched.wait_for_function("image => image.naturalWidth === 160", arg=image.element_handle())
    assert listed.first.locator("input").count() == 0

    watched.get_by_role("button", name="Đoạn hình").click()
    expect(listed).to_have_count(2)
    answered(stage, book.newest()[0], 4)
    slider = listed.first.get_by_role("slider")
    expect(slider).to_be_visible()
    expect(listed.first).to_contain_text("1 / 4")
    slider.press("ArrowRight")
    expect(listed.first.locator("figcaption")).to_have_text(re.compile(r"\d\d:\d\d:\d\d,\d · 2 / 4$"))     # to a tenth
    wide = watched.locator(".drawer").evaluate("drawer => drawer.scrollWidth - drawer.clientWidth")
    assert wide <= 0                    # nothing of it has to be scrolled to sideways
    assert watched.seen["errors"] == []


def told(picture, sensor, **health):
    """The scene, in which this sensor's node tells this of itself."""
    nodes = tuple(
        msgspec.structs.replace(n, health=msgspec.structs.replace(n.health, **health)) if n.node == sensor.node else n
        for n in picture.nodes
    )
    return msgspec.structs.replace(picture, nodes=nodes)


def test_the_profile_and_the_preset_in_force_are_seen_and_another_is_ordered_with_one_press(logged_in, stage, watched):
    plain = scene()
    sensor = plain.sensors[0]
    has = {"profile": "day", "profiles": ("day", "night", "lamps"), "preset": "Cổng", "presets": ("Cổng", "Khúc cua")}
    picture = told(plain, sensor, **has)
    mind = logged_in(picture)
    watched.evaluate(CHOOSE, sensor.id)
    book = OrderBook(stage.settings, WallClock())
    profiles = watched.get_by_role("group", name="Chế độ theo dõi")
    presets = watched.get_by_role("group", name="Hướng camera định sẵn")
    expect(profiles.get_by_role("button")).to_have_text(["ban ngày", "ban đêm", "lamps"])
    expect(profiles.get_by_role("button", pressed=True)).to_have_text("ban ngày")
    expect(presets.get_by_role("button", pressed=True)).to_have_text("Cổng")
    facts = watched.locator(".drawer .facts")
    expect(facts).to_contain_text("Cổng")

    profiles.get_by_role("button", name="ban đêm").click()
    expect(watched.locator(".orders > li").first).to_contain_text("ban đêm")
    presets.get_by_role("button", name="Khúc cua").click()
    expect(watched.locator(".orders > li")).to_have_count(2)
    assert [(o.action, o.argument) for o in reversed(book.newest())] == [("profile", "night"), ("ptz_preset", "Khúc cua")]

    mind.say(nodes=told(plain, sensor, **has | {"profile": "night", "preset": "", "turning_to": "Khúc cua"}).nodes)
    expect(profiles.get_by_role("button", pressed=True)).to_have_text("ban đêm")
    expect(facts).to_contain_text("đang quay tới Khúc cua")
    expect(presets.get_by_role("button", pressed=True)).to_have_count(0)
    for button in presets.get_by_role("button").all():
        expect(button).to_be_disabled()         # one turn at a time
    mind.say(nodes=told(plain, sensor, **has | {"preset": ""}).nodes)
    expect(facts).to_contain_text("không rõ camera đang nhìn hướng nào")
    wide = watched.locator(".drawer").evaluate("drawer => drawer.scrollWidth - drawer.clientWidth")
    assert wide <= 0
    assert watched.seen["errors"] == []


def test_a_camera_that_does_not_turn_offers_no_presets(logged_in, watched):
    picture = scene()
    sensor = picture.sensors[0]
    logged_in(told(picture, sensor, profile="day", profiles=("day", "night", "rain")))
    watched.evaluate(CHOOSE, sensor.id)
    expect(watched.get_by_role("group", name="Chế độ theo dõi")).to_be_visible()
    assert watched.get_by_role("group", name="Hướng camera định sẵn").count() == 0
