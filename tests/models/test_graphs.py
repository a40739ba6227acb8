"""Which graph a node may run: only a whole one, and a faster precision only behind a check that allows it."""

import msgspec
import pytest

from models.graphs import (
    CARD,
    OBJECTS_LEAST,
    REFERENCE_LEAST,
    Check,
    GraphCard,
    Precision,
    fastest,
    find_graph,
    folder_name,
    graph_folders,
    objection_to,
    read_check,
    writable,
)
from models.registry import digest_of

SHA = "ab" * 32
ALL = frozenset({Precision.FP32, Precision.BF16, Precision.INT8})


def write_graph(root, stored, **changed):
    folder = root / folder_name(SHA, stored)
    folder.mkdir(parents=True)
    (folder / "graph.xml").write_text("<net/>")
    (folder / "graph.bin").write_bytes(b"numbers" + stored.value.encode())
    files = {name: digest_of(folder / name) for name in ("graph.xml", "graph.bin")}
    card = GraphCard("w.pt", SHA, stored, "1", "2", {0: "person"}, (8, 16, 32), files)
    (folder / CARD).write_bytes(msgspec.json.encode(msgspec.structs.replace(card, **changed)))
    return find_graph(SHA, stored, [root])


def write_check(graph, precision, map50=0.495, reference=0.5, objects=OBJECTS_LEAST, **changed):
    check = Check(precision, graph.digest, "w.pt", "labelled", 50, objects, 640, reference, map50)
    graph.check_file(precision).write_bytes(msgspec.json.encode(msgspec.structs.replace(check, **changed)))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "graphs"


@pytest.mark.parametrize("name", ["graph.xml", "graph.bin", CARD])
@pytest.mark.parametrize("hurt", ["gone", "cut", "empty"])
def test_a_graph_that_is_not_whole_is_none(root, name, hurt, caplog):
    graph = write_graph(root, Precision.FP32)
    assert graph is not None
    path = graph.folder / name
    if hurt == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if hurt == "cut" else b"")
    assert find_graph(SHA, Precision.FP32, [root]) is None
    assert "no whole graph" in caplog.text


def test_a_graph_of_other_weights_or_numbers_in_its_place_is_not_taken(root):
    assert write_graph(root, Precision.FP32, weights_sha256="cd" * 32) is None
    assert write_graph(root, Precision.INT8, precision=Precision.FP32) is None


def test_the_first_folder_that_has_it_gives_it(root, tmp_path):
    graph = write_graph(root, Precision.FP32)
    assert find_graph(SHA, Precision.BF16, [tmp_path / "none", root]) == graph, "bf16 is run from what is stored as fp32"


def test_without_a_check_the_fastest_is_fp32(root):
    assert fastest(SHA, [root], ALL) is Precision.FP32
    write_graph(root, Precision.FP32)
    write_graph(root, Precision.INT8)
    assert fastest(SHA, [root], ALL) is Precision.FP32
    assert objection_to(SHA, Precision.INT8, [root]) == "nobody has checked what it loses"


def test_the_fastest_whose_check_allows_it_and_by_which_the_processor_gains_is_taken(root):
    plain, eight = write_graph(root, Precision.FP32), write_graph(root, Precision.INT8)
    write_check(plain, Precision.BF16)
    assert fastest(SHA, [root], ALL) is Precision.BF16
    write_check(eight, Precision.INT8)
    assert fastest(SHA, [root], ALL) is Precision.INT8
    assert fastest(SHA, [root], ALL - {Precision.INT8}) is Precision.BF16
    assert fastest(SHA, [root], {Precision.FP32}) is Precision.FP32
    write_check(eight, Precision.INT8, map50=0.49)
    assert fastest(SHA, [root], ALL) is Precision.BF16, "a whole point is too much"
    assert "loses 1 points" in objection_to(SHA, Precision.INT8, [root])


@pytest.mark.parametrize(("changed", "says"), [
    ({"objects": OBJECTS_LEAST - 1}, "labelled objects"),
    ({"map50_reference": 0.0, "map50": 0.0}, "the weights themselves reach a mAP50 of 0 on labelled"),
    ({"map50_reference": 0.009, "map50": 0.0}, "the weights themselves reach a mAP50 of 0.009 on labelled"),
    ({"map50_reference": REFERENCE_LEAST - 0.001, "map50": REFERENCE_LEAST}, "no loss can be judged"),
    ({"map50": 0.3}, "loses 20 points"),
])
def test_a_check_that_says_too_little_or_too_bad_allows_nothing(root, changed, says):
    eight = write_graph(root, Precision.INT8)
    write_check(eight, Precision.INT8, **changed)
    assert says in objection_to(SHA, Precision.INT8, [root])


def test_weights_that_find_just_enough_can_be_judged_by(root):
    eight = write_graph(root, Precision.INT8)
    write_check(eight, Precision.INT8, reference=REFERENCE_LEAST, map50=REFERENCE_LEAST - 0.005)
    assert objection_to(SHA, Precision.INT8, [root]) == ""


def test_the_check_of_another_graph_or_precision_or_a_broken_one_is_none(root):
    eight = write_graph(root, Precision.INT8)
    write_check(eight, Precision.INT8, graph_sha256="0" * 64)
    assert read_check(eight, Precision.INT8) is None
    write_check(eight, Precision.INT8)
    eight.check_file(Precision.INT8).rename(eight.check_file(Precision.BF16))
    assert read_check(eight, Precision.BF16) is None
    eight.check_file(Precision.INT8).write_bytes(b"{")
    assert read_check(eight, Precision.INT8) is None


def test_graphs_are_made_in_the_cache_and_where_that_is_closed_in_the_nodes_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shared, own = graph_folders(tmp_path / "node")
    assert shared == tmp_path / "cache/trailwatch/graphs"
    assert writable((shared, own)) == shared
    (tmp_path / "shut").write_text("a file where the cache should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shut"))
    assert writable(graph_folders(tmp_path / "node")) == own
    assert writable(graph_folders(None)) is None
