"""Pictures of the world: the truth that comes with them is true, and they say that they are rendered."""

import inspect
from dataclasses import replace

import cv2
import numpy as np
import pytest

from cameras.pose import Pose
from cameras.project import project
from cameras.sim_mark import LIKENESS_LIMIT, simulated_likeness
from sim.renderer import Renderer
from sim.renderer_light import Palette
from sim.world_state import Kind, Posture, Sky, Species
from tests.small_world import BENT, DAY, LENS, MAST, moment, person, plants_at, small_landscape

pytestmark = pytest.mark.together(80)

SKIES = {
    "day": DAY, "dusk": replace(DAY, sun_elevation_deg=1.0), "night": replace(DAY, sun_elevation_deg=-20.0, moonlight=0.4),
    "rain": replace(DAY, cloud=1.0, rain_mm_h=20.0), "fog": replace(DAY, cloud=1.0, visibility_m=80.0),
}


@pytest.fixture(scope="module")
def land():
    return small_landscape()


@pytest.fixture(scope="module")
def bare():
    return small_landscape(plants_at())


@pytest.fixture(scope="module")
def renderer(land):
    it = Renderer(land, 1)
    yield it
    it.close()


@pytest.fixture(scope="module")
def bare_renderer(bare):
    it = Renderer(bare, 1)
    yield it
    it.close()


def changed(with_, without):
    """(left, top, right, bottom) of where two pictures differ clearly."""
    off = np.abs(with_.astype(int) - without.astype(int)).max(axis=2)
    off = cv2.medianBlur((off > 40).astype(np.uint8), 3)
    rows, columns = np.nonzero(off)
    return columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5


# ----------------------------------------------------------------------------------------------------------- the truth


@pytest.mark.parametrize("lens", [LENS, BENT, BENT.scaled(640, 360)], ids=["pinhole", "bent", "bent-small"])
def test_foot_points_and_boxes_are_those_of_the_cameras_geometry(renderer, land, lens):
    people = [person(land, k, e, n, 40.0 * k, Posture.STAND) for k, (e, n) in enumerate([(1, 18), (-4, 25), (6, 40)], 1)]
    for pose in (MAST, Pose(-25.0, 5.0, 145.0, 40.0, -50.0), Pose(0.0, 25.0, 150.0, 90.0, -90.0)):
        truth = renderer.render(moment(*people), pose, lens).truth
        assert {t.actor for t in truth} == {1, 2, 3}
        for t in truth:
            foot = project([[t.east_m, t.north_m, t.height_msl_m]], pose, lens)[0]
            assert t.foot_px == pytest.approx(tuple(foot), abs=1e-6)
            left, top, right, bottom = t.box_px
            head = project([[t.east_m, t.north_m, t.height_msl_m + 1.5]], pose, lens)[0]
            assert left - 1 <= foot[0] <= right + 1 and top - 1 <= foot[1] <= bottom + 1
            assert left - 1 <= head[0] <= right + 1 and top - 1 <= head[1] <= bottom + 1
            if pose.pitch_deg > -20:
                assert abs(foot[1] - bottom) < 0.06 * (bottom - top) + 1


@pytest.mark.parametrize("lens", [LENS, BENT], ids=["pinhole", "bent"])
def test_the_box_is_where_the_picture_changes(bare_renderer, bare, lens):
    cold = SKIES["night"]               # in the thermal palette a body is bright all over, and throws no shadow
    for east in (-7.0, 0.5, 8.0):
        walker = person(bare, 4, east, 22.0, 90.0)
        with_ = bare_renderer.render(moment(walker, sky=cold), MAST, lens, Palette.THERMAL)
        without = bare_renderer.render(moment(sky=cold), MAST, lens, Palette.THERMAL)
        left, top, right, bottom = changed(with_.image, without.image)
        box = with_.truth[0].box_px
        # Blur, noise and compression cost a pixel or two.
        assert (left, top, right, bottom) == pytest.approx(box, abs=2.5)


def test_who_stands_free_is_wholly_visible_and_who_stands_behind_a_wall_of_boulders_is_not(bare):
    rows = [(Species.BOULDER, e, 20.0, 1.1, 1.0) for e in np.arange(-4.0, 4.5, 0.8)]
    rows += [(Species.BOULDER, e, 40.0, 5.0, 2.0) for e in np.arange(-8.0, 9.0, 1.2)]
    land = small_landscape(plants_at(*rows))
    renderer = Renderer(land, 1)
    low = Pose(0.0, 0.0, 101.8, 0.0, -1.0)
    free, half, hidden = person(land, 1, -1.5, 12.0), person(land, 2, 0.8, 21.5), person(land, 3, 0.0, 44.0)
    share = {t.actor: t.visible for t in renderer.render(moment(free, half, hidden), low, LENS).truth}
    assert share[1] == pytest.approx(1.0, abs=0.01)
    assert 0.1 < share[2] < 0.8
    assert share[3] < 0.02
    renderer.close()


