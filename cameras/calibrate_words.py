"""What a refused calibration says, in both languages of the screen. {name}, {other}: of points, as a person wrote them."""

from __future__ import annotations

from collections.abc import Mapping

Told = str | float | int

# Each says what is wrong and what to do. Angles in degrees, px in pixels of the lens.
REFUSALS: Mapping[str, Mapping[str, str]] = {
    "few": {
        "en": "{count} points; at least {least} are needed, spread over the picture",
        "vi": "mới có {count} điểm; cần ít nhất {least} điểm, rải khắp ảnh",
    },
    "no_number": {
        "en": "{name}: a number is missing: is it outside the map, or in a hole of it?",
        "vi": "{name}: thiếu một con số: điểm này có nằm ngoài bản đồ, hoặc ở chỗ bản đồ bị trống không?",
    },
    "outside": {
        "en": "{name}: pixel {x:.1f}, {y:.1f} is not in the picture of {width} x {height}",
        "vi": "{name}: điểm ảnh {x:.1f}, {y:.1f} không nằm trong ảnh {width} x {height}",
    },
    "same": {
        "en": "{name} and {other} are the same point; each counts once",
        "vi": "{name} và {other} là cùng một điểm; mỗi điểm chỉ tính một lần",
    },
    "close_together": {
        "en": "all points are close together in the picture: add some in other parts of it",
        "vi": "mọi điểm nằm sát nhau trong ảnh: hãy thêm điểm ở các phần khác của ảnh",
    },
    "one_line": {
        "en": "all points are on one line in the picture: add some beside it",
        "vi": "mọi điểm nằm trên một đường thẳng trong ảnh: hãy thêm điểm ở ngoài đường đó",
    },
    "does_not_fit": {
        "en": "{name} does not fit: {px:.0f} px from where the others put it. Look at its pixel and its place on the map, "
              "or leave it out.",
        "vi": "{name} không khớp: cách {px:.0f} px so với chỗ mà các điểm khác chỉ ra. Hãy xem lại điểm ảnh và vị trí của "
              "nó trên bản đồ, hoặc bỏ nó đi.",
    },
    "does_not_fit_behind": {
        "en": "{name} does not fit: behind the camera is where the others put it. Look at its pixel and its place on the "
              "map, or leave it out.",
        "vi": "{name} không khớp: theo các điểm khác thì nó ở phía sau camera. Hãy xem lại điểm ảnh và vị trí của nó trên "
              "bản đồ, hoặc bỏ nó đi.",
    },
    "disagree": {
        "en": "the points do not agree with each other: {px:.1f} px off on average, {name} worst, and no single one is to "
              "blame. Is it this camera's picture and lens? Is latitude before longitude?",
        "vi": "các điểm không khớp với nhau: lệch trung bình {px:.1f} px, {name} lệch nhiều nhất, và không thể quy cho "
              "riêng điểm nào. Đây có đúng là ảnh và ống kính của camera này không? Vĩ độ có đứng trước kinh độ không?",
    },
    "behind": {
        "en": "{names}: behind the camera, as the others have it. Look at its place, and at the camera's.",
        "vi": "{names}: ở phía sau camera, theo các điểm khác. Hãy xem lại vị trí của điểm và của camera.",
    },
    "too_little": {
        "en": "the points say too little: one sigma is {yaw:.2f} degrees of yaw, {pitch:.2f} of pitch, {roll:.2f} of roll; "
              "{angle:g}, {angle:g} and {most_roll:g} are allowed. Add points far apart in the picture and far away, or "
              "survey the camera's position better.",
        "vi": "các điểm cho biết quá ít: một sigma là {yaw:.2f} độ theo phương ngang, {pitch:.2f} độ theo phương đứng, "
              "{roll:.2f} độ nghiêng; cho phép {angle:g}, {angle:g} và {most_roll:g}. Hãy thêm những điểm cách xa nhau "
              "trong ảnh và ở xa camera, hoặc đo vị trí camera chính xác hơn.",
    },
    "too_little_of_lens": {
        "en": "the points say too little about the lens: add points near the picture's edges, or keep the lens as it is",
        "vi": "các điểm cho biết quá ít về ống kính: hãy thêm điểm gần mép ảnh, hoặc giữ nguyên ống kính",
    },
}


def refusal(key: str, language: str, told: Mapping[str, Told]) -> str:
    return REFUSALS[key][language].format(**told)
