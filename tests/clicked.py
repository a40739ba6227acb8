"""Points of a picture and of the map, as somebody clicks them whose camera's settings are a little wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from edge.calibration import Request, load_task
from geofences.sector import Sector

ROOT = Path(__file__).parents[1]
OFF = (1.7, 0.8, -0.6)          # yaw, pitch, roll: by so much the settings are wrong


def clicked(pose: Pose, lens: Lens, sector: Sector, ground_m: float = 165.0) -> tuple[str, list[tuple[float, float]]]:
    """Eight stones before a camera with this true pose: a points file's text, and their pixels of the lens."""
    rng = np.random.default_rng(2)
    text, pixels = ["# clicked by hand"], []
    while len(pixels) < 8:
        place = np.array([pose.east_m + rng.uniform(-30, 30), pose.north_m - rng.uniform(12, 60), ground_m])
        pixel = project([place], pose, lens)[0]
        if lens.holds(pixel)[0]:
            lat, lon = sector.frame.from_enu([place[:2]])[0]
            x, y = pixel + rng.normal(0, 0.3, 2)
            pixels.append((x, y))
            text.append(
                f'[[points]]\nname = "stone {len(pixels)}"\npixel = [{x:.2f}, {y:.2f}]\nposition = [{lat:.7f}, {lon:.7f}]\n'
                "sigma_m = 0.05\n"
            )
    return "\n".join(text), pixels


def clicked_points(folder: Path) -> tuple[Path, Path, list[tuple[float, float]]]:
    """Settings of a node of the demo in a folder of its own, a points file, and the points' pixels."""
    node, points = folder / "node.toml", folder / "points.toml"
    sector = ROOT / "configs/sectors/laobao/sector.toml"
    text = (ROOT / "configs/demo/camera-1.toml").read_text(encoding="utf-8")
    node.write_text(re.sub(r'(?m)^sector = ".*?"', f'sector = "{sector}"', text), encoding="utf-8")
    points.write_text("", encoding="utf-8")
    task = load_task(Request(node, points))
    camera = task.camera
    pose = Pose(*task.survey.position, camera.yaw_deg + OFF[0], camera.pitch_deg + OFF[1], camera.roll_deg + OFF[2])
    ground_m = float(task.sector.terrain.height_msl_m([task.survey.position[:2]])[0])
    text, pixels = clicked(pose, task.lens, task.sector, ground_m)
    points.write_text(text, encoding="utf-8")
    return node, points, pixels
