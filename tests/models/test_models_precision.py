"""Half precision on processors that have no instructions for it."""

import pytest
import torch

from wsol.models.precision import emulated


def on(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_a_cpu_with_the_instructions_needs_no_word(monkeypatch, name):
    on(monkeypatch, avx512_f=True, **{name: True})
    assert emulated("cpu", "bf16") is None
    assert "no fp16 arithmetic" in emulated("cpu", "fp16")


def test_one_without_is_told(monkeypatch):
    on(monkeypatch, avx512_f=True, avx512_bf16=False, fp16_arith=True)
    assert "no bf16 arithmetic" in emulated("cpu", "bf16")
    assert emulated("cpu", "fp32") is emulated("cuda:0", "bf16") is emulated("cpu", "fp16") is None


def test_nothing_is_claimed_where_torch_cannot_tell(monkeypatch):
    on(monkeypatch)
    assert emulated("cpu", "bf16") is None
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert emulated("cpu", "bf16") is None
