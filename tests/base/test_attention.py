"""Attention by rows gives what the fused kernel gives, and is as near to exact numbers within its precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from lapel.base import attention
from lapel.base.attention import RowsAttnProcessor, by_rows


def drawn(*shapes: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    chance = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=chance).to(dtype) for shape in shapes]


def with_gradients(function: Any, inputs: list[Tensor], gradient: Tensor) -> list[Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    made = function(*leaves)
    return [made.detach(), *torch.autograd.grad(made, leaves, gradient)]


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_in_fp64_it_is_exact_however_many_rows_go_at_a_time(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_SCORES", rows * 50)
    queries, keys, values, gradient = drawn((3, 60, 8), (3, 50, 8), (3, 50, 6), (3, 60, 6), dtype=torch.float64)
    ours = with_gradients(by_rows, [queries, keys, values], gradient)
    exact = with_gradients(F.scaled_dot_product_attention, [queries, keys, values], gradient)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def far(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def test_in_bf16_it_is_within_that_precision() -> None:
    """Two roundings of scores and shares more than the fused kernel has: each half of 2⁻⁸."""
    shapes = [(4, 900, 40)] * 4
    *inputs, gradient = drawn(*shapes, dtype=torch.bfloat16)
    exact = with_gradients(F.scaled_dot_product_attention, [tensor.double() for tensor in inputs], gradient.double())
    ours = with_gradients(by_rows, inputs, gradient)
    for one, other in zip(ours, exact, strict=True):
        assert far(one, other) < 2**-7


def layer(**changes: Any) -> Attention:
    torch.manual_seed(0)
    return Attention(64, heads=4, dim_head=16, **changes).to(torch.bfloat16)


@pytest.mark.parametrize("places", [600, 100])
@pytest.mark.parametrize("changes", [{}, {"residual_connection": True}, {"rescale_output_factor": 2.0}], ids=str)
def test_a_layer_answers_as_diffusers_own_does(places: int, changes: dict[str, Any]) -> None:
    hidden, gradient = drawn((2, places, 64), (2, places, 64), dtype=torch.bfloat16)
    found = []
    for processor in (RowsAttnProcessor(), AttnProcessor2_0()):
        one = layer(**changes)
        one.set_processor(processor)
        answer, of_hidden = with_gradients(one, [hidden], gradient)
        found.append([answer, of_hidden])
    for ours, usual in zip(*found, strict=True):
        assert far(ours, usual.double()) < 2**-6
        assert (places > 500 and not changes) or torch.equal(ours, usual)


def test_words_and_other_precisions_go_the_usual_way() -> None:
    words = drawn((2, 77, 64), dtype=torch.bfloat16)[0]
    hidden = drawn((2, 600, 64), dtype=torch.bfloat16)[0]
    ours, usual = layer(), layer()
    ours.set_processor(RowsAttnProcessor())
    usual.set_processor(AttnProcessor2_0())
    assert torch.equal(ours(hidden, words), usual(hidden, words))
    assert torch.equal(ours.float()(hidden.float()), usual.float()(hidden.float()))