def test_one_behind_the_other_is_less_visible_and_has_the_same_box(bare_renderer, bare):
    far, near = person(bare, 1, 0.0, 30.0, 0.0, Posture.STAND), person(bare, 2, 0.1, 26.0, 0.0, Posture.STAND)
    low = Pose(0.0, 0.0, 102.2, 0.0, -2.0)
    alone = bare_renderer.render(moment(far), low, LENS).truth[0]
    both = {t.actor: t for t in bare_renderer.render(moment(far, near), low, LENS).truth}
    assert alone.visible == pytest.approx(1.0, abs=0.01)
    assert both[1].visible < 0.4 and both[2].visible == pytest.approx(1.0, abs=0.01)
    assert both[1].box_px == alone.box_px


def test_who_is_half_out_of_the_picture_has_a_box_that_ends_at_its_edge(bare_renderer, bare):
    pose = Pose(0.0, 0.0, 106.5, 0.0, -13.0)
    edge = project([[0.0, 20.0, 101.0]], pose, LENS)[0]
    metres_a_pixel = 20.5 / LENS.fx
    east = float((LENS.width_px - 0.5 - edge[0]) * metres_a_pixel)
    t = bare_renderer.render(moment(person(bare, 1, east, 20.0)), pose, LENS).truth[0]
    assert t.box_px[2] == LENS.width_px - 0.5
    assert 0.2 < t.visible < 0.8
    assert bare_renderer.render(moment(person(bare, 1, east + 3.0, 20.0)), pose, LENS).truth == ()
    assert bare_renderer.render(moment(person(bare, 1, 0.0, -20.0)), pose, LENS).truth == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_actor_can_be_drawn(bare_renderer, bare, kind):
    posture = Posture.WALK if kind is Kind.PERSON else Posture.STAND
    thing = person(bare, 9, 0.0, 24.0, 70.0, posture, kind=kind, plate="74C-123.45")
    truth = bare_renderer.render(moment(thing), MAST, LENS).truth
    assert [(t.actor, t.kind) for t in truth] == [(9, kind)]
    assert truth[0].visible > 0.9


@pytest.mark.parametrize("posture", list(Posture))
def test_every_posture_can_be_drawn(bare_renderer, bare, posture):
    truth = bare_renderer.render(moment(person(bare, 9, 0.0, 24.0, 70.0, posture)), MAST, LENS).truth
    assert truth[0].visible > 0.9


def test_passengers_are_not_drawn_and_riders_are(bare_renderer, bare):
    rider = replace(person(bare, 1, 0.0, 24.0, 0.0, Posture.RIDE), aboard=5)
    passenger = replace(person(bare, 2, 3.0, 24.0, 0.0, Posture.STAND), aboard=6)
    assert [t.actor for t in bare_renderer.render(moment(rider, passenger), MAST, LENS).truth] == [1]


# ------------------------------------------------------------------------------------------------------------ the mark


@pytest.mark.parametrize("palette", list(Palette))
@pytest.mark.parametrize("sky", SKIES)
def test_every_picture_says_that_it_is_rendered(renderer, land, sky, palette):
    picture = renderer.render(moment(person(land, 1, 0.0, 20.0), sky=SKIES[sky]), MAST, LENS, palette)
    assert simulated_likeness(picture.image) > LIKENESS_LIMIT
    again = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert (again == picture.image).all()
    corner = picture.image[8:66, 8:96].astype(int)
    assert (corner[..., 2] - corner[..., 0] > 60).sum() > 300       # the word, in amber, whatever the palette


@pytest.mark.parametrize(("width", "height"), [(320, 180), (640, 360), (1920, 1080)])
def test_every_size_says_it(renderer, width, height):
    picture = renderer.render(moment(), MAST, LENS.scaled(width, height))
    assert picture.image.shape == (height, width, 3)
    assert simulated_likeness(picture.image) > LIKENESS_LIMIT


def test_nothing_that_can_be_asked_of_a_renderer_concerns_the_mark():
    asked = {*inspect.signature(Renderer.render).parameters, *inspect.signature(Renderer.__init__).parameters}
    assert asked == {"self", "landscape", "seed", "moment", "pose", "lens", "palette", "exposure"}


# ----------------------------------------------------------------------------------------------------------- the light


