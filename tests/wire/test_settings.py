"""A settings error names the file, the line and the key, and says what was expected."""

import msgspec
import pytest

from wire.settings import SettingsError, find_line, load_settings, refuse


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    height_agl_m: float


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    cameras: list[Camera] = []


GOOD = """# a comment
name = "post"

[[cameras]]
id = "gate-1"
height_agl_m = 6.0

[[cameras]]
id = "gate-2"
height_agl_m = 4.5
"""


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "sample.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_a_good_file_is_read(write):
    assert load_settings(write(GOOD), Sample).cameras[1] == Camera("gate-2", 4.5)


def test_a_wrong_type_names_line_and_key(write):
    path = write(GOOD.replace("4.5", '"high"'))
    with pytest.raises(SettingsError) as error:
        load_settings(path, Sample)
    assert str(error.value) == f"{path}:10: cameras.1.height_agl_m: Expected `float`, got `str`"


def test_an_unknown_key_names_its_line(write):
    path = write(GOOD.replace("height_agl_m = 6.0", "height_agl_m = 6.0\nhieght = 1"))
    with pytest.raises(SettingsError, match=rf"{path}:7: cameras.0.hieght: .*unknown field"):
        load_settings(path, Sample)


def test_a_missing_key_names_its_table(write):
    path = write(GOOD.replace("height_agl_m = 4.5\n", ""))
    with pytest.raises(SettingsError, match=rf"{path}:8: cameras.1.height_agl_m: .*missing required field"):
        load_settings(path, Sample)


def test_broken_toml_names_the_line(write):
    path = write('name = "post\n')
    with pytest.raises(SettingsError, match=rf"{path}:1: not valid TOML"):
        load_settings(path, Sample)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError, match=r"there is no such file\. Give the path of a settings file with --config"):
        load_settings(tmp_path / "nowhere.toml", Sample)


def test_a_file_that_is_not_text_is_refused_in_words(tmp_path):
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(path, Sample)


def test_a_refused_value_points_at_its_line(write):
    path = write(GOOD)
    error = refuse(path, ["cameras", 1, "height_agl_m"], "-3.0: a mast stands above the ground")
    assert str(error) == f"{path}:10: cameras.1.height_agl_m: -3.0: a mast stands above the ground"


def test_lines_are_found_in_nested_tables():
    text = "[a]\nx = 1\n[a.b]\nx = 2\n[[a.c]]\nx = 3\n[[a.c]]\n'x' = 4\n"
    assert find_line(text, ["a", "x"]) == 2
    assert find_line(text, ["a", "b", "x"]) == 4
    assert find_line(text, ["a", "c", 0, "x"]) == 6
    assert find_line(text, ["a", "c", 1, "x"]) == 8
    assert find_line(text, ["a", "c", 1, "missing"]) == 7
