"""What is drawn stands where the camera's geometry says, and says whose it is."""

import cv2
import numpy as np
import pytest

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from sim.mesh import Mesh
from sim.raster import Light, Placed, Raster, turns

LENS = Lens(640, 360, 520.0, 525.0, 318.3, 181.9)
POSE = Pose(1200.0, -800.0, 407.0, 30.0, -15.0, 3.0)
PLAIN = Light(shadows=False)


@pytest.fixture(scope="module")
def raster():
    board = Raster()
    yield board
    board.close()


def box(width=0.5, depth=0.3, height=1.75, texture=None):
    """A box that stands on the ground; each face with its own corners and normals."""
    vertices, normals, triangles, uv = [], [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal, a, b = np.zeros(3), np.zeros(3), np.zeros(3)
            normal[axis], a[(axis + 1) % 3], b[(axis + 2) % 3] = sign, 1.0, 1.0
            first = len(vertices)
            for p, q in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                vertices.append(normal + p * a + q * b)
                normals.append(normal)
                uv.append(((p + 1) / 2, (q + 1) / 2))
            triangles += [[first, first + 1, first + 2], [first, first + 2, first + 3]]
    at = np.array(vertices) * [width / 2, depth / 2, height / 2] + [0, 0, height / 2]
    return Mesh(
        at.astype(np.float32), np.array(triangles, np.int32), np.full((len(at), 3), 200, np.uint8),
        np.array(normals, np.float32), np.array(uv, np.float32), texture,
    )


def ahead(metres, sideways=0.0, height_msl_m=400.0):
    """A place so many metres ahead of the camera and to its right."""
    yaw = np.radians(POSE.yaw_deg)
    return (
        POSE.east_m + metres * np.sin(yaw) + sideways * np.cos(yaw),
        POSE.north_m + metres * np.cos(yaw) - sideways * np.sin(yaw), height_msl_m,
    )


@pytest.mark.parametrize("pose", [
    POSE, Pose(1200.0, -800.0, 407.0, 32.0, -25.0, -8.0), Pose(1210.0, -782.7, 430.0, 200.0, -90.0),
])
def test_a_drawn_box_has_the_outline_of_its_projected_corners(raster, pose):
    mesh, at, heading = box(), np.array(ahead(20.0)), 37.0
    drawing = raster.draw([Placed.one(mesh, tuple(at), heading, id=5)], pose, LENS, PLAIN)
    corners = project(mesh.vertices @ turns(np.array([heading]))[0].T + at, pose, LENS)
    rows, columns = np.nonzero(drawing.ids == 5)
    assert columns.min() - 0.5 == pytest.approx(corners[:, 0].min(), abs=0.8)
    assert columns.max() + 0.5 == pytest.approx(corners[:, 0].max(), abs=0.8)
    assert rows.min() - 0.5 == pytest.approx(corners[:, 1].min(), abs=0.8)
    assert rows.max() + 0.5 == pytest.approx(corners[:, 1].max(), abs=0.8)


def test_the_share_of_pixels_is_that_of_the_outline(raster):
    mesh, at = box(), np.array(ahead(20.0))
    drawing = raster.draw([Placed.one(mesh, tuple(at), 30.0, id=5)], POSE, LENS, PLAIN)
    turned = mesh.vertices @ turns(np.array([30.0]))[0].T
    corners = project(turned + at, POSE, LENS)
    hull = cv2.convexHull(corners.astype(np.float32))
    assert drawing.covered_px[5] == pytest.approx(cv2.contourArea(hull), rel=0.03)
    assert drawing.image[..., 3].sum() / 255 == pytest.approx(drawing.covered_px[5], rel=0.01)


def test_the_nearer_hides_the_farther_and_depth_says_how_far(raster):
    near, far = Placed.one(box(), ahead(22.0), 30.0, id=1), Placed.one(box(height=2.5), ahead(25.0), 30.0, id=2)
    alone = raster.draw([far], POSE, LENS, PLAIN).covered_px[2]
    both = raster.draw([far, near], POSE, LENS, PLAIN)
    assert both.covered_px[2] < 0.75 * alone
    assert set(np.unique(both.ids)) == {0, 1, 2}
    middle = np.array([*ahead(22.0)[:2], 401.0])
    along = (middle - POSE.position) @ POSE.rotation()[:, 2]
    assert float(both.depth_m[both.ids == 1].mean()) == pytest.approx(along, abs=0.5)
    assert np.isinf(both.depth_m[both.ids == 0]).all()


def test_holes_in_a_texture_are_seen_through(raster):
    holes = np.full((8, 8, 4), 255, np.uint8)
    holes[:, 4:, 3] = 0
    whole = raster.draw([Placed.one(box(), ahead(15.0), 30.0, id=1)], POSE, LENS, PLAIN).covered_px[1]
    thin = box(depth=0.01, texture=holes)
    front = raster.draw([Placed.one(thin, ahead(15.0), 30.0, id=1)], POSE, LENS, PLAIN).covered_px[1]
    assert 0.3 * whole < front < 0.7 * whole


def test_nothing_drawn_is_transparent(raster):
    drawing = raster.draw([], POSE, LENS, PLAIN)
    assert not drawing.image.any()
    assert drawing.covered_px == {}


def test_a_shadow_falls_away_from_the_sun_and_belongs_to_nobody(raster):
    mesh, at = box(), ahead(20.0)
    sun_behind_the_camera = (-np.sin(np.radians(30.0)), -np.cos(np.radians(30.0)), 1.0)
    lit = Light(sun_direction=sun_behind_the_camera)
    drawing = raster.draw([Placed.one(mesh, at, 30.0, id=5)], POSE, LENS, lit, ground_msl_m=400.0)
    shadow = (drawing.image[..., 3] > 40) & (drawing.ids == 0)
    assert shadow.sum() > 15
    # 1.75 m high under a sun at 45 degrees: the shadow's tip lies 1.75 m farther away than the foot.
    tip = project([ahead(21.0)], POSE, LENS)[0]
    assert not shadow[:, :int(tip[0]) - 60].any()
    bare = raster.draw([Placed.one(mesh, at, 30.0, id=5)], POSE, LENS, lit)
    assert bare.covered_px == drawing.covered_px


def test_the_sunny_side_is_brighter_and_the_tint_colours(raster):
    yaw = np.radians(30.0)
    before = Light(sun_direction=(-np.sin(yaw), -np.cos(yaw), 0.3), shadows=False)
    behind = Light(sun_direction=(np.sin(yaw), np.cos(yaw), 0.3), shadows=False)
    thing = [Placed.one(box(), ahead(20.0), 30.0, id=5, tint=(0.2, 0.3, 1.0))]
    front, back = (raster.draw(thing, POSE, LENS, light) for light in (before, behind))
    inside = cv2.erode((front.ids == 5).astype(np.uint8), np.ones((5, 5))) > 0
    assert front.image[inside].mean() > 1.3 * back.image[inside].mean()
    blue, _, red, _ = front.image[inside].mean(axis=0)
    assert red > 2 * blue


def test_in_the_thermal_palette_the_warm_are_bright_whatever_they_wear(raster):
    heat = Light(palette=2)
    warm, cold = (
        raster.draw([Placed.one(box(), ahead(20.0), 30.0, id=5, tint=tint, heat=h)], POSE, LENS, heat)
        for tint, h in (((0.1, 0.1, 0.1), 0.9), ((1.0, 1.0, 1.0), 0.2))
    )
    assert warm.image[warm.ids == 5].mean() > 1.5 * cold.image[cold.ids == 5].mean()


def test_what_stands_on_a_slope_leans_with_it(raster):
    up = np.array([0.3, 0.0, 1.0]) / np.linalg.norm([0.3, 0.0, 1.0])
    turn = turns(np.array([90.0]), up[None])[0]
    assert turn @ [0, 0, 1] == pytest.approx(up)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert (turn @ [0, 1, 0])[0] > 0.9          # still heads east


def test_the_wind_bends_what_sways_and_nothing_else(raster):
    calm, gale = PLAIN, Light(shadows=False, wind=(0.8, 0.4, 3.0))
    stiff, tree = (Placed.one(box(height=6.0), ahead(30.0), id=1, sway=s) for s in (0.0, 1.0))
    at_rest, moved = (raster.draw([tree], POSE, LENS, w).ids for w in (calm, gale))
    assert (at_rest != moved).sum() > 30
    assert (raster.draw([stiff], POSE, LENS, calm).ids == raster.draw([stiff], POSE, LENS, gale).ids).all()


def test_two_rasters_of_one_process_do_not_draw_on_each_others_sheets(raster):
    thing = [Placed.one(box(), ahead(20.0), 30.0, id=5)]
    before = raster.draw(thing, POSE, LENS, PLAIN)
    other = Raster()
    assert (other.draw(thing, POSE, LENS, PLAIN).image == before.image).all()
    assert (raster.draw(thing, POSE, LENS, PLAIN).image == before.image).all()
    other.close()
    assert (raster.draw(thing, POSE, LENS, PLAIN).image == before.image).all()
