"""Text to what the UNet attends to: in one window of 77 tokens, or in several side by side, as WebUI makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lapel.base.emphasis import Piece

WINDOW = 75
"""Tokens of a prompt in one window; a start and an end token make 77."""

_MOST_BACK = 4.0
"""A window's mean does not change by more through weights that anybody uses."""

Prompt = str | Sequence[Piece]
"""A text as it is, such as a caption, or a prompt whose pieces have weights."""


class Token(NamedTuple):
    """A token's number, and how much what it is encoded to counts."""

    number: int
    weight: float = 1.0


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


def windows_of(tokenizer: Any, prompt: Prompt) -> list[list[Token]]:
    """A prompt's tokens in windows of at most 75, broken at a comma where one is near; one window at least.

    The word of a textual inversion is as many tokens as it has vectors.
    """
    windows: list[list[Token]] = []
    tokens: list[Token] = []
    for piece in [Piece(prompt)] if isinstance(prompt, str) else prompt:
        if piece.breaks:
            windows += _split(tokenizer, tokens)
            tokens = []
        tokens += [Token(number, piece.weight) for number in _numbers(tokenizer, piece.text)]
    return windows + _split(tokenizer, tokens)


def _numbers(tokenizer: Any, text: str) -> list[int]:
    if has_new_words(tokenizer, text):
        from diffusers.loaders import TextualInversionLoaderMixin

        text = TextualInversionLoaderMixin().maybe_convert_prompt(text.lower(), tokenizer)
    return tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids


def _split(tokenizer: Any, tokens: list[Token]) -> list[list[Token]]:
    comma = tokenizer(",", add_special_tokens=False).input_ids[-1]
    windows = []
    while len(tokens) > WINDOW:
        near = [place for place in range(WINDOW - _LOOK_BACK, WINDOW) if tokens[place].number == comma]
        end = near[-1] + 1 if near else WINDOW
        windows.append(tokens[:end])
        tokens = tokens[end:]
    return [*windows, tokens]


def windows_taken(tokenizers: Sequence[Any], prompts: Iterable[Prompt]) -> int:
    """How many windows the longest of the prompts takes."""
    return max(len(windows_of(tokenizer, prompt)) for prompt in prompts for tokenizer in tokenizers)


def tokens_of(tokenizers: Sequence[Any], prompts: Sequence[Prompt], count: int) -> list[Tensor]:
    """Token numbers (n, count, 77) for each tokenizer; after a prompt's own windows come empty ones.

    Raises:
        ValueError: a prompt that takes more windows.
    """
    found = []
    for tokenizer in tokenizers:
        padded = [_padded(tokenizer, prompt, count) for prompt in prompts]
        found.append(torch.tensor([[_framed(tokenizer, window) for window in windows] for windows in padded]))
    return found


def _padded(tokenizer: Any, prompt: Prompt, count: int) -> list[list[Token]]:
    windows = windows_of(tokenizer, prompt)
    if len(windows) > count:
        raise ValueError(f"a prompt takes more than {count} windows")
    return [*windows, *[[]] * (count - len(windows))]


@torch.no_grad()
def encode_windows(
    tokenizers: Sequence[Any], encoders: Sequence[Any], prompts: Sequence[Prompt], count: int
) -> dict[str, Tensor]:
    """`encode_tokens` of prompts of any length, in `count` windows each, weighed; without gradients.

    Raises:
        ValueError: a prompt that takes more windows.
    """
    text = encode_tokens(encoders, tokens_of(tokenizers, prompts, count))
    widths = [encoder.config.hidden_size for encoder in encoders]
    parts = text["prompt_embeds"].unflatten(1, (count, WINDOW + 2)).split(widths, dim=-1)
    weighed = [
        _weigh(part, torch.tensor([[_weights(window) for window in _padded(each, p, count)] for p in prompts]))
        for part, each in zip(parts, tokenizers, strict=True)
    ]
    return text | {"prompt_embeds": torch.cat(weighed, dim=-1).flatten(1, 2)}


def _weigh(embeds: Tensor, weights: Tensor) -> Tensor:
    """Tokens (n, windows, 77, c) by their weights (n, windows, 77), as WebUI weighs: a window's mean stays as it was.

    A window without weights stays bit for bit. A mean that is all but 0, as in encoders of random weights, cannot be
    brought back; then the tokens are weighed alone.
    """
    weights = weights.to(embeds.device)
    weighed = embeds.float() * weights[..., None]
    means = embeds.float().mean(dim=(2, 3), keepdim=True), weighed.mean(dim=(2, 3), keepdim=True)
    back = means[0] / means[1]
    weighed = (weighed * torch.where((back > 1 / _MOST_BACK) & (back < _MOST_BACK), back, 1.0)).to(embeds.dtype)
    return torch.where((weights != 1).any(dim=2)[..., None, None], weighed, embeds)


def _weights(window: Sequence[Token]) -> list[float]:
    return [1.0, *(token.weight for token in window), *[1.0] * (WINDOW + 1 - len(window))]


def _framed(tokenizer: Any, window: Sequence[Token]) -> list[int]:
    padding = [tokenizer.pad_token_id] * (WINDOW - len(window))
    return [tokenizer.bos_token_id, *(token.number for token in window), tokenizer.eos_token_id, *padding]


def skip_layers(encoder: Any, clip_skip: int) -> None:
    """Have a text encoder end before its last layers, as WebUI's clip skip counts: 1 leaves it whole, 2 drops one.

    The final norm stays, as it does there. `config.clip_skip` keeps the number.
    """
    layers = (encoder.text_model if hasattr(encoder, "text_model") else encoder).encoder
    kept = len(layers.layers) - (clip_skip - 1)
    layers.layers = layers.layers[:kept]
    encoder.config.num_hidden_layers = kept
    encoder.config.clip_skip = clip_skip
