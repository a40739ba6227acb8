"""Heights of different datums do not mix, in the type checker and at run time."""

import subprocess
import sys

import msgspec
import pytest

from wire.units import HeightAgl, HeightEllipsoid, HeightMsl, Position


def test_heights_of_different_datums_do_not_add():
    with pytest.raises(TypeError):
        HeightMsl(100.0) + HeightAgl(20.0)


def test_the_type_checker_refuses_to_add_heights(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text("from wire.units import HeightAgl, HeightMsl\nx = HeightMsl(1.0) + HeightAgl(2.0)\n")
    out = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"), str(sample)],
        capture_output=True, text=True, timeout=120,
    ).stdout
    assert "Unsupported left operand type for +" in out


@pytest.mark.parametrize("height", [HeightMsl(12.5), HeightAgl(3.0), HeightEllipsoid(-20.0)])
def test_a_position_keeps_its_datum_over_the_wire(height):
    position = Position(16.6, 106.6, height)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(position), type=Position) == position
    assert msgspec.json.decode(msgspec.json.encode(position), type=Position) == position
