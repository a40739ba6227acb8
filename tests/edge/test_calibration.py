"""From clicked points to the lines of a settings file, in words that say what is wrong with the ones that do not fit."""

import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from cameras.pose import Pose
from cameras.project import project
from edge.calibration import BACKUP, PointsFile, Request, load_task, run, write_points
from edge.calibration_page import Page
from edge.settings import load_setup
from geofences.sector import load_sector
from geofences.terrain import GridTerrain
from geofences.terrain_file import write_terrain
from tests.clicked import OFF, clicked
from tests.ptz_camera import LOOKS, turning
from wire.settings import SettingsError, load_settings

DEMO = Path(__file__).resolve().parents[2] / "configs/sectors/laobao"
TRUE = tuple(np.add((184.0, -21.0, 0.0), OFF))       # yaw, pitch, roll; the settings say 184, -21, 0


@pytest.fixture
def request_(settings, tmp_path):
    """A node whose settings are some degrees off, and eight points as its camera really sees them."""
    node = settings()
    setup = load_setup(node)
    p = setup.survey.pose
    pose = Pose(p.east_m, p.north_m, p.height_msl_m, *TRUE)
    points = tmp_path / "points.toml"
    points.write_text(clicked(pose, setup.camera.lens, setup.sector)[0], encoding="utf-8")
    return Request(node, points, click_sigma_px=0.5)


def spoiled(request, number, old, new):
    text = request.points.read_text()
    parts = text.split("[[points]]")
    assert old in parts[number]
    parts[number] = parts[number].replace(old, new, 1)
    request.points.write_text("[[points]]".join(parts))


@pytest.fixture
def hillside(tmp_path):
    """The demo's sector on ground that rises by 0.3 to the north: where its file is."""
    folder = shutil.copytree(DEMO, tmp_path / "hillside")
    file = folder / "sector.toml"
    frame, axis = load_sector(file).frame, np.arange(-1000.0, 1001.0, 20.0)
    heights = 500.0 + 0.3 * np.repeat(axis[:, None], len(axis), axis=1)
    write_terrain(folder / "hill.npz", GridTerrain(heights, (-1000.0, -1000.0), 20.0, 0.1, synthetic=True), frame, "a test")
    file.write_text(re.sub('file = "" .*', 'file = "hill.npz"', file.read_text()))
    return file


def test_on_a_hillside_the_height_is_calibrated_above_the_ground_where_the_camera_then_stands(settings, hillside, tmp_path):
    """Its place was read 4 m too far uphill; the tape was right."""
    sector, looks = (str(DEMO / "sector.toml"), str(hillside)), (LOOKS, "yaw_deg = 1.0\npitch_deg = -3.0\n")
    setup = load_setup(settings([sector, looks, ("position_m = 0.2", "position_m = 3.0")]))
    ground, frame, stated = setup.sector.terrain, setup.sector.frame, setup.survey.pose
    assert setup.survey.slope == pytest.approx((0.0, 0.3), abs=1e-3)
    true = Pose(stated.east_m, stated.north_m - 4.0, stated.height_msl_m - 1.2, 4.0, -5.0)
    text, rng, count = "", np.random.default_rng(3), 0
    while count < 10:
        place = true.position[:2] + np.array([rng.uniform(-25, 25), rng.uniform(12, 80)])
        pixel = project([[*place, float(ground.height_msl_m([place])[0])]], true, setup.camera.lens)[0]
        if setup.camera.lens.holds(pixel)[0]:
            lat, lon = frame.from_enu([place])[0]
            x, y = pixel
            text += f"[[points]]\npixel = [{x:.2f}, {y:.2f}]\nposition = [{lat:.7f}, {lon:.7f}]\nsigma_m = 0.1\n"
            count += 1
    points = tmp_path / "points.toml"
    points.write_text(text, encoding="utf-8")
    run(Request(setup.file, points, click_sigma_px=0.5, write=True))
    found = load_setup(setup.file)
    assert found.survey.pose.north_m == pytest.approx(true.north_m, abs=0.5)
    assert found.survey.pose.height_msl_m == pytest.approx(true.height_msl_m, abs=0.2)
    assert found.settings.camera.height_agl_m == pytest.approx(8.0, abs=0.1)
    assert found.survey.sigma.height_m <= 0.1 and found.survey.slope == pytest.approx((0.0, 0.3), abs=1e-3)


def test_a_camera_that_turns_has_the_slope_of_its_ground_at_every_preset(settings, hillside):
    setup = load_setup(settings([(str(DEMO / "sector.toml"), str(hillside)), *turning(PRESETS.split('"none"')[1])]))
    assert [p.survey.slope for p in setup.presets] == [pytest.approx((0.0, 0.3), abs=1e-3)] * 2


def test_without_a_file_of_points_it_says_how_to_get_one(request_):
    request_.points.unlink()
    with pytest.raises(SettingsError, match=r"points\.toml: there is no such file of points\. Click some with --page"):
        run(request_)


