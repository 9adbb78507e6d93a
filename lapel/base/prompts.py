"""Text to what the UNet attends to: in one window of 77 tokens, or in several side by side, as WebUI makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

WINDOW = 75
"""Tokens of a prompt in one window; a start and an end token make 77."""

_LOOK_BACK = 20
"""WebUI breaks a window at a comma, where there is one among its last tokens."""


def encode_tokens(encoders: Sequence[Any], tokens: Sequence[Tensor]) -> dict[str, Tensor]:
    """Encode token numbers, with gradients.

    Args:
        encoders: a family's text encoders, one or two.
        tokens: (n, 77) for each.

    Returns:
        `prompt_embeds` (n, 77, c) and, of two encoders, `pooled_prompt_embeds` (n, d).
    """
    if len(encoders) == 1:
        return {"prompt_embeds": encoders[0](tokens[0].to(encoders[0].device))[0]}
    # SDXL (Podell et al., 2023): the last layer but one of both, side by side, and the second's pooled output.
    outputs = [
        encoder(ids.to(encoder.device), output_hidden_states=True)
        for encoder, ids in zip(encoders, tokens, strict=True)
    ]
    return {
        "prompt_embeds": torch.cat([output.hidden_states[-2] for output in outputs], dim=-1),
        "pooled_prompt_embeds": outputs[-1][0],
    }


def windows_of(tokenizer: Any, prompt: str) -> list[list[int]]:
    """A prompt's tokens in windows of at most 75, broken at a comma where one is near; one window at least."""
    numbers: list[int] = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    comma = tokenizer(",", add_special_tokens=False).input_ids[-1]
    windows = []
    while len(numbers) > WINDOW:
        near = [place for place in range(WINDOW - _LOOK_BACK, WINDOW) if numbers[place] == comma]
        end = near[-1] + 1 if near else WINDOW
        windows.append(numbers[:end])
        numbers = numbers[end:]
    return [*windows, numbers]


@torch.no_grad()
def encode_windows(
    tokenizers: Sequence[Any], encoders: Sequence[Any], prompts: Sequence[str], count: int
) -> dict[str, Tensor]:
    """Encode prompts of any length in `count` windows each; what is shorter is followed by empty ones.

    Returns:
        `prompt_embeds` (n, 77 * count, c) and, of two encoders, `pooled_prompt_embeds` (n, d), the first window's.

    Raises:
        ValueError: a prompt that takes more windows.
    """
    split = [[windows_of(tokenizer, prompt) for prompt in prompts] for tokenizer in tokenizers]
    if any(len(windows) > count for prompt_windows in split for windows in prompt_windows):
        raise ValueError(f"a prompt takes more than {count} windows")
    parts = []
    for place in range(count):
        tokens = [
            torch.tensor(
                [_framed(tokenizer, windows[place] if place < len(windows) else []) for windows in all_windows]
            )
            for tokenizer, all_windows in zip(tokenizers, split, strict=True)
        ]
        parts.append(encode_tokens(encoders, tokens))
    joined = {"prompt_embeds": torch.cat([part["prompt_embeds"] for part in parts], dim=1)}
    pooled = "pooled_prompt_embeds"
    return joined | ({pooled: parts[0][pooled]} if pooled in parts[0] else {})


def _framed(tokenizer: Any, numbers: Sequence[int] = ()) -> list[int]:
    padding = [tokenizer.pad_token_id] * (WINDOW - len(numbers))
    return [tokenizer.bos_token_id, *numbers, tokenizer.eos_token_id, *padding]


def skip_layers(encoder: Any, clip_skip: int) -> None:
    """Have a text encoder end before its last layers, as WebUI's clip skip counts: 1 leaves it whole, 2 drops one.

    The final norm stays, as it does there. `config.clip_skip` keeps the number.
    """
    layers = (encoder.text_model if hasattr(encoder, "text_model") else encoder).encoder
    kept = len(layers.layers) - (clip_skip - 1)
    layers.layers = layers.layers[:kept]
    encoder.config.num_hidden_layers = kept
    encoder.config.clip_skip = clip_skip
