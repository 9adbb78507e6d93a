"""Single-file checkpoints, in the layout of the original code: what one holds, told by its keys and shapes alone.

model.diffusion_model.    the UNet
first_stage_model.        the VAE
`Family.text_roots`       the text encoders
v_pred, ztsnr             keys without meaning but their presence, which mark SDXL models of either kind
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lapel.base.families import FAMILIES, INPAINTING_CHANNELS, TINY_TEXT_WIDTH, Family
from lapel.base.weights import PICKLES, WeightFile, open_weights
from lapel.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNET_ROOT = "model.diffusion_model."
VAE_ROOT = "first_stage_model."
SUFFIXES = (".safetensors", *PICKLES)

_KNOWN = "lapel adapts " + ", ".join(family.title for family in FAMILIES.values())
# By a piece of a key that no other kind of model has; the first that is found is said.
_OTHER_MODELS = {
    "double_blocks.": "a Flux model",
    "joint_blocks.": "a Stable Diffusion 3 model",
    "ip_adapter.": "an IP-Adapter",
    "control_model.": "a ControlNet",
    "lora_": "an adapter",
    "hada_": "an adapter",
    "lokr_": "an adapter",
    "emb_params": "a textual inversion",
    "clip_l": "a textual inversion",
    "model.diffusion_model.": "a diffusion model of another build",
    "down_blocks.": "a UNet or VAE alone",
    "input_blocks.": "a UNet alone",
    "encoder.down.": "a VAE alone",
    "text_model.": "a text encoder alone",
}
_OTHER_CHANNELS = {5: "a depth-guided model", 7: "an upscaler", 8: "a model that edits by instruction"}


@dataclass(frozen=True)
class SingleFile:
    """One checkpoint, and which published configuration fits it."""

    weights: WeightFile
    shape: str
    """`tiny` or the family's name."""
    family: Family
    inpainting: bool
    names: dict[str, str]
    """Names as the layout has them -> names as the file has them."""

    def below(self, *roots: str) -> list[str]:
        """The names of one part."""
        return [name for name in self.names if name.startswith(roots)]

    def read(self, names: Iterable[str], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Tensors by the layout's names, those of floating point in `dtype`."""
        wanted = {self.names[name]: name for name in names}
        return {wanted[raw]: tensor for raw, tensor in self.weights.read(wanted, dtype).items()}

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the file says that its noise schedule ends in pure noise (Lin et al., 2023)."""
        return "ztsnr" in self.names

    def prediction_type(self) -> str:
        """`epsilon` or `v_prediction`: as metadata, the YAML beside the file or its keys say, or its weights betray.

        Where nothing does, the usual of its shape.

        Raises:
            UserError: the YAML beside the file cannot be read.
        """
        stated = self.weights.metadata.get("modelspec.prediction_type") or _parameterization(self.weights.path)
        if stated in ("v", "epsilon", "eps"):
            return "v_prediction" if stated == "v" else "epsilon"
        predicts_v = "v_pred" in self.names or self.shape == "tiny"
        if self.family.name == "sd2":
            # The sign that ComfyUI goes by.
            bias = f"{UNET_ROOT}output_blocks.11.1.transformer_blocks.0.norm1.bias"
            predicts_v |= bias in self.names and self.read([bias])[bias].float().std().item() > 0.09
        return "v_prediction" if predicts_v else "epsilon"


def open_single_file(path: Path) -> SingleFile:
    """A checkpoint's kind by its keys and shapes; weights are not read, but for a pickle's, which are mapped.

    The width of the text that the UNet attends to tells families apart, as it does in ComfyUI and InvokeAI.

    Raises:
        UserError: the file cannot be read, or holds another kind of model, or only a part of one.
    """
    weights = open_weights(path)
    names = {_layout_name(raw): raw for raw in weights.shapes if not raw.startswith("model_ema.")}
    shapes = {name: weights.shapes[raw] for name, raw in names.items()}
    widths = {
        shape[1]
        for name, shape in shapes.items()
        if name.startswith(UNET_ROOT) and name.endswith("transformer_blocks.0.attn2.to_k.weight") and len(shape) == 2
    }
    if widths == {1280}:
        raise UserError(f"{path}: SDXL's refiner, which takes no adapters; give the base model")
    shape_of = {family.text_width: family.name for family in FAMILIES.values()} | {TINY_TEXT_WIDTH: "tiny"}
    first = shapes.get(f"{UNET_ROOT}input_blocks.0.0.weight", ())
    if len(widths) != 1 or not widths <= shape_of.keys() or len(first) != 4:
        raise UserError(f"{path}: not a single-file checkpoint of a known family but {_other(weights)}; {_KNOWN}")
    if first[1] not in (4, INPAINTING_CHANNELS):
        kind = _OTHER_CHANNELS.get(first[1], f"a UNet of {first[1]} channels")
        raise UserError(f"{path}: {kind}, not a base of a known family; {_KNOWN}")
    shape = shape_of[widths.pop()]
    family = FAMILIES["sd15" if shape == "tiny" else shape]
    found = SingleFile(weights, shape, family, first[1] == INPAINTING_CHANNELS, names)
    for number, root in enumerate(family.text_roots):
        if not found.below(root):
            raise UserError(f"{path}: text encoder {number + 1} is missing; give a whole checkpoint")
    return found


def _layout_name(raw: str) -> str:
    """The layout's own name of a key: some merges were saved below a wrapper, or without the level `text_model`."""
    name = raw.removeprefix("module.")
    root = FAMILIES["sd15"].text_roots[0]
    if name.startswith((f"{root}embeddings.", f"{root}encoder.", f"{root}final_layer_norm.")):
        name = f"{root}text_model.{name.removeprefix(root)}"
    return name


def _other(weights: WeightFile) -> str:
    found = (kind for sign, kind in _OTHER_MODELS.items() if any(sign in name for name in weights.shapes))
    return next(found, "something else")


def _parameterization(path: Path) -> str | None:
    """What the YAML beside a checkpoint says of its prediction, which is how WebUI is told."""
    beside = path.with_suffix(".yaml")
    if not beside.is_file():
        return None
    try:
        content: Any = yaml.safe_load(beside.read_text(encoding="utf-8"))
        return content["model"]["params"].get("parameterization", "eps")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise UserError(f"{beside}: not the configuration of a checkpoint; mend it or take it away") from None
