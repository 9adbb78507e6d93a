"""Text to what the UNet attends to: in one window of 77 tokens, or in several side by side, as WebUI makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

WINDOW = 75
"""Tokens of a prompt in one window; a start and an end token make 77."""

_LOOK_BACK = 20
"""WebUI breaks a window at a comma, where there is one among its last tokens."""


def encode_tokens(encoders: Sequence[Any], tokens: Sequence[Tensor]) -> dict[str, Tensor]:
    """Encode token numbers, with gradients, each window by itself.

    Args:
        encoders: a family's text encoders, one or two.
        tokens: (n, windows, 77) for each.

    Returns:
        `prompt_embeds` (n, 77 * windows, c) and, of two encoders, `pooled_prompt_embeds` (n, d), the first window's.
    """
    n, windows, _ = tokens[0].shape
    flat = [ids.flatten(0, 1).to(encoder.device) for encoder, ids in zip(encoders, tokens, strict=True)]
    if len(encoders) == 1:
        return {"prompt_embeds": encoders[0](flat[0])[0].unflatten(0, (n, windows)).flatten(1, 2)}
    # SDXL (Podell et al., 2023): the last layer but one of both, side by side, and the second's pooled output.
    outputs = [encoder(ids, output_hidden_states=True) for encoder, ids in zip(encoders, flat, strict=True)]
    embeds = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return {
        "prompt_embeds": embeds.unflatten(0, (n, windows)).flatten(1, 2),
        "pooled_prompt_embeds": outputs[-1][0].unflatten(0, (n, windows))[:, 0],
    }


def has_new_words(tokenizer: Any, prompt: str) -> bool:
    """Whether a prompt says a word that a textual inversion brought."""
    special = set(tokenizer.all_special_tokens)
    return any(word in prompt.lower() for word in tokenizer.added_tokens_encoder if word not in special)


def windows_of(tokenizer: Any, prompt: str) -> list[list[int]]:
    """A prompt's tokens in windows of at most 75, broken at a comma where one is near; one window at least.

    The word of a textual inversion is as many tokens as it has vectors.
    """
    if has_new_words(tokenizer, prompt):
        from diffusers.loaders import TextualInversionLoaderMixin

        prompt = TextualInversionLoaderMixin().maybe_convert_prompt(prompt.lower(), tokenizer)
    numbers: list[int] = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    comma = tokenizer(",", add_special_tokens=False).input_ids[-1]
    windows = []
    while len(numbers) > WINDOW:
        near = [place for place in range(WINDOW - _LOOK_BACK, WINDOW) if numbers[place] == comma]
        end = near[-1] + 1 if near else WINDOW
        windows.append(numbers[:end])
        numbers = numbers[end:]
    return [*windows, numbers]


def windows_taken(tokenizers: Sequence[Any], prompts: Iterable[str]) -> int:
    """How many windows the longest of the prompts takes."""
    return max(len(windows_of(tokenizer, prompt)) for prompt in prompts for tokenizer in tokenizers)


def tokens_of(tokenizers: Sequence[Any], prompts: Sequence[str], count: int) -> list[Tensor]:
    """Token numbers (n, count, 77) for each tokenizer; after a prompt's own windows come empty ones.

    Raises:
        ValueError: a prompt that takes more windows.
    """
    found = []
    for tokenizer in tokenizers:
        split = [windows_of(tokenizer, prompt) for prompt in prompts]
        if any(len(windows) > count for windows in split):
            raise ValueError(f"a prompt takes more than {count} windows")
        padded = [[*windows, *[[]] * (count - len(windows))] for windows in split]
        found.append(torch.tensor([[_framed(tokenizer, window) for window in windows] for windows in padded]))
    return found


@torch.no_grad()
def encode_windows(
    tokenizers: Sequence[Any], encoders: Sequence[Any], prompts: Sequence[str], count: int
) -> dict[str, Tensor]:
    """`encode_tokens` of prompts of any length, in `count` windows each; without gradients.

    Raises:
        ValueError: a prompt that takes more windows.
    """
    return encode_tokens(encoders, tokens_of(tokenizers, prompts, count))


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
