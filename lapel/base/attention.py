"""Self-attention for a processor's bf16: the fused kernel of torch 2.14 multiplies there at a fifth of the matrix rate.

Written out for one head and a few rows of queries at a time, so that what is in between stays in the cache, its
products run at the rate that others do. Nothing is kept for the backward pass but queries, keys, values and the output,
as the fused kernel has it (Dao et al., 2022): the rows are computed again.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

_SCORES = 2**20
"""Scores in between at a time: 2 MB of them."""
_SHORTEST = 512
"""Of a picture's places, from which on it pays."""


class RowsAttnProcessor(AttnProcessor2_0):
    """diffusers' processor, whose self-attention over many places goes by rows; anything else goes its own way."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        usual = encoder_hidden_states is not None or attention_mask is not None or hidden_states.dim() != 3
        if usual or hidden_states.shape[1] < _SHORTEST or _is_special(attn):
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs)
        heads: list[Tensor] = []
        for project in (attn.to_q, attn.to_k, attn.to_v):
            made = project(hidden_states)
            if made.dtype != torch.bfloat16:
                return super().__call__(attn, hidden_states, None, None, *args, **kwargs)
            heads.append(made.unflatten(-1, (attn.heads, -1)).transpose(1, 2).flatten(0, 1).contiguous())
        seen = by_rows(*heads).unflatten(0, (-1, attn.heads)).transpose(1, 2).flatten(2)
        for layer in attn.to_out:
            seen = layer(seen)
        return seen


def _is_special(attn: Any) -> bool:
    """Whether an attention does more than those of a UNet's transformer blocks."""
    norms = (attn.spatial_norm, attn.group_norm, attn.norm_q, attn.norm_k)
    more = any(norm is not None for norm in norms)
    return more or attn.residual_connection or attn.rescale_output_factor != 1.0


def by_rows(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys' / sqrt(d)) values of each head: (heads, n, d), (heads, m, d) and (heads, m, e) to
    (heads, n, e), in their precision."""
    made: Tensor = _Rows.apply(queries, keys, values)
    return made


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries = queries * queries.shape[-1] ** -0.5
        made = queries.new_empty(*queries.shape[:2], values.shape[-1])
        for head, some in _pieces(queries, keys):
            shares = (queries[head, some] @ keys[head].T).softmax(-1)
            torch.mm(shares, values[head], out=made[head, some])
        ctx.save_for_backward(queries, keys, values, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        queries, keys, values, made = ctx.saved_tensors
        gradient = gradient.contiguous()
        # What a softmax's gradient lacks of its sum is the same for a whole row: that of output times gradient.
        wide = torch.promote_types(gradient.dtype, torch.float32)
        common = (gradient.to(wide) * made).sum(-1, keepdim=True).to(gradient.dtype)
        of_queries = torch.empty_like(queries)
        of_keys, of_values = (torch.zeros_like(one, dtype=wide) for one in (keys, values))
        for head, some in _pieces(queries, keys):
            own, asked = gradient[head, some], queries[head, some]
            shares = (asked @ keys[head].T).softmax(-1)
            of_values[head] += shares.T @ own
            of_scores = (own @ values[head].T).sub_(common[head, some]).mul_(shares)
            torch.mm(of_scores, keys[head], out=of_queries[head, some])
            of_keys[head] += of_scores.T @ asked
        of_queries *= queries.shape[-1] ** -0.5
        return of_queries, of_keys.to(keys.dtype), of_values.to(values.dtype)


def _pieces(queries: Tensor, keys: Tensor) -> list[tuple[int, slice]]:
    """Every head, in pieces of so many rows that a piece's scores are few."""
    rows = max(1, _SCORES // keys.shape[1])
    starts = range(0, queries.shape[1], rows)
    return [(head, slice(start, start + rows)) for head in range(len(queries)) for start in starts]
