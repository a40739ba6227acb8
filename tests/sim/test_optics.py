"""A pinhole's picture, bent, lies where cameras.Lens says, to a tenth of a pixel."""

import cv2
import numpy as np
import pytest

from cameras.lens import Lens
from sim.optics import Bend, Film, compressed, exposure_s, motion_blurred, pinhole_for
from sim.renderer_light import Palette, weather
from sim.world_state import Sky

LENSES = {
    "barrel": Lens(640, 480, 420.0, 425.0, 315.0, 244.0, -0.28, 0.07, 0.001, -0.002),
    "pincushion": Lens(640, 480, 600.0, 600.0, 319.5, 239.5, 0.15, 0.02),
    "strong": Lens(640, 360, 360.0, 360.0, 319.5, 179.5, -0.28, 0.08, 0.0, 0.0, -0.01),
    "none": Lens(640, 480, 500.0, 500.0, 319.5, 239.5),
}
DAY = Sky(140.0, 45.0)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_a_dot_lands_where_the_lens_says(lens):
    pinhole = pinhole_for(lens)
    bend = Bend(lens, pinhole)
    wanted = np.array([[60.0, 50.0], [320.0, 180.0], [600.0, 90.0], [90.0, 300.0], [560.0, 320.0]])
    for pixel in wanted:
        at = lens.to_ideal(pixel[None])[0] * [pinhole.fx, pinhole.fy] + [pinhole.cx, pinhole.cy]
        picture = np.zeros((pinhole.height_px, pinhole.width_px, 3), np.uint8)
        x, y = np.meshgrid(np.arange(pinhole.width_px), np.arange(pinhole.height_px))
        picture[:] = (250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8.0)).astype(np.uint8)[..., None]
        bent = bend.patch(picture, (0, 0, pinhole.width_px, pinhole.height_px), (0, 0, lens.width_px, lens.height_px))
        weight = bent[..., 0].astype(float)
        rows, columns = np.mgrid[:lens.height_px, :lens.width_px]
        found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        # The lens stretches the dot unevenly, a little, towards the rim.
        assert found == pytest.approx(pixel, abs=0.25)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_the_pinhole_holds_everything_that_the_lens_sees(lens):
    bend = Bend(lens, pinhole_for(lens))
    reached = bend.map_x > -5
    assert reached.mean() > 0.97         # the strong one folds its corners
    assert bend.map_x[reached].min() >= -0.5 and bend.map_x.max() <= bend.pinhole.width_px - 0.5
    assert bend.map_y[reached].min() >= -0.5 and bend.map_y.max() <= bend.pinhole.height_px - 0.5


def test_a_patch_is_a_piece_of_the_whole():
    lens = LENSES["barrel"]
    bend = Bend(lens, pinhole_for(lens))
    rng = np.random.default_rng(1)
    shape = (bend.pinhole.height_px, bend.pinhole.width_px, 3)
    picture = cv2.GaussianBlur(rng.integers(0, 255, shape, dtype=np.uint8), (0, 0), 2.0)
    whole = bend.patch(picture, (0, 0, shape[1], shape[0]), (0, 0, lens.width_px, lens.height_px))
    box = (200, 150, 330, 290)
    left, top, right, bottom = bend.place_of(box)
    piece = bend.patch(picture[box[1]:box[3], box[0]:box[2]], box, (left, top, right, bottom))
    inside = bend.patch(np.full((140, 130, 3), 255, np.uint8), box, (left, top, right, bottom))[..., 0] == 255
    off = np.abs(piece.astype(int) - whole[top:bottom, left:right].astype(int))[inside]
    assert inside.mean() > 0.7
    assert off.max() <= 1 and piece[inside].std() > 3


def test_noise_grows_with_the_dark_and_is_the_same_for_a_seed():
    grey = np.full((360, 640, 3), 90, np.uint8)
    light, dark = weather(DAY, Palette.DAY), weather(Sky(140.0, -15.0), Palette.DAY)
    assert dark.noise > 3 * light.noise
    a, b = (Film(640, 360, 5).expose(grey, dark, Palette.DAY) for _ in range(2))
    assert (a == b).all()
    by_night, by_day = (Film(640, 360, 6).expose(grey, air, Palette.DAY).std() for air in (dark, light))
    assert by_night > 2 * by_day
    film = Film(640, 360, 5)
    assert (film.expose(grey, dark, Palette.DAY) != film.expose(grey, dark, Palette.DAY)).mean() > 0.5
    assert exposure_s(dark) > 5 * exposure_s(light)


def test_a_grey_camera_has_grey_noise():
    grey = np.full((360, 640, 3), 90, np.uint8)
    out = Film(640, 360, 5).expose(grey, weather(Sky(140.0, -15.0), Palette.LOW_LIGHT), Palette.LOW_LIGHT)
    assert np.ptp(out.astype(int), axis=2).max() <= 1


def test_corners_are_darker_than_the_middle():
    white = np.full((360, 640, 3), 200, np.uint8)
    out = Film(640, 360, 5).expose(white, weather(DAY, Palette.DAY), Palette.DAY).astype(float)
    assert out[:30, :30].mean() < 0.93 * out[165:195, 305:335].mean()


def test_rain_falls_into_the_picture():
    dark = np.full((720, 1280, 3), 60, np.uint8)
    wet, dry = (Film(1280, 720, 5).expose(dark, weather(Sky(140.0, 40.0, cloud=1.0, rain_mm_h=r), Palette.DAY), Palette.DAY)
                for r in (25.0, 0.0))
    assert wet.max() > dry.max() + 25


def test_motion_smears_colour_and_alpha_alike():
    body = np.zeros((40, 60, 4), np.uint8)
    body[10:30, 25:35] = (50, 100, 200, 255)
    smeared = motion_blurred(body, (6.0, 0.4))
    assert (smeared[20, :, 3] > 0).sum() > 12 and (smeared[:, 30, 3] > 0).sum() == 20
    assert (motion_blurred(body, (0.5, 0.5)) == body).all()
    full = smeared[smeared[..., 3] > 200].astype(float)
    assert full[:, 2].mean() / full[:, 3].mean() == pytest.approx(200 / 255, rel=0.05)


def test_what_is_compressed_is_what_is_sent():
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (360, 640, 3), dtype=np.uint8), (0, 0), 3.0)
    shown, jpeg = compressed(picture, weather(DAY, Palette.DAY))
    assert (cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) == shown).all()
    assert 0 < np.abs(shown.astype(int) - picture).mean() < 6
