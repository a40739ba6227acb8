"""A key belongs to one node and one realm; lists that mix realms are refused."""

import stat

import pytest

from wire.keys import (
    AllowedNode,
    NodeKind,
    append_allowed,
    load_allow_list,
    load_node_key,
    load_station_key,
    make_node_key,
    make_station_key,
    write_private,
)
from wire.settings import SettingsError
from wire.units import Realm


def allowed(key):
    return AllowedNode(key.node, key.kind, key.realm, key.public)


def test_a_key_comes_back_as_it_was_written_and_only_its_owner_reads_it(tmp_path):
    for _ in range(50):     # Z85 uses many signs that TOML also uses
        key = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)
        path = tmp_path / f"{_}.key"
        write_private(path, key)
        assert load_node_key(path) == key
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path):
    path = tmp_path / "station.key"
    key = make_station_key(Realm.LIVE)
    write_private(path, key)
    with pytest.raises(FileExistsError):
        write_private(path, make_station_key(Realm.LIVE))
    assert load_station_key(path) == key


def test_the_station_knows_a_node_by_its_key(tmp_path):
    path = tmp_path / "nodes.toml"
    keys = [make_node_key(f"gate-{i}", NodeKind.CAMERA, Realm.TRAINING) for i in range(3)]
    for key in keys:
        append_allowed(path, allowed(key))
    assert load_allow_list(path, Realm.TRAINING) == {k.public: allowed(k) for k in keys}


def test_a_training_key_in_a_live_station_s_list_is_an_error(tmp_path):
    path = tmp_path / "nodes.toml"
    append_allowed(path, allowed(make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)))
    with pytest.raises(SettingsError, match=r'"gate-1" has a key of the training realm, and this station is live'):
        load_allow_list(path, Realm.LIVE)


def test_one_name_with_two_keys_is_an_error(tmp_path):
    path = tmp_path / "nodes.toml"
    for _ in range(2):
        append_allowed(path, allowed(make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)))
    with pytest.raises(SettingsError, match="stands there twice"):
        load_allow_list(path, Realm.TRAINING)


def test_a_cut_off_key_is_refused(tmp_path):
    path = tmp_path / "gate.key"
    write_private(path, make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING))
    path.write_text(path.read_text().replace("public = '", "public = 'x"))
    with pytest.raises(SettingsError, match="a CURVE key has 40 characters, this one 41"):
        load_node_key(path)
