"""The trainers as a plan sees them: their settings, and their own loss of a batch."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lapel.settings import read_settings
from lapel.training import encoder_facts, facts, tuning_facts

if TYPE_CHECKING:
    from lapel.training.plan import Recipe

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Callable[..., Any]] = {
    "lora": facts.Settings,
    "dreambooth": tuning_facts.Settings,
    "garment_encoder": encoder_facts.Settings,
}
"""The settings of each trainer, by the name of its program."""
_NO_PHOTOS = {"garment_encoder": ("--catalogue", "wardrobe:2")}
"""A plan looks at none; a folder that is given wins."""


@functools.cache
def load_trainer(name: str) -> ModuleType:
    """A trainer's program, for its settings and its loss: the plan runs the very same."""
    spec = importlib.util.spec_from_file_location(f"trainer_{name}", ROOT / "trainers" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings_of(name: str, argv: Sequence[str] = (), *others: type, doc: str = "") -> tuple[Any, ...]:
    """A trainer's settings by its command line, of which nothing is needed, and those of other classes beside them."""
    classes = load_trainer(name).CLASSES
    photos = _NO_PHOTOS.get(name, ("--garment_dir", "."))
    parts = read_settings(doc, *classes, *others, argv=[*photos, *argv])
    settings = SETTINGS[name](*parts[: len(classes)])
    if name == "dreambooth":
        settings.require_sound()
    return settings, *parts[len(classes) :]


def recipe_of(settings: Any) -> Recipe:
    """What the trainer of these settings puts into a base and minimises."""
    from lapel.training.plan import dreambooth_recipe, encoder_recipe, lora_recipe

    if isinstance(settings, facts.Settings):
        return lora_recipe(settings, load_trainer("lora").denoising_loss)
    if isinstance(settings, tuning_facts.Settings):
        return dreambooth_recipe(settings, load_trainer("dreambooth").denoising_loss)
    return encoder_recipe(settings, load_trainer("garment_encoder").pair_loss)
