"""The watchlist as persons use it: one nominates, another approves; a file with a bad line; a hostile name; the keyboard."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from station.access import Role
from station.subjects import Category, KnownVehicle
from station.watchlist import Draft, add_subject, approve_subject, ask_extension
from tests.browser.accessibility import faults, faults_in_both_lights
from tests.web_stage import PASSWORD
from wire.units import ObjectClass

DAY_NS = 86_400 * 10**9
LATER = (datetime.now(UTC) + timedelta(days=100)).strftime("%Y-%m-%d")
HOSTILE = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>'


@pytest.fixture
def station(stages):
    it = stages()
    for name, role in (("lan", Role.OPERATOR), ("chi", Role.SUPERVISOR), ("phi", Role.PILOT), ("kiem", Role.AUDITOR)):
        it.person(name, role)
    it.mind()
    it.start()
    return it


@pytest.fixture
def enter(station, browser, browser_context_args):
    """A page of its own for each person, on the watchlist, with every complaint written down."""
    contexts, complaints = [], []

    def go(name, path="/watchlist"):
        contexts.append(browser.new_context(**browser_context_args))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=30_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(station.address + "/login")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url(station.address + "/")
        page.goto(station.address + path)
        page.wait_for_selector("#head h1" if path != "/" else "body[data-map=ready]")
        return page

    go.complaints = complaints
    yield go
    for context in contexts:
        context.close()


def listed(station, label, category=Category.COURIER, approved=True, days=100):
    draft = Draft(
        category, label, "ly do", "QD 12", "hoi chuyen rieng", time.time_ns() + days * DAY_NS, ("74C-123.45",),
        (KnownVehicle("74B-009.12", ObjectClass.TRUCK, "white"),), ("khe-da",), (1320, 270), 3, (4, 5),
    )
    subject = add_subject(station.settings, "somebody", draft)
    return approve_subject(station.settings, "another", subject.id) if approved else subject


def in_english(page):
    page.click("text=English")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_one_person_nominates_and_another_approves_and_both_are_named(station, enter) -> None:
    lan, chi = enter("lan"), enter("chi")
    expect(lan.locator(".empty")).to_contain_text("Chưa có hồ sơ nào")
    lan.click(".empty .primary")
    lan.click(".nomination .primary")
    expect(lan.locator('[data-field="label"] .problem')).to_contain_text("hồ sơ nào cũng cần có")
    expect(lan.locator('[data-field="category"]')).to_contain_text("Còn trống")
    assert lan.evaluate("document.activeElement.name") == "category", "the first field that is wrong has the focus"
    lan.select_option("[name=category]", "missing_person")
    for name, text in (("label", "Lan H."), ("reason", "gia đình báo"), ("lawful_basis", "vụ 12/2026"),
                       ("what_to_do", "hỏi chuyện riêng"), ("expires", LATER), ("plates", "74")):
        lan.fill(f".nomination [name={name}]", text)
    expect(lan.locator(".nomination [data-field] .problem:not(:empty)")).to_have_count(0)
    lan.click("text=Thêm xe")
    lan.fill("[name=vehicle_plate]", "74B-009.12")
    lan.select_option("[name=vehicle_class]", "bus")
    lan.click(".nomination .primary")
    expect(lan.locator('[data-field="plates"] .problem')).to_contain_text("biển số có 4 đến 12")
    expect(lan.locator('[data-field="label"] .problem')).to_be_empty()
    lan.fill(".nomination [name=plates]", "74C-123.45")
    lan.click(".nomination .primary")
    expect(lan.locator(".detail h2")).to_have_text("Lan H.")
    expect(lan.locator(".waits")).to_contain_text("phải có người thứ hai")
    assert lan.locator(".record-buttons .primary").count() == 0, "who nominated is not offered to approve"
    expect(lan.locator(".traces li").first).to_contain_text("mở xem hồ sơ")

    chi.reload()
    expect(chi.locator(".lane.welfare em")).to_have_text("1 chờ duyệt")
    chi.click(".record-row")
    expect(chi.locator(".detail")).to_contain_text("74B-009.12 Xe khách")
    chi.click("text=Duyệt hồ sơ này")
    expect(chi.locator(".detail .chip")).to_have_text("đang hiệu lực")
    expect(chi.locator(".traces")).to_contain_text("duyệt hồ sơ")
    expect(chi.locator(".lane.welfare em")).to_have_count(0)
    assert chi.locator(".traces li").count() == 5, "two looks of each, and what was done: nothing is hidden from the other"
    assert enter.complaints == []


def test_a_record_is_extended_by_two_and_ended_with_a_reason(station, enter) -> None:
    subject = listed(station, "Xe tải trắng", days=5)
    lan, chi = enter("lan", "/watchlist#enforcement"), enter("chi", "/watchlist#enforcement")
    expect(lan.locator(".ends.soon")).to_contain_text("còn")
    lan.click(".record-row")
    lan.click(".record-buttons >> text=Gia hạn")
    lan.fill("#f-expires", LATER)
    lan.fill("#f-reason", "vụ án còn mở")
    lan.click("#dialog .primary")
    expect(lan.locator(".waits")).to_contain_text("vụ án còn mở")
    assert lan.locator(".record-buttons .primary").count() == 0, "who asked does not agree"
    chi.click('.shown >> text=Chờ duyệt')
    chi.click(".record-row")
    chi.click(".record-buttons .primary")
    expect(chi.locator(".traces")).to_contain_text("đồng ý gia hạn")
    chi.click(".record-buttons .danger")
    chi.fill("#f-reason", "đã tìm thấy")
    chi.click("#dialog .primary")
    expect(chi.locator(".detail .chip")).to_have_text("đã kết thúc")
    expect(chi.locator(".traces")).to_contain_text("đã tìm thấy")
    assert chi.locator(".record-buttons").count() == 0, "there is nothing left to do with it, and no button says so"
    assert subject.id in chi.locator(".detail").inner_text()


def test_a_sighting_is_noted_in_the_name_of_who_says_so(station, enter) -> None:
    listed(station, "Em M.", Category.AT_RISK)
    lan = enter("lan")
    lan.click(".record-row")
    lan.click("text=Ghi tin báo")
    lan.fill("#f-reported_by", " ")
    lan.fill("#f-says", "thấy em đi cùng hai người lạ")
    lan.click("#dialog .primary")
    expect(lan.locator("#dialog .problem[role=alert]").last).to_contain_text("Cần tên người báo")
    lan.fill("#f-reported_by", "cô giáo Mai")
    lan.click("#dialog .primary")
    expect(lan.locator(".reports")).to_contain_text("cô giáo Mai")
    expect(lan.locator(".reports")).to_contain_text("thấy em đi cùng hai người lạ")


def test_a_file_with_a_bad_line_is_shown_before_it_is_taken(station, enter, tmp_path) -> None:
    file = tmp_path / "danh-sach.csv"
    file.write_text(
        "category,label,reason,lawful_basis,what_to_do,expires,plates\n"
        f"courier,Xe một,chở thuê,QĐ 1,dừng xe,{LATER},74C-111.11\n"
        "courier,Xe hai,chở thuê,QĐ 1,dừng xe,2020-01-01,74C-222.22\n"
        f"at_risk,Em N.,gia đình báo,QĐ 2,hỏi riêng,{LATER},74C-333.33\n", encoding="utf-8",
    )
    lan = enter("lan", "/watchlist#enforcement")
    lan.click(".tools >> text=Nhập tệp")
    bad = tmp_path / "danh-sach.xlsx"
    bad.write_bytes(b"PK")
    lan.set_input_files("#import-file", bad)
    expect(lan.locator("#import-problem")).to_contain_text(".csv")
    lan.set_input_files("#import-file", file)
    expect(lan.locator(".import-sum")).to_contain_text("2 hồ sơ dùng được. 1 dòng có lỗi.")
    expect(lan.locator(".import tbody tr")).to_have_count(1)
    expect(lan.locator(".import tbody tr")).to_contain_text("Ngày 2020-01-01 đã qua")
    assert faults(lan) == []
    assert lan.locator(".record-row").count() == 0, "nothing is taken yet"
    lan.click("text=Đề cử 2 hồ sơ")
    expect(lan.locator(".record-row")).to_have_count(1)
    expect(lan.locator(".record-row")).to_contain_text("Xe một")
    expect(lan.locator(".lane.welfare em")).to_have_text("1 chờ duyệt")

    chi = enter("chi")
    chi.click('.shown >> text=Chờ duyệt')
    chi.check(".records input")
    chi.click("text=Duyệt 1 hồ sơ đã chọn")
    expect(chi.locator(".empty")).to_be_visible()
    chi.click('.shown >> text=Đang hiệu lực')
    expect(chi.locator(".record-row")).to_contain_text("Em N.")
    assert enter.complaints == [m for m in enter.complaints if "409" in m], "the refused file alone"


def test_a_hostile_name_is_a_name(station, enter) -> None:
    listed(station, HOSTILE)
    lan = enter("lan", "/watchlist#enforcement")
    lan.click(".record-row")
    expect(lan.locator(".detail h2")).to_have_text(HOSTILE)
    lan.click(".record-buttons .danger")
    expect(lan.locator("#dialog-title")).to_contain_text(HOSTILE)
    lan.keyboard.press("Escape")
    lan.fill("[name=find]", HOSTILE[:20])
    lan.press("[name=find]", "Enter")
    expect(lan.locator(".find .quiet")).to_be_visible()
    assert lan.evaluate("window.stolen") is None and lan.locator("main img, main script").count() == 0
    assert enter.complaints == []


def test_who_has_no_access_to_a_lane_does_not_see_that_it_is_there(station, enter) -> None:
    listed(station, "Em M.", Category.AT_RISK)
    listed(station, "Xe tải")
    phi = enter("phi", "/watchlist#welfare")
    expect(phi.locator(".record-row")).to_contain_text("Xe tải")
    assert phi.locator(".lane").count() == 1 and "Em M." not in phi.content()
    phi.click(".record-row")
    expect(phi.locator(".detail h2")).to_have_text("Xe tải")
    assert phi.locator("main .primary, .record-buttons").count() == 0, "what may not be done is not offered"
    kiem = enter("kiem")
    expect(kiem.locator(".empty")).to_contain_text("không dành cho vai trò của bạn")


def test_it_is_used_without_a_mouse_and_escape_leads_back(station, enter) -> None:
    listed(station, "Lan H.", Category.MISSING_PERSON)
    lan = enter("lan", "/")
    lan.keyboard.press("w")
    lan.wait_for_url("**/watchlist")
    lan.wait_for_selector(".record-row")
    lan.focus(".record-row")
    lan.keyboard.press("Enter")
    expect(lan.locator(".detail h2")).to_be_focused()
    lan.focus(".record-buttons .danger")
    lan.keyboard.press("Enter")
    expect(lan.locator("#f-reason")).to_be_focused()
    lan.keyboard.press("Escape")
    expect(lan.locator(".record-buttons .danger")).to_be_focused()
    lan.focus(".detail .close")
    lan.keyboard.press("Enter")
    expect(lan.locator(".record-row")).to_be_focused()


@pytest.mark.parametrize("lane", ["welfare", "enforcement"])
def test_axe_finds_no_serious_fault_in_either_language(station, enter, lane) -> None:
    category = Category.AT_RISK if lane == "welfare" else Category.COURIER
    ask_extension(station.settings, "lan", listed(station, "Một", category, days=6).id, time.time_ns() + 200 * DAY_NS, "x")
    listed(station, "Hai", category, approved=False)
    chi = enter("chi", f"/watchlist#{lane}")
    for _ in range(2):
        chi.click(".record-row >> nth=1")
        chi.wait_for_selector(".traces li")
        assert faults_in_both_lights(chi, f"watchlist-{lane}-{chi.locator('html').get_attribute('lang')}") == []
        chi.click(".tools .primary")
        chi.wait_for_selector(".nomination")
        chi.click(".habits summary")
        chi.click(".vehicle-rows + div button")
        chi.click(".nomination .primary")
        expect(chi.locator('[data-field="label"] .problem')).not_to_be_empty()
        assert faults(chi) == []
        chi.keyboard.press("Escape")
        if chi.locator("html").get_attribute("lang") == "vi":
            in_english(chi)
    assert "[" not in chi.locator("main").inner_text(), "a text that is missing stands in brackets"
