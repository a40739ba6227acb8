"""Weights are found where a person would look, in a fixed order, and their absence is explained."""

import hashlib
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from models import registry
from models.registry import SMALLEST_BYTES, manifest, resolve_weights
from wire.settings import SettingsError
from wire.units import ObjectClass

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b"w" * (SMALLEST_BYTES + 1)


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAILWATCH_MODELS", raising=False)


def placed(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_the_manifest_says_source_licence_classes_and_size():
    known = manifest()["yolo11n"]
    assert known.licence == "AGPL-3.0"
    assert "ultralytics" in known.source
    assert set(known.classes) == set(ObjectClass)
    assert known.input_size_px == 640


def test_a_given_path_wins_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    cached = placed(tmp_path / "cache/trailwatch/models/yolo11n.pt")
    assert resolve_weights("yolo11n") == cached
    own = placed(tmp_path / "own/yolo11n.pt")
    monkeypatch.setenv("TRAILWATCH_MODELS", str(own.parent))
    assert resolve_weights("yolo11n") == own
    monkeypatch.setenv("TRAILWATCH_MODELS", str(own))
    assert resolve_weights("yolo11n") == own
    given = placed(tmp_path / "elsewhere/any.pt")
    assert resolve_weights("yolo11n", given) == given


def test_a_given_path_that_is_not_there_is_an_error_even_with_a_full_cache(tmp_path):
    placed(tmp_path / "cache/trailwatch/models/yolo11n.pt")
    with pytest.raises(SettingsError, match="there is no such file"):
        resolve_weights("yolo11n", tmp_path / "missing.pt")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_a_file_too_small_to_be_a_network_is_refused(tmp_path, content):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(content)
    with pytest.raises(SettingsError, match=f"{len(content)} bytes are no network"):
        resolve_weights("yolo11n", broken)


def test_without_any_the_error_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAILWATCH_MODELS", str(tmp_path / "nowhere"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")         # nobody there: the download fails at once, for real
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(SettingsError) as caught:
        resolve_weights("yolo11n")
    text = str(caught.value)
    assert "TRAILWATCH_MODELS" in text and "cache/trailwatch/models/yolo11n.pt" in text and "--weights PATH" in text
    assert "download" in text
    assert "\n" not in text


def test_a_name_nobody_knows_lists_those_that_are_known():
    with pytest.raises(SettingsError, match="the manifest knows yolo11n"):
        resolve_weights("yolo99x")


def test_a_cached_file_with_another_digest_than_the_manifest_is_refused(tmp_path, monkeypatch):
    cached = placed(tmp_path / "cache/trailwatch/models/yolo11n.pt")
    known = manifest()["yolo11n"]
    right = msgspec.structs.replace(known, sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(registry, "manifest", lambda: {"yolo11n": right})
    assert resolve_weights("yolo11n") == cached
    monkeypatch.setattr(registry, "manifest", lambda: {"yolo11n": msgspec.structs.replace(known, sha256="0" * 64)})
    with pytest.raises(SettingsError, match="not the publisher's"):
        resolve_weights("yolo11n")


def with_stand_in(tmp_path, monkeypatch):
    """A manifest that ships weights for simulation, whose file is in tmp_path."""
    monkeypatch.setattr(registry, "MANIFEST", tmp_path / "manifest.toml")
    (tmp_path / "own.pt").write_bytes(CONTENT)
    known = manifest()["yolo11n"]
    asked = msgspec.structs.replace(known, official_download=False)
    own = msgspec.structs.replace(
        known, name="own", file="own.pt", official_download=False, shipped=True, simulation=True,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setattr(registry, "manifest", lambda: {"yolo11n": asked, "own": own})
    return tmp_path / "own.pt"


def test_training_falls_back_to_the_shipped_weights_and_says_so(tmp_path, monkeypatch, caplog):
    own = with_stand_in(tmp_path, monkeypatch)
    with caplog.at_level("WARNING"):
        assert resolve_weights("yolo11n", training=True) == own
    assert "own.pt stands in, which knows rendered pictures alone" in caplog.text


def test_a_live_node_never_gets_weights_of_the_simulation_unasked(tmp_path, monkeypatch):
    with_stand_in(tmp_path, monkeypatch)
    with pytest.raises(SettingsError, match=r"no weights yolo11n\.pt found"):
        resolve_weights("yolo11n")


def test_training_prefers_the_real_weights_where_they_are(tmp_path, monkeypatch):
    with_stand_in(tmp_path, monkeypatch)
    cached = placed(tmp_path / "cache/trailwatch/models/yolo11n.pt")
    assert resolve_weights("yolo11n", training=True) == cached


def test_shipped_weights_that_were_changed_are_refused(tmp_path, monkeypatch):
    own = with_stand_in(tmp_path, monkeypatch)
    own.write_bytes(CONTENT + b"x")
    with pytest.raises(SettingsError, match="is not the"):
        resolve_weights("own")


def test_fetching_without_a_network_says_why_and_where_to_put_the_file(tmp_path, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(SettingsError) as caught:
        registry.fetch_weights("yolo11n")
    assert "was not fetched from https://github.com/ultralytics" in str(caught.value)
    assert "put it at" in str(caught.value) and "yolo11n.pt" in str(caught.value)


def test_asking_the_publisher_leaves_no_torch_in_a_nodes_process(tmp_path):
    code = """
        import sys
        from models.registry import resolve_weights
        try:
            resolve_weights("yolo11n", training=True)
        finally:
            print(sorted(n for n in ("torch", "ultralytics") if n in sys.modules))
    """
    nobody = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **nobody, "no_proxy": "", "NO_PROXY": "", "XDG_CACHE_HOME": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "the download failed" in said.stderr, "it was asked"
    assert said.stdout.strip() == "[]"
    assert not list((tmp_path / "trailwatch/models").iterdir()), "no half of a file is left"


def test_a_publisher_out_of_reach_is_noticed_before_a_downloader_is_started(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert registry.is_reachable("127.0.0.1", port)
    assert not registry.is_reachable("127.0.0.1", port), "nobody listens any more"
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert registry.is_reachable("127.0.0.1", port), "a proxy may reach what this machine does not"