def test_the_lines_put_the_camera_right_and_every_point_is_shown(request_):
    said = run(request_)
    assert all(f"stone {i}" in said for i in range(1, 9))
    assert re.search(r"leave this much or more in (\d\d?|100|0\.\d) % of calibrations", said)
    found = dict(line.split(" = ") for line in said.splitlines() if " = " in line)
    assert float(found["yaw_deg"].split()[0]) < 1.0          # the last one: its sigma
    yaw = float(said.split("yaw_deg = ")[1].split()[0])
    pitch = float(said.split("pitch_deg = ")[1].split()[0])
    assert (yaw, pitch) == pytest.approx(TRUE[:2], abs=0.3)


def test_written_settings_keep_their_comments_and_the_old_file(request_):
    before = request_.node.read_text().replace("yaw_deg = 184.0", "yaw_deg = 184.0       # clockwise from north")
    request_.node.write_text(before)
    assert "written" in run(replace(request_, write=True))
    after = request_.node.read_text()
    assert "# clockwise from north" in after and request_.node.with_name(request_.node.name + BACKUP).read_text() == before
    setup = load_setup(request_.node)
    assert setup.survey.pose.yaw_deg == pytest.approx(TRUE[0], abs=0.3)
    assert setup.survey.pose.roll_deg == pytest.approx(TRUE[2], abs=0.3)     # a key that was not there before
    changed = [b for a, b in zip(before.splitlines(), after.splitlines(), strict=False) if a != b and "=" in b]
    assert not any("station" in line or "source" in line for line in changed)
    run(replace(request_, write=True))                                        # and once more on its own result


def test_settings_that_cannot_be_edited_safely_are_left_as_they_are(request_):
    text = request_.node.read_text()
    start, end = text.index("[camera.sigma]"), text.index("[source]")
    rows = ", ".join(line.split("#")[0].strip() for line in text[start:end].splitlines()[1:] if "=" in line)
    lens = text.index("[camera.lens]")
    text = text[:lens] + "sigma = { " + rows + " }\n" + text[lens:start] + text[end:]
    request_.node.write_text(text)
    load_setup(request_.node)
    with pytest.raises(SettingsError, match="by hand"):
        run(replace(request_, write=True))
    assert request_.node.read_text() == text


def test_an_outlier_is_named_and_all_residuals_are_shown(request_):
    spoiled(request_, 3, "pixel = [", "pixel = [1")
    pixels = [p.pixel for p in load_settings(request_.points, PointsFile).points]
    if not 0 <= pixels[2][0] < 320:
        request_.points.write_text(request_.points.read_text().replace(f"pixel = [{pixels[2][0]}", "pixel = [5.0"))
    with pytest.raises(SettingsError, match="stone 3 does not fit") as refused:
        run(request_)
    assert "stone 8" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("position = [16.", "position = [116."), "give latitude, then longitude"),
        (("sigma_m = 0.05", "sigma_m = 0.0"), "above 0"),
        (("pixel = [", "pixel = [9"), "is not in the picture"),
        (("name =", "nmae ="), "unknown field"),
    ],
)
def test_a_bad_point_is_refused_with_where_it_is(request_, change, says):
    spoiled(request_, 1, *change)
    with pytest.raises(SettingsError, match=says):
        run(request_)


def test_pixels_of_a_larger_picture_are_brought_to_the_lens(request_):
    small = load_task(request_).points
    points = load_settings(request_.points, PointsFile).points
    larger = [msgspec.structs.replace(p, pixel=tuple((v + 0.5) * 4 - 0.5 for v in p.pixel)) for p in points]
    write_points(request_.points, PointsFile(tuple(larger), (1280, 960)))
    for a, b in zip(small, load_task(request_).points, strict=True):
        assert a.pixel == pytest.approx(b.pixel, abs=1e-6)
    write_points(request_.points, PointsFile(tuple(larger), (1280, 720)))
    with pytest.raises(SettingsError, match="another shape"):
        load_task(request_)


def test_the_picture_is_drawn_on_and_may_come_from_the_nodes_own_source(request_, tmp_path):
    run(replace(request_, draw=tmp_path / "seen.png", picture=request_.node.with_name("source").relative_to(tmp_path)))
    drawn = cv2.imread(str(tmp_path / "seen.png"))
    assert drawn.shape == (240, 320, 3)
    assert (drawn == [0, 255, 255]).all(axis=2).sum() > 200                   # circles
    with pytest.raises(SettingsError, match="is no picture"):
        run(replace(request_, draw=tmp_path / "seen.png", picture=request_.node))


@pytest.fixture
def desk(request_, tmp_path):
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((240, 320, 3), 90, np.uint8))
    made = Page(replace(request_, picture=picture))
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.close()
    thread.join()


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data), timeout=20) as answer:
        return answer.read().decode()