def test_night_is_darker_and_noisier_than_day_and_a_lamp_helps(renderer):
    def look(sky, palette=Palette.DAY):
        image = renderer.render(moment(sky=SKIES[sky]), MAST, LENS, palette).image[100:].astype(float)
        fine = image - cv2.GaussianBlur(image, (0, 0), 2.0)
        return image.mean(), fine[..., 1].std() / max(image.mean(), 1.0)

    day, night, lamp = look("day"), look("night"), look("night", Palette.LOW_LIGHT)
    assert day[0] > 2.5 * night[0] and lamp[0] > 1.3 * night[0]
    assert night[1] > 1.5 * day[1]


def test_fog_takes_contrast_from_far_things_first(renderer):
    clear, fog = (renderer.render(moment(sky=SKIES[s]), MAST, LENS).image.astype(float) for s in ("day", "fog"))
    near, far = np.s_[560:700, 300:900], np.s_[190:260, 300:900]
    assert fog[far].std() < 0.5 * clear[far].std()
    assert fog[near].std() / clear[near].std() > 1.5 * fog[far].std() / clear[far].std()


def test_in_the_thermal_palette_people_are_the_brightest(bare_renderer, bare):
    picture = bare_renderer.render(moment(person(bare, 1, 0.0, 18.0), sky=SKIES["night"]), MAST, LENS, Palette.THERMAL)
    left, top, right, bottom = (round(v) for v in picture.truth[0].box_px)
    body = picture.image[top:bottom, (left + right) // 2 - 2:(left + right) // 2 + 3].mean()
    assert body > 1.8 * picture.image[500:700].mean()


def test_a_body_throws_a_shadow_when_the_sun_shines_and_hardly_any_when_it_does_not(bare_renderer, bare):
    def darkened(sky):
        walker = person(bare, 1, 0.0, 20.0)
        with_ = bare_renderer.render(moment(walker, sky=sky), MAST, LENS)
        without = bare_renderer.render(moment(sky=sky), MAST, LENS)
        left, top, right, bottom = (round(v) for v in with_.truth[0].box_px)
        off = without.image.astype(float).mean(axis=2) - with_.image.astype(float).mean(axis=2)
        off[top - 2:bottom + 2, left - 2:right + 2] = 0.0
        return (cv2.blur(off, (3, 3)) > 12).sum()

    assert darkened(DAY) > 150
    assert darkened(replace(DAY, cloud=1.0)) < 0.35 * darkened(DAY)


# ------------------------------------------------------------------------------------------------------ time and chance


def test_the_same_seed_gives_the_same_pictures_and_another_one_other_noise(bare):
    def three(seed):
        renderer = Renderer(bare, seed)
        moments = [moment(person(bare, 1, 0.0, 20.0 + t), t_s=t) for t in (0.0, 0.2, 0.4)]
        pictures = [renderer.render(m, MAST, LENS).image for m in moments]
        renderer.close()
        return np.stack(pictures)

    first = three(1)
    assert (first == three(1)).all()
    assert (first != three(2)).mean() > 0.1


def test_what_stands_still_stays_and_what_the_wind_moves_moves(renderer):
    def pair(wind):
        sky = replace(DAY, wind_mps=wind, cloud=0.2)
        return [renderer.render(moment(sky=sky, t_s=t), MAST, LENS).image.astype(float) for t in (10.0, 11.1)]

    def moved(pictures):
        off = np.abs(pictures[0] - pictures[1]).mean(axis=2)
        return cv2.blur(off, (9, 9))[150:280].max()

    assert moved(pair(14.0)) > 2.0 * moved(pair(0.0))


def test_a_camera_that_turns_sees_something_else(renderer, land):
    walker = person(land, 1, 0.0, 25.0)
    boxes = []
    for yaw in (4.0, 6.0, 8.0, 10.0):
        pose = replace(MAST, yaw_deg=yaw)
        picture = renderer.render(moment(walker), pose, LENS)
        t = picture.truth[0]
        assert t.foot_px == pytest.approx(tuple(project([[t.east_m, t.north_m, t.height_msl_m]], pose, LENS)[0]))
        boxes.append(t.box_px[0])
    assert np.all(np.diff(boxes) < -20)


def test_a_sky_that_changes_changes_the_kept_backdrop(renderer):
    bright = renderer.render(moment(sky=DAY), MAST, LENS).image.mean()
    dark = renderer.render(moment(sky=Sky(140.0, -18.0, cloud=0.9, wind_mps=0.0), t_s=0.1), MAST, LENS).image.mean()
    assert dark < 0.6 * bright
