"""What a processor can do is read from what Linux tells, and eight bits are kept from AMX where there is that."""

import os

import pytest

from models import processor

XEON = (
    "processor\t: 0\nflags\t\t: fpu avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8\n"
    "\nprocessor\t: 1\nflags\t\t: fpu\n"
)
ZEN = "processor\t: 0\nmodel name\t: of flags and amx_int8\nflags\t\t: fpu avx512_vnni avx512_bf16\n"
SMALL = "processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


@pytest.fixture
def on(tmp_path, monkeypatch):
    monkeypatch.delenv(processor.ISA, raising=False)

    def this(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")

    yield this
    os.environ.pop(processor.ISA, None)


@pytest.mark.parametrize(("told", "bfloat16"), [(XEON, True), (ZEN, True), (SMALL, False), (ARM, False), ("", False)])
def test_bfloat16_is_where_the_processor_has_it(on, told, bfloat16):
    on(told)
    assert processor.has_bfloat16() is bfloat16


@pytest.mark.parametrize("told", [ZEN, SMALL, ARM, ""])
def test_without_amx_nothing_is_said(on, told):
    on(told)
    processor.take_vnni()
    assert processor.ISA not in os.environ


def test_with_amx_eight_bits_take_vnni_unless_the_administrator_says_otherwise(on, monkeypatch):
    on(XEON)
    processor.take_vnni()
    assert os.environ[processor.ISA] == "AVX512_CORE_VNNI"
    monkeypatch.setenv(processor.ISA, "DEFAULT")
    processor.take_vnni()
    assert os.environ[processor.ISA] == "DEFAULT"


def test_another_system_has_no_such_file(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    assert processor.flags() == frozenset()
