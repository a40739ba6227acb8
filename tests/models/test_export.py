"""What is missing for an export is named; nothing is installed."""

import importlib.util

import pytest

from models.export import Form, Precision, export_weights, missing_packages
from wire.settings import SettingsError


def test_missing_exporters_are_named_with_the_command_that_installs_them(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    weights = tmp_path / "w.pt"
    with pytest.raises(SettingsError, match=r"needs openvino and nncf\. Install: \S+ -m pip install openvino nncf"):
        export_weights(weights, Form.OPENVINO, Precision.INT8, (384, 640), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_what_the_form_needs_is_asked_for(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert missing_packages(Form.ONNX, Precision.FP32) == ("onnx",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert missing_packages(Form.OPENVINO, Precision.INT8) == ()


def test_eight_bits_without_pictures_and_odd_sizes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(SettingsError, match="int8 needs --calibration"):
        export_weights(tmp_path / "w.pt", Form.ONNX, Precision.INT8, (384, 640), tmp_path)
    with pytest.raises(SettingsError, match="multiples of 32"):
        export_weights(tmp_path / "w.pt", Form.ONNX, Precision.FP32, (380, 640), tmp_path)
