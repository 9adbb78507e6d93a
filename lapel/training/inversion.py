"""Textual inversion of the trigger (Gal et al., 2022), before anything else learns.

The trigger becomes a new word of as many tokens as it has vectors; these learn what of the garment words can hold, and
the LoRA or the fine-tuning that follows starts from there (pivotal tuning; Roich et al., 2021).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lapel.base.base import Base
from lapel.base.embeddings import Embedding, knows, read_embedding, rows_of, save_embedding, teach
from lapel.errors import UserError
from lapel.files import sha256
from lapel.photos import GarmentFolder
from lapel.training.data import Batches
from lapel.training.encoding import text_of
from lapel.training.facts import GarmentSettings
from lapel.training.losses import photo_loss
from lapel.training.objective import Objective
from lapel.training.predict import predictor

if TYPE_CHECKING:
    from accelerate import Accelerator

_APART = 1_000_000
"""Steps of the inversion are counted from here, so that their noise is not seen again afterwards."""


def learn_word(
    settings: GarmentSettings,
    base: Base,
    objective: Objective,
    garment: GarmentFolder,
    batches: Batches,
    accelerator: Accelerator,
    cache_dir: Path,
    folder: Path,
) -> None:
    """Have the base learn the trigger, write `<trigger>.safetensors` into the run folder, and name it in the settings.

    A word that the settings name already, or that the run which resumes has learned before, is not learned again.

    Raises:
        UserError: a trigger that is no new word, or that learned nothing finite.
    """
    word, file = garment.trigger, folder / f"{garment.trigger}.safetensors"
    if word in base.embeddings:
        return
    if not re.fullmatch(r"[a-z0-9_-]+", word):
        raise UserError(f"--trigger {word}: a word to be learned takes small letters, digits, - and _ only")
    if knows(base, word):
        raise UserError(f"--trigger {word}: the base knows this word already; give another one, such as emb-{word}")
    if settings.run.resume and file.is_file():
        teach(base, read_embedding(file))
    else:
        vectors = _invert(settings, base, objective, garment, batches, accelerator, cache_dir)
        if accelerator.is_main_process:
            save_embedding(file, word, vectors)
        accelerator.wait_for_everyone()
        for encoder, tokenizer, learned in zip(base.text_encoders, base.tokenizers, vectors, strict=True):
            encoder.get_input_embeddings().weight.data[rows_of(tokenizer, word)] = learned.to(encoder.dtype)
    base.embeddings[word] = sha256(file)
    settings.base.embedding = [*settings.base.embedding, file]


def _invert(
    settings: GarmentSettings,
    base: Base,
    objective: Objective,
    garment: GarmentFolder,
    batches: Batches,
    accelerator: Accelerator,
    cache_dir: Path,
) -> list[Tensor]:
    """The vectors (n, width) for each text encoder, after all steps; the base knows the word then."""
    asked = settings.inversion
    start = [
        _first_guess(*both, garment.class_word, asked.inversion_vectors, settings.optimizer.seed)
        for both in zip(base.tokenizers, base.text_encoders, strict=True)
    ]
    teach(base, Embedding(Path(garment.trigger), garment.trigger, start))
    vectors = [nn.Parameter(guess.to(base.device)) for guess in start]
    optimizer = torch.optim.AdamW(vectors, lr=asked.inversion_learning_rate, weight_decay=0.0)
    text = text_of(base, batches.captions, False, cache_dir)
    loss_of = photo_loss(objective, predictor(base, text, accelerator), None)
    steps = tqdm(range(asked.inversion_steps), desc="inversion", unit="step", disable=not accelerator.is_main_process)
    with _in_place(base, garment.trigger, vectors):
        for step in steps:
            loss = loss_of(batches.draw(_APART + step))
            accelerator.backward(loss)
            for vector in vectors:
                if accelerator.num_processes > 1 and vector.grad is not None:
                    vector.grad = accelerator.reduce(vector.grad, "mean")
            optimizer.step()
            optimizer.zero_grad()
            if step % settings.run.log_every == 0:
                steps.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    if not all(vector.isfinite().all() for vector in vectors):
        raise UserError("the trigger's vectors are not finite (NaN or infinity): try a lower --inversion_learning_rate")
    return [vector.detach() for vector in vectors]


def _first_guess(tokenizer: Any, encoder: Any, class_word: str, count: int, seed: int) -> Tensor:
    """`count` vectors near those of the class word, fp32."""
    numbers = tokenizer(class_word, add_special_tokens=False).input_ids
    known = encoder.get_input_embeddings().weight.detach().float().cpu()
    chance = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, known.shape[1], generator=chance)
    return known[numbers].mean(dim=0) + 0.1 * known.std() * noise


@contextmanager
def _in_place(base: Base, word: str, vectors: Sequence[Tensor]) -> Iterator[None]:
    """Within the block, the text encoders look the word up in these vectors, so that gradients reach them."""

    def look_up(rows: Tensor, vector: Tensor) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            found = args[0][..., None] == rows
            learned = found.to(vector.dtype) @ vector
            return torch.where(found.any(-1, keepdim=True), learned.to(output.dtype), output)

        return hook

    with ExitStack() as stack:
        for tokenizer, encoder, vector in zip(base.tokenizers, base.text_encoders, vectors, strict=True):
            rows = torch.tensor(rows_of(tokenizer, word), device=vector.device)
            handle = encoder.get_input_embeddings().register_forward_hook(look_up(rows, vector))
            stack.callback(handle.remove)
        yield


def kept_word(settings: GarmentSettings, base: Base, folder: Path) -> list[Path]:
    """The trigger's file, written anew where a text encoder has learned on; none where no word was learned.

    Raises:
        RuntimeError: the file does not give the vectors back.
    """
    if not settings.inversion.inversion_steps:
        return []
    file = settings.base.embedding[-1]
    word = read_embedding(file).word
    if any(encoder.get_input_embeddings().weight.requires_grad for encoder in base.text_encoders):
        pairs = list(zip(base.tokenizers, base.text_encoders, strict=True))
        weights = [encoder.get_input_embeddings().weight[rows_of(tokenizer, word)] for tokenizer, encoder in pairs]
        save_embedding(file, word, weights)
        base.embeddings[word] = sha256(file)
        read = read_embedding(file).vectors
        if not all(torch.equal(one, other.detach().float().cpu()) for one, other in zip(read, weights, strict=True)):
            raise RuntimeError(f"{file}: the vectors read back are not those that were learned")
    return [file]