def test_the_page_writes_the_points_file_and_solves(desk, request_):
    points = json.loads(ask(desk.address + "points"))["points"]
    assert len(points) == 8
    points[0]["name"] = 'the "old" gate'
    ask(desk.address + "points", {"points": points})
    written = load_settings(request_.points, PointsFile)
    assert written.points[0].name == 'the "old" gate' and written.picture_px == (320, 240)
    before = request_.node.read_text()
    answer = json.loads(ask(desk.address + "solve", {"language": "vi"}))
    assert answer["solved"] and "yaw_deg = " in answer["text"] and "số lần hiệu chuẩn" in answer["text"]
    assert np.array(answer["seen"]) == pytest.approx(np.array([p["pixel"] for p in points]), abs=2.0)
    assert request_.node.read_text() == before
    assert json.loads(ask(desk.address + "solve", {"write": True}))["solved"] and request_.node.read_text() != before


def test_points_of_a_picture_of_another_size_are_shown_and_kept_where_they_were_clicked(desk, request_):
    """The page's picture is 320 x 240, as the lens is; these were clicked on one twice as large."""
    before = request_.points.read_text()
    twice = re.sub(
        r"pixel = \[(.*), (.*)\]", lambda m: f"pixel = [{2 * float(m[1]) + 0.5}, {2 * float(m[2]) + 0.5}]", before
    )
    request_.points.write_text(f"picture_px = [640, 480]\n{twice}")
    shown = json.loads(ask(desk.address + "points"))
    pixels = [[float(v) for v in m] for m in re.findall(r"pixel = \[(.*), (.*)\]", before)]
    assert np.array([p["pixel"] for p in shown["points"]]) == pytest.approx(np.array(pixels), abs=0.06)
    ask(desk.address + "points", {"points": shown["points"]})
    assert load_settings(request_.points, PointsFile).picture_px == (320, 240)
    assert json.loads(ask(desk.address + "solve", {}))["solved"]
    request_.points.write_text(f"picture_px = [640, 400]\n{twice}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(desk.address + "points")
    assert b"has another shape" in refused.value.read()


def test_the_page_says_what_it_cannot_take_and_serves_nobody_without_its_secret(desk, request_):
    before = request_.points.read_text()
    for path, body, status in (
        ("points", {"points": [{"pixel": "here"}]}, 400), ("elsewhere", None, 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(desk.address + path, body)
        assert refused.value.code == status
    host = desk.address.rsplit("/", 2)[0]
    for path in ("/", "/points", "/wrong/points", "/wrong/picture"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(host + path)
        assert refused.value.code == 404
    ask(desk.address + "points", {"points": json.loads(ask(desk.address + "points"))["points"][:3]})
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(desk.address + "solve", {})
    assert refused.value.code == 409 and "at least 4" in json.loads(refused.value.read())["text"]
    assert before != request_.points.read_text()


def test_a_full_disk_is_said_on_the_page_and_loses_neither_points_nor_settings(desk, request_):
    """What is written first lies on a device that the kernel keeps full."""
    before = [f.read_text() for f in (request_.points, request_.node)]
    points = json.loads(ask(desk.address + "points"))["points"]
    for file in (request_.points, request_.node):
        file.with_name(f"{file.name}.new").symlink_to("/dev/full")
    for path, body in (("points", {"points": points[:5]}), ("solve", {"write": True})):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(desk.address + path, body)
        assert refused.value.code == 409 and b"No space left" in refused.value.read()
    assert [f.read_text() for f in (request_.points, request_.node)] == before


# ----------------------------------------------------------------------------------------------- a camera that turns


@pytest.fixture
def at_preset(request_):
    """The same points, of a camera that has presets: the second was looked through when they were clicked."""
    text = request_.node.read_text().replace(LOOKS, "")
    request_.node.write_text(text + PRESETS)
    return replace(request_, preset="bend")


PRESETS = """
[ptz]
by = "none"

[[presets]]
name = "gate"
token = "1"
yaw_deg = 12.0      # a guess
pitch_deg = -3.0

[[presets]]
name = "bend"
token = "2"
yaw_deg = 150.0     # another
pitch_deg = -3.0
"""


def test_a_preset_is_calibrated_for_itself_and_the_others_stay_as_they_are(at_preset):
    said = run(replace(at_preset, write=True))
    assert "[[presets]]" in said
    setup = load_setup(at_preset.node)
    gate, bend = setup.presets
    assert bend.survey.pose.yaw_deg == pytest.approx(TRUE[0], abs=0.3)
    assert bend.survey.pose.pitch_deg == pytest.approx(TRUE[1], abs=0.3)
    assert bend.survey.sigma.position_m < setup.sigma.position_m      # by the points, more than the survey knew
    assert (gate.survey.pose.yaw_deg, gate.survey.pose.pitch_deg, gate.survey.sigma.position_m) == (12.0, -3.0, 0.2)
    text = at_preset.node.read_text()
    assert "# a guess" in text and "# another" in text


def test_which_preset_it_was_has_to_be_said_and_has_to_be_one(at_preset):
    for preset, says in (("", 'at which it was: "gate", "bend"'), ("river", 'no preset "river"; there are')):
        with pytest.raises(SettingsError, match=says):
            run(replace(at_preset, preset=preset))


def test_a_camera_without_presets_has_none_to_calibrate(request_):
    with pytest.raises(SettingsError, match="this camera has none"):
        run(replace(request_, preset="gate"))
