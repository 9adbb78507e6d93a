"""Textual inversions (Gal et al., 2022): words that a base does not know, as files of vectors. Imports nothing heavy.

A1111, .safetensors     emb_params (n, width); the file's name is the word
A1111, .pt and .bin     string_to_param, a table of one such tensor
SDXL                    clip_l (n, 768) and clip_g (n, 1280)
diffusers               one tensor (n, width) or (width,), whose name is the word
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.weights import PICKLES, open_weights, read_header, read_pickle
from lapel.errors import UserError
from lapel.files import save_tensors, sha256

if TYPE_CHECKING:
    from torch import Tensor

    from lapel.base.base import Base

_A1111, _SDXL = "emb_params", ("clip_l", "clip_g")
_MOST = 75
"""Vectors that a window has room for."""


@dataclass(frozen=True)
class Embedding:
    """A word for each text encoder, in one vector or several."""

    path: Path
    word: str
    """In lower case, as CLIP reads all text."""
    vectors: list[Tensor]
    """(n, width) for each text encoder of the base that it is made for, in fp32."""


def check_embeddings(paths: Iterable[Path]) -> None:
    """What can be said at once against files of textual inversions, from their headers alone.

    Raises:
        UserError: every file that is missing, damaged or something else, a line each.
    """
    findings: list[str] = []
    for path in paths:
        try:
            if not path.is_file():
                raise UserError(f"{path}: no such file; --embedding takes textual inversions (.safetensors, .pt, .bin)")
            if path.suffix not in PICKLES:  # to look into a pickle takes torch
                _kind(path, [name for name in read_header(path) if name != "__metadata__"])
        except UserError as error:
            findings += error.lines
    if findings:
        raise UserError(*findings)


def read_embedding(path: Path) -> Embedding:
    """The vectors of a textual inversion.

    Raises:
        UserError: the file is missing, damaged, needs more than tensors to be read, or holds no textual inversion.
    """
    check_embeddings([path])
    if path.suffix in PICKLES:
        content = read_pickle(path)
        table = content.get("string_to_param") if isinstance(content, dict) else None
        if isinstance(table, dict) and len(table) == 1:
            content = {_A1111: next(iter(table.values()))}
    else:
        file = open_weights(path)
        content = file.read(file.shapes)
    tensors = _tensors(content)
    _kind(path, tensors)
    vectors = [tensors[name] for name in _SDXL if name in tensors] or list(tensors.values())
    word = path.stem if len(vectors) == 2 or _A1111 in tensors else next(iter(tensors))
    vectors = [vector.detach().float().reshape(-1, vector.shape[-1]) for vector in vectors if vector.dim() in (1, 2)]
    if not vectors or len({len(vector) for vector in vectors}) != 1 or not 1 <= len(vectors[0]) <= _MOST:
        raise UserError(f"{path}: not a textual inversion (1 to {_MOST} vectors, for each text encoder alike)")
    if not all(vector.isfinite().all() for vector in vectors):
        raise UserError(f"{path}: has numbers that are not finite (NaN or infinity); do not use this file")
    return Embedding(path, word.lower(), vectors)


def _tensors(content: Any) -> dict[str, Tensor]:
    import torch

    if not isinstance(content, dict):
        return {}
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}


def _kind(path: Path, names: Iterable[str]) -> None:
    """Refuse a file whose tensors are no textual inversion's."""
    names = set(names)
    if names != set(_SDXL) and len(names) != 1:
        raise UserError(
            f"{path}: not a textual inversion ({len(names)} tensors, where it has one, or clip_l and clip_g)"
        )


def embed(base: Base, paths: Iterable[Path]) -> None:
    """Teach a base's tokenizers and text encoders the words, with diffusers' own loader; `base.embeddings` names them.

    Raises:
        UserError: a file that cannot be read, is made for another family, or whose word the base knows already.
    """
    base.embeddings = {}
    for path in paths:
        embedding = read_embedding(path)
        teach(base, embedding)
        base.embeddings[embedding.word] = sha256(path)


def teach(base: Base, embedding: Embedding) -> None:
    """Teach a base's tokenizers and text encoders one word.

    Raises:
        UserError: it is made for another family, or the base knows the word already.
    """
    _require_fit(base, embedding)
    pipeline = base.pipeline()
    for tokenizer, encoder, vectors in zip(base.tokenizers, base.text_encoders, embedding.vectors, strict=True):
        encoder.resize_token_embeddings(len(tokenizer) + len(vectors), mean_resizing=False)
        pipeline.load_textual_inversion(
            vectors.to(encoder.dtype), token=embedding.word, tokenizer=tokenizer, text_encoder=encoder
        )
        encoder.requires_grad_(False)


def knows(base: Base, word: str) -> bool:
    """Whether a word is a single token of the base's already, or that of a textual inversion."""
    known = base.tokenizers[0].get_vocab()
    return any(name in known for name in (word, f"{word}_1", f"{word}</w>"))


def rows_of(tokenizer: Any, word: str) -> list[int]:
    """The numbers of the tokens that a taught word stands for."""
    known = tokenizer.get_added_vocab()
    names = [word, *(f"{word}_{number}" for number in range(1, _MOST))]
    return [known[name] for name in names if name in known]


def save_embedding(path: Path, word: str, vectors: list[Tensor]) -> None:
    """Write a textual inversion that WebUI, ComfyUI and diffusers read; the file's stem should be the word.

    Args:
        vectors: (n, width) for each text encoder of the base.
    """
    names = _SDXL if len(vectors) == 2 else (word,)
    tensors = {name: vector.detach().float().cpu().contiguous() for name, vector in zip(names, vectors, strict=True)}
    save_tensors(path, tensors, {"format": "pt"})


def _require_fit(base: Base, embedding: Embedding) -> None:
    widths = [encoder.get_input_embeddings().weight.shape[1] for encoder in base.text_encoders]
    found = [vectors.shape[1] for vectors in embedding.vectors]
    if found != widths:
        wide, wanted = (" and ".join(map(str, sizes)) for sizes in (found, widths))
        raise UserError(f"{embedding.path}: {wide} numbers wide, where this {base.family.title} base has {wanted}")
    if knows(base, embedding.word):
        raise UserError(f"{embedding.path}: the base knows a word '{embedding.word}' already; rename the file")
