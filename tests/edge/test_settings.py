"""A node's settings: what cannot be is said with file, line and key; a recording never feeds a live station."""

import re

import pytest

from edge.settings import lens_for, load_setup
from wire.keys import NodeKind, make_node_key
from wire.settings import SettingsError
from wire.units import Realm


def test_a_good_file_gives_a_camera_in_the_sectors_frame(settings):
    setup = load_setup(settings())
    assert setup.survey.pose.height_msl_m == 173.0
    assert setup.marking(simulated=False) == "TRAINING"
    assert setup.marking(simulated=True) == "TRAINING / SIM"
    assert setup.outbox == setup.file.parent / "node/outbox.db"


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("height_agl_m = 8.0", "height_agl_m = -3.0", "camera.height_agl_m", "stands above the ground"),
        ("position = [16.620915", "position = [17.620915", "camera.position", "outside the box"),
        ("pitch_deg = -21.0", "pitch_deg = -121.0", "camera.pitch_deg", "straight down"),
        ("fx_px = 420.0", "fx_px = 0.0", "camera.lens.fx_px", "above 0"),
        ("yaw_deg = 0.3", "yaw_deg = -0.3", "camera.sigma.yaw_deg", "0 or more"),
        ("score_threshold = 0.4", "score_threshold = 40", "detector.score_threshold", "between 0 and 1"),
        ("score_threshold = 0.4", 'score_threshold = 0.4\nroad = "highway"', "detector.road", "Invalid enum value"),
        ("score_threshold = 0.4", 'score_threshold = 0.4\nprecision = "int4"', "detector.precision", "Invalid enum value"),
        ("score_threshold = 0.4", 'score_threshold = 0.4\nroad = "ultralytics"\nprecision = "int8"', "detector.precision",
         "is run by OpenVINO"),
        ("max_fps = 10.0", "max_fps = -1.0", "source.max_fps", "or 0"),
        ('kind = "file"', 'kind = "ftp"', "source.kind", "Invalid enum value"),
        ('kind = "file"', 'kind = "rtsp"', "source.kind", "needs url"),
        ('kind = "file"', 'kind = "simulator"\nendpoint = "tcp://127.0.0.1:9"', "source.path", "has no path"),
        ('kind = "file"\npath = "walk.avi"', 'kind = "rtsp"\nurl = "http://gate"', "source.url", "rtsp://HOST"),
        ('kind = "file"\npath = "walk.avi"', 'kind = "simulator"\nendpoint = "tcp://10.0.0.1:9"', "source.endpoint",
         "on this machine"),
        ("max_fps = 10.0", "max_fps = 10.0\ndelay_s = -1.0", "source.delay_s", "0 to 10"),
        ("reach_m = 110.0", "reach_m = 110.0\nlamp_reach_m = -1.0", "camera.lamp_reach_m", "0 for no lamp"),
        ("reach_m = 110.0", 'reach_m = 110.0\nkind = "x-ray"', "camera.kind", "Invalid enum value"),
        ("reach_m = 110.0", 'reach_m = "far"', "camera.reach_m", "Expected `float`"),
        ("reach_m = 110.0", "reach_m = 110.0\nreech_m = 5", "camera.reech_m", "unknown field"),
        ("[station]", "[station]\npicture_kbit_per_s = -8.0", "station.picture_kbit_per_s", "or 0 for no limit"),
        ("data_dir = ", "data_dri = ", "data_dri", "unknown field"),
        ("[detector]", "[gate]\nfull_look_s = 0.0\n[detector]", "gate.full_look_s", "for example 2.5"),
        ("[detector]", "[gate]\ncrops_most = 0\n[detector]", "gate.crops_most", "1 to 16"),
        ("[detector]", '[gate]\nprofile = "snow"\n[detector]', "gate.profile", 'there are "day", "night", "rain"'),
        ("[detector]", '[gate]\nlook = "away"\n[detector]', "gate.look", "Invalid enum value"),
        ("[detector]", '[gate]\nmasks = [{ name = "road", polygon = [[0, 0], [9, 9]] }]\n[detector]', "gate.masks",
         '"road" has 2 corners'),
        ("[detector]", '[gate]\nmasks = [{ name = "road", polygon = [[0, 0], [9, 9], [400, 0]] }]\n[detector]', "gate.masks",
         "[400.0, 0.0] is outside the 320 x 240 pixels"),
        ("[detector]", '[[gate.profiles]]\nname = "day"\n[[gate.profiles]]\nname = "day"\n[detector]',
         "gate.profiles.1.name", "a name of its own"),
        ("[detector]", '[[gate.profiles]]\nname = "day"\n[[gate.profiles]]\nname = "wind"\nthreshold = 0.5\n[detector]',
         "gate.profiles.1.threshold", "grey levels"),
    ],
)
def test_what_cannot_be_is_refused_with_line_and_key(settings, old, new, key, says):
    path = settings([(old, new)])
    with pytest.raises(SettingsError) as caught:
        load_setup(path)
    text = str(caught.value)
    assert "\n" not in text and says in text and key in text
    line = int(re.match(rf"{re.escape(str(path))}:(\d+): ", text).group(1))
    assert key.split(".")[-1] in path.read_text().splitlines()[line - 1]


def test_a_recording_with_a_live_key_is_refused_in_words(settings):
    with pytest.raises(SettingsError, match="Recordings and simulations are training"):
        load_setup(settings(key=make_node_key("gate-1", NodeKind.CAMERA, Realm.LIVE)))


@pytest.mark.parametrize("kind", [NodeKind.FLEET, NodeKind.DRONE])
def test_a_key_of_another_kind_is_refused(settings, kind):
    with pytest.raises(SettingsError, match=kind.value):
        load_setup(settings(key=make_node_key("gate-1", kind, Realm.TRAINING)))


def test_a_missing_key_file_is_named(settings):
    with pytest.raises(SettingsError, match=r"nowhere\.key: there is no such key file"):
        load_setup(settings([('key = "gate-1.key"', 'key = "nowhere.key"')]))


def test_a_picture_of_another_size_scales_the_lens_and_of_another_shape_is_refused(settings):
    setup = load_setup(settings())
    assert lens_for(setup, 320, 240) is setup.camera.lens
    assert lens_for(setup, 640, 480).fx == 840.0
    with pytest.raises(SettingsError, match="calibrated for 320 x 240"):
        lens_for(setup, 640, 360)
