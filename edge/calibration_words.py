"""What the calibration page and its table of residuals say, in both languages of the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Language = Literal["vi", "en"]      # the screen's own first
LANGUAGES: tuple[str, ...] = get_args(Language)

# What the page shows; its script puts {braces} in.
PAGE: Mapping[str, Mapping[str, str]] = {
    "title": {"en": "Trailwatch: calibrate a camera", "vi": "Trailwatch: hiệu chuẩn camera"},
    "hint": {
        "en": "Click something in the picture that you find on the map, then give its place. Four points at least, "
              "far apart.",
        "vi": "Bấm vào một vật trong ảnh mà bạn tìm thấy trên bản đồ, rồi nhập vị trí của nó. Ít nhất bốn điểm, "
              "cách xa nhau.",
    },
    "pixel": {"en": "Pixel", "vi": "Điểm ảnh"},
    "pixel_hint": {"en": "click in the picture", "vi": "bấm vào ảnh"},
    "position": {"en": "Latitude, longitude", "vi": "Vĩ độ, kinh độ"},
    "above": {"en": "Metres above ground", "vi": "Số mét trên mặt đất"},
    "name": {"en": "Name", "vi": "Tên"},
    "add": {"en": "Add", "vi": "Thêm"},
    "solve": {"en": "Solve", "vi": "Tính"},
    "write": {"en": "Write into the settings", "vi": "Ghi vào tệp cài đặt"},
    "remove": {"en": "Remove", "vi": "Xóa"},
    "point": {"en": "point {number}", "vi": "điểm {number}"},
    "is_at": {"en": "{name}: {pixel} is {position}", "vi": "{name}: {pixel} là {position}"},
    "not_two_numbers": {
        "en": "Click in the picture, and give latitude and longitude in degrees.",
        "vi": "Hãy bấm vào ảnh, và nhập vĩ độ, kinh độ theo độ.",
    },
    "no_place_on_earth": {
        "en": "Give latitude, then longitude: {position} is no place on Earth.",
        "vi": "Hãy nhập vĩ độ trước, kinh độ sau: {position} không phải là một nơi trên Trái Đất.",
    },
    "legend": {
        "en": "A dot is where you clicked, a ring where the camera sees that thing as it was solved.",
        "vi": "Chấm là chỗ bạn đã bấm, vòng tròn là chỗ camera nhìn thấy vật đó theo kết quả tính.",
    },
    "no_answer": {
        "en": "The program on the node does not answer. Is it still running?",
        "vi": "Chương trình trên nút không trả lời. Nó còn chạy không?",
    },
}

# What `calibrate` itself says, on the page and in the terminal, which is English.
RESULT: Mapping[str, Mapping[str, str]] = {
    "point": PAGE["point"],
    "refused": {"en": "not calibrated: {why}", "vi": "chưa hiệu chuẩn được: {why}"},
    "column.point": {"en": "point", "vi": "điểm"},
    "column.px": {"en": "off, px", "vi": "lệch, px"},
    "column.m": {"en": "off, m", "vi": "lệch, m"},
    "column.sigmas": {"en": "sigmas", "vi": "sigma"},
    "chance": {
        "en": "honest clicks leave this much or more in {percent} % of calibrations",
        "vi": "bấm đúng thì {percent} % số lần hiệu chuẩn vẫn lệch chừng này hoặc hơn",
    },
    "drawn": {
        "en": "{file}: a cross where you clicked, a circle where the camera sees it now",
        "vi": "{file}: dấu chữ thập là chỗ bạn đã bấm, vòng tròn là chỗ camera nhìn thấy vật đó bây giờ",
    },
    "written": {
        "en": "{file}: written; what it was before is in {backup}",
        "vi": "{file}: đã ghi; nội dung cũ nằm trong {backup}",
    },
    "to_write": {
        "en": "these lines are for the settings; --write puts them there, or the page's button",
        "vi": "những dòng này là cho tệp cài đặt; --write hoặc nút trên trang sẽ ghi chúng vào đó",
    },
}


def result(key: str, language: str, **told: object) -> str:
    return RESULT[key][language].format(**told)
