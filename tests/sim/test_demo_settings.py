"""The demo fills in what changes from run to run and leaves the rest of a file as it was."""

import tomllib

import pytest

from sim.demo_settings import filled, free_port

TEMPLATE = """# A station.
data_dir = "here"       # where things lie

[web]
host = "127.0.0.1"
port = 8080             # of the page

[[drones]]
id = "a"
[[drones]]
id = "b"
"""


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(TEMPLATE)
    return path


def test_values_are_replaced_and_the_rest_stays(template):
    text = filled(template, {("data_dir",): 'a "quoted" đường', ("web", "port"): 9, ("drones", 1, "id"): "c"})
    assert tomllib.loads(text) == {
        "data_dir": 'a "quoted" đường', "web": {"host": "127.0.0.1", "port": 9}, "drones": [{"id": "a"}, {"id": "c"}],
    }
    assert text.startswith("# A station.\n")


def test_a_key_that_is_not_there_is_an_error(template):
    with pytest.raises(KeyError, match=r"has no web\.prot"):
        filled(template, {("web", "prot"): 1})


def test_a_free_port_can_be_bound():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", free_port()))
