"""Where requests are carried out: what two of them have in common is loaded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.settings import BaseSettings
from lapel.generation.outfit import Outfit, put_on
from lapel.generation.parsed import heard_looks
from lapel.generation.retouching import Retouching, RetouchSettings
from lapel.photos.captions import class_word_of

if TYPE_CHECKING:
    from lapel.base.base import Base, PipelineKind
    from lapel.generation.denoise import GarmentPhotos
    from lapel.photos.masks.models import MaskModel
    from lapel.photos.people.looks import Looks
    from lapel.photos.people.pose import Pose
    from lapel.photos.people.shape import Shape

MakeRetouch = Callable[[RetouchSettings, list[Path], str, "Pose | None", "Shape"], Retouching]
"""Takes the settings, photos of the garment, its class word, the person's pose and the garment's shape."""


@dataclass
class Studio:
    """Keeps the last base, its ControlNets and what it wears, and the models of masks, for one request after the other.

    Not for several at once: a base wears one outfit.
    """

    load_mask_model: Callable[[str | None], MaskModel | None]
    """Loads what `mask_model` names."""
    make_retouch: MakeRetouch
    device: str | None = None
    """Where models compute: the first GPU where there is one, unless given."""
    _base: Base | None = field(default=None, init=False, repr=False)
    _settings: BaseSettings | None = field(default=None, init=False, repr=False)
    _attention: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """The base's own attention processors, whose place an encoder's take."""
    _networks: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _mask_models: dict[str | None, MaskModel | None] = field(default_factory=dict, init=False, repr=False)
    _looks: dict[tuple[str, str], Looks] = field(default_factory=dict, init=False, repr=False)
    _worn: tuple[Any, Any, GarmentPhotos | None] | None = field(default=None, init=False, repr=False)
    """What tells the outfit from others, the pipeline that wears it, and what its encoder is shown."""
    _comes_off: bool = field(default=True, init=False, repr=False)
    """Whether what is worn can be taken off again."""
    _bare: bool = field(default=True, init=False, repr=False)
    """Whether the base is as it was loaded."""

    def base(self, settings: BaseSettings) -> Base:
        """The base of these settings, wearing whatever it wears.

        Raises:
            UserError: it cannot be loaded.
        """
        import torch

        from lapel.base.load import load_base

        if self._base is None or not self._keeps(settings):
            self.clear()
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            self._base = load_base(settings, device)
            self._settings, self._attention = replace(settings), dict(self._base.unet.attn_processors)
        return self._base

    def _keeps(self, settings: BaseSettings) -> bool:
        """Whether the base that is kept is the one of these settings: a card may state what the base's files say."""
        kept, base = self._settings, self._base
        assert kept is not None and base is not None
        stated = {
            name: getattr(kept, name)
            for name in ("prediction_type", "zero_terminal_snr")
            if getattr(kept, name) is None and getattr(settings, name) == getattr(base, name)
        }
        return replace(settings, **stated) == kept

    def clear(self) -> None:
        """Give up the base and what goes with it."""
        self._base, self._settings, self._worn, self._bare = None, None, None, True
        self._networks.clear()
        self._looks.clear()

    def put_on(self, outfit: Outfit, kind: PipelineKind, prompt: str) -> tuple[Base, Any, GarmentPhotos | None]:
        """The outfit's base, its pipeline that wears the outfit and nothing else, and what an encoder is shown.

        Args:
            prompt: as `lapel.generation.outfit.put_on` has it.

        Raises:
            UserError: a base that cannot be loaded, or something that was made for another one.
        """
        asked = _told_apart(outfit, kind, prompt)
        if self._worn is None or self._worn[0] != asked:
            self._undress()
            base, self._bare = self.base(outfit.base), False
            pipeline, photos, comes_off = put_on(outfit, base, kind, prompt)
            self._worn, self._comes_off = (asked, pipeline, photos), comes_off
        return self.base(outfit.base), *self._worn[1:]

    def _undress(self) -> None:
        """Take off what the base wears; where that does not come off, the base is read anew."""
        if self._bare or self._base is None:
            return
        if self._worn is None or not self._comes_off:
            self.clear()
            return
        pipeline, self._worn = self._worn[1], None
        pipeline.unload_lora_weights()
        if getattr(pipeline.unet, "encoder_hid_proj", None) is not None:
            pipeline.unload_ip_adapter()
            pipeline.unet.set_attn_processor(dict(self._attention))
        self._bare = True

    def network(self, name: str, base: Base) -> Any:
        """The ControlNet or T2I-Adapter of that name, for the base that is kept.

        Raises:
            UserError: it cannot be loaded, or is of another family.
        """
        from lapel.generation.guides import load_controlnet

        if name not in self._networks:
            self._networks[name] = load_controlnet(name, base)
        return self._networks[name]

    def mask_model(self, name: str | None) -> MaskModel | None:
        """What finds the old garment, by that name; None for the intake's own way.

        Raises:
            UserError: no such model, or it cannot be loaded.
        """
        if name not in self._mask_models:
            self._mask_models[name] = self.load_mask_model(name)
        return self._mask_models[name]

    def looks(self, settings: BaseSettings, shape: str, texture: str = "") -> Looks:
        """What words of shape and texture mean to the base of these settings; said once.

        Raises:
            UserError: a phrase that is not understood.
        """
        base = self.base(settings)
        if (shape, texture) not in self._looks:
            self._looks[shape, texture] = heard_looks(shape, texture, base)
        return self._looks[shape, texture]


def _told_apart(outfit: Outfit, kind: PipelineKind, prompt: str) -> Any:
    """What tells an outfit on a kind of pipeline from others: its settings, and the files as they are now."""
    wear = outfit.settings
    files = [*outfit.files, *wear.garment_photo]
    stamps = [(path, path.stat().st_mtime_ns) for path in files if path.is_file()]
    looked = (wear.encoder, wear.encoder_weight, wear.image_tower, class_word_of(prompt) if wear.encoder else None)
    return replace(outfit.base), files, stamps, outfit.weights, looked, kind
