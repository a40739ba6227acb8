"""The hand-over sheet on paper: what whoever comes must know stands on it, in both languages, and inside its margins."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pypdfium2
import pytest

from geofences.sector import load_sector
from station.alarms import join_contact
from station.duty import GetDuty, NoteShift, OpenIncident, SendTeam, Sheet
from station.handover_pdf import MARGIN_MM, handover_pdf
from station.language import words
from station.mind import Mind
from station.picture import AlarmState, ChangeAlarm, Done
from station.settings import StationSettings
from tests.station.conftest import SECTOR
from tests.station.test_alarm_machine import a_walker
from wire.clock import NS_PER_S, SteppedClock
from wire.flying import DroneTelemetry, LinkState
from wire.messages import SensorReport, SensorState
from wire.node_words import node_text
from wire.units import HeightMsl, Position

POINTS_A_MM = 72 / 25.4
NAMES = {"khe-da": "Đường mòn Khe Đá"}
EVERY_LETTER = "ăằắẳẵặ âầấẩẫậ đ êềếểễệ ôồốổỗộ ơờớởỡợ ưừứửữự ỳýỷỹỵ ĂẰẮẲẴẶ ÂẦẤẨẪẬ Đ ÊỀẾỂỄỆ ÔỒỐỔỖỘ ƠỜỚỞỠỢ ƯỪỨỬỮỰ ỲÝỶỸỴ"


class Shift:
    """A mind at the end of a shift."""

    def __init__(self, settings: StationSettings) -> None:
        self.clock = SteppedClock(1_780_002_000 * NS_PER_S)     # 04:00 at Lao Bao
        self.mind = Mind(settings, load_sector(SECTOR), self.clock)

    def walkers(self, count: int) -> list[str]:
        """So many walkers too far apart in time to be one; the ids of their alarms."""
        for i in range(count):
            self.mind._desk.judge(a_walker(i + 1, 100.0, self.clock.utc_ns()), self.clock.utc_ns())
            self.clock.advance(700.0)
        return [a.id for a in self.mind._desk.open.values()]

    def decide(self, alarm: str, to: AlarmState, reason: str) -> None:
        assert self.mind.answer(ChangeAlarm(alarm, to, "Nguyễn Thị Lan", reason)) == Done()

    @property
    def sheet(self) -> Sheet:
        duty = self.mind.answer(GetDuty())
        return next(v for v in (getattr(duty, f) for f in duty.__struct_fields__) if isinstance(v, Sheet))


@pytest.fixture
def shift(settings: StationSettings) -> Iterator[Shift]:
    made = Shift(settings)
    yield made
    made.mind.close()


def text_of(sheet: Sheet, language: str) -> str:
    """All its words in one line, as a reader of the file finds them; raises where one letter is outside of the margins."""
    document = pypdfium2.PdfDocument(handover_pdf(words(language, NAMES, 420), "training", sheet, None))
    told, edge = [], (MARGIN_MM - 1) * POINTS_A_MM
    for page in document:
        width, _ = page.get_size()
        text = page.get_textpage()
        for i in range(text.count_chars()):
            left, _, right, _ = text.get_charbox(i)
            assert left >= edge and right <= width - edge, text.get_text_range()
        told.append(text.get_text_range())
    return " ".join(" ".join(told).split())


MUD = (str(node_text("covered")), None, node_text("covered").worded)       # what its report says, its optics, the words


def a_full_sheet(shift: Shift) -> Sheet:
    first, second, _ = shift.walkers(3)
    now_ns = shift.clock.utc_ns()
    fault = shift.mind._desk.node_fault
    fault("cam-9", True, True, now_ns)
    fault("cam-9", False, True, now_ns)
    gate = next(a for a in shift.mind._desk.open.values() if a.rule == "node_silent").id
    shift.decide(gate, AlarmState.SHELVED, "60 dây cáp đang được thay")
    shift.mind.answer(SendTeam(first, "Tổ tuần tra Khe Đá", 15, "Nguyễn Thị Lan"))
    shift.decide(second, AlarmState.ACKNOWLEDGED, "")
    shift.mind.answer(OpenIncident("Nhóm người có trẻ em", "Nguyễn Thị Lan", (first, second)))
    shift.mind.answer(NoteShift("Nguyễn Thị Lan", EVERY_LETTER))
    shift.clock.advance(61.0)
    now_ns, place, situation = shift.clock.utc_ns(), Position(16.62, 106.59, HeightMsl(250.0)), shift.mind._situation
    situation.heard("cam-7", "camera", now_ns)
    situation.report("cam-7", SensorReport("gate-7", now_ns, place, (), SensorState.COVERED, now_ns, True, *MUD), now_ns)
    situation.telemetry(DroneTelemetry(
        "drone-1", now_ns, LinkState.CONNECTED, 0.1, 1, "hw", True, True, "AUTO", place, 80.0, 8.0, 0.0, 71.0, 24.0, 3, 1, 5
    ))
    shift.mind.pass_time()          # the third was left unanswered
    return shift.sheet


def test_what_is_open_shelved_blind_and_airborne_stands_on_the_vietnamese_sheet(shift: Shift) -> None:
    text = text_of(a_full_sheet(shift), "vi")
    for said in (
        "Phiếu bàn giao ca", "HUẤN LUYỆN", "Người trong hành lang Đường mòn Khe Đá", "đã chuyển cấp trên, hệ thống",
        "đã tiếp nhận, Nguyễn Thị Lan", "tạm gác, Nguyễn Thị Lan", "dây cáp đang được thay", "sự cố đã hết",
        "Tổ tuần tra Khe Đá", "Nhóm người có trẻ em", "gate-7", "hoặc sương mù dày", "drone-1", "71",
    ):
        assert said in text, said
    assert all(word in text for word in EVERY_LETTER.split()), "a letter of Vietnamese is lost on the way to paper"
    assert "system" not in text and "{" not in text and "60 dây" not in text


def test_the_english_sheet_says_the_same(shift: Shift) -> None:
    text = text_of(a_full_sheet(shift), "en")
    for said in (
        "Hand-over sheet", "TRAINING", "Person in corridor", "escalated, system", "acknowledged, Nguyễn Thị Lan",
        "shelved, Nguyễn Thị Lan", "the fault is over", "Tổ tuần tra Khe Đá", "gate-7", "or in fog so thick", "drone-1",
    ):
        assert said in text, said


def test_who_took_an_alarm_stays_on_the_sheet_when_another_contact_joins_it(shift: Shift) -> None:
    taken, _ = shift.walkers(2)
    shift.decide(taken, AlarmState.ACKNOWLEDGED, "tổ Khe Đá đã ra")
    alarm = next(a for a in shift.mind._desk.open.values() if a.id == taken)
    join_contact(alarm, 9, "C-000009", shift.clock.utc_ns() + NS_PER_S)
    text = text_of(shift.sheet, "en")
    assert "acknowledged, Nguyễn Thị Lan" in text and "tổ Khe Đá đã ra" in text
    assert "acknowledged, system" not in text


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_long_list_with_long_words_stays_inside_the_paper(shift: Shift, language: str) -> None:
    sheet = a_full_sheet(shift)
    item = sheet.waiting[0]
    long = msgspec.structs.replace(
        item, id="A-123456", says=msgspec.structs.replace(item.says, params={**item.says.params, "corridor": "Khe Đá " * 60})
    )
    name = "camera-dien-bien-phu-" * 8
    unbroken = msgspec.structs.replace(sheet.blind[-1], id=name, says=msgspec.structs.replace(
        sheet.blind[-1].says, params={"sensor": name, "state": "blind", "detail": "x" * 300}))
    text = text_of(msgspec.structs.replace(sheet, waiting=(long,) * 150, blind=(unbroken,) * 20), language)
    assert text.count("A-123456") == 150
    assert "(150)" in text and "(20)" in text
