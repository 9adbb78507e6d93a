"""A Stable Diffusion model in parts: what the trainers and programs ask of it, whichever family it is of."""

from __future__ import annotations

import functools
import gc
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from lapel.base.families import INPAINTING_CHANNELS, Family
from lapel.base.prompts import encode_tokens, tokens_of, windows_taken
from lapel.base.settings import Precision
from lapel.base.vae import latents_of
from lapel.base.weights import content_hash, legacy_hash
from lapel.errors import UserError
from lapel.files import sha256

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

UNCACHED = {"cache_enabled": False}
"""For every `torch.autocast`: a UNet uses each of its weights once a pass, so that the copies in lower precision which
autocast would keep until its end are of no use, and of a half the size of all that learns."""

PipelineKind = Literal["text2img", "img2img", "inpaint"]


@dataclass(frozen=True)
class Worn:
    """An adapter that is fused into a base."""

    name: str
    """Of the file."""
    weight: float
    hash: str
    """SHA-256 of the file's bytes."""

    def __str__(self) -> str:
        return f"{self.name} at {self.weight:g} ({self.hash[:12]})"


@dataclass
class Base:
    """The frozen parts of one base, on one device.

    `unet` is in the precision asked for, and so is the rest, but for the VAE of a family whose VAE needs fp32. A VAE
    that overflows in its precision turns to fp32 by itself.
    """

    name: str
    """As it was asked for: `tiny`, a hub id or a path."""
    family: Family
    unet: Any
    """diffusers' UNet2DConditionModel."""
    vae: Any
    """diffusers' AutoencoderKL, or None once `release_encoders` was called."""
    text_encoders: list[Any]
    """One, or two for SDXL; empty once `release_encoders` was called."""
    tokenizers: list[Any]
    sampler: Any
    """The scheduler that the base came with, for generating."""
    weight_files: list[Path] = field(repr=False)
    """Where the UNet's weights were read from."""
    licence: str | None = None
    """As far as the base's files state it."""
    vae_name: str | None = None
    """Another VAE than the base's own, as it was asked for."""
    clip_skip: int = 1
    """As WebUI counts: 1 where the text encoders are whole."""
    worn: tuple[Worn, ...] = ()
    """Adapters that `lapel.adapters.fuse` added to the weights, in that order; `hash` is the base's without them."""

    embeddings: dict[str, str] = field(default_factory=dict)
    """Words of textual inversions that the text encoders were taught, and their files' SHA-256."""

    @property
    def models(self) -> dict[str, Any]:
        """What an adapter can change, by the names that pipelines have for them."""
        return {"unet": self.unet, **dict(zip(("text_encoder", "text_encoder_2"), self.text_encoders, strict=False))}

    @functools.cached_property
    def scheduler(self) -> DDPMScheduler:
        """The noise schedule that the base was trained with (DDPM's `add_noise`, `get_velocity`, `alphas_cumprod`)."""
        from diffusers import DDPMScheduler

        return DDPMScheduler.from_config(self.sampler.config)

    @property
    def inpainting(self) -> bool:
        """Whether the UNet takes a mask and the picture around it beside the latents."""
        return self.unet.config.in_channels == INPAINTING_CHANNELS

    def require_ordinary(self) -> None:
        """Turn away an inpainting base where only one for text to image can learn.

        Raises:
            UserError: it is one.
        """
        if self.inpainting:
            raise UserError(
                f"{self.name}: an inpainting base, whose UNet needs a mask and the picture around it; give the "
                "ordinary base (what is learned on that one fits this one too)"
            )

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the noise schedule ends in pure noise (Lin et al., 2023)."""
        return bool(self.sampler.config.get("rescale_betas_zero_snr", False))

    @property
    def prediction_type(self) -> str:
        """What the UNet predicts: `epsilon` or `v_prediction`."""
        return self.sampler.config.prediction_type

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the bytes of the UNet's weight files (of a single-file checkpoint: of the whole file).

        The same for every precision the base is loaded in; WebUI shows the first 10 digits of a file's. A file in the
        Hub's cache is named by its hash and not read again.
        """
        digests = [_content_hash(path) for path in self.weight_files]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    @functools.cached_property
    def content_hash(self) -> str | None:
        """`sshs_model_hash` of the UNet's weight file: what follows its header, so that metadata does not change it.

        None for pickles and for weights in several files, which have no such hash.
        """
        one = self.weight_files[0] if len(self.weight_files) == 1 else None
        return content_hash(one) if one is not None and one.suffix == ".safetensors" else None

    @functools.cached_property
    def legacy_hash(self) -> str | None:
        """kohya's `ss_sd_model_hash`; None for weights in several files."""
        return legacy_hash(self.weight_files[0]) if len(self.weight_files) == 1 else None

    @property
    def device(self) -> torch.device:
        return self._first.device

    @property
    def dtype(self) -> torch.dtype:
        return self._first.dtype

    @property
    def _first(self) -> torch.nn.Parameter:
        """The UNet's first weight. Every step asks for its device and precision, and diffusers' own answers look
        through all modules, which takes 8 ms each with an adapter in them."""
        return next(self.unet.parameters())

    @property
    def precision(self) -> Precision:
        """The UNet's, by the name that settings give it."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    @functools.cached_property
    def latent_stride(self) -> int:
        """Pixels per latent, along either side: 8, or 4 for `tiny`."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @functools.cached_property
    def resolution(self) -> int:
        """Side in pixels of the square images that the base was trained on."""
        return self.unet.config.sample_size * self.latent_stride

    @functools.cached_property
    def multiple(self) -> int:
        """Image sides must be multiples of this many pixels, so that every level of the UNet halves evenly."""
        return self.latent_stride * 2 ** (len(self.unet.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str], windows: int | None = None) -> dict[str, Tensor]:
        """Encode captions as the family's stock pipeline encodes prompts, beyond 75 tokens in several windows.

        Args:
            windows: how many each caption gets; as many as the longest takes unless given.

        Returns:
            `prompt_embeds` (n, 77 * windows, c) and, for SDXL, `pooled_prompt_embeds` (n, d), in the text encoders'
            precision.
        """
        return self.encode_tokens(self.tokenize(captions, windows))

    def tokenize(self, captions: Sequence[str], windows: int | None = None) -> list[Tensor]:
        """Token numbers (n, windows, 77) of the captions, one tensor for each text encoder; see `encode_text`."""
        return tokens_of(self.tokenizers, captions, windows or windows_taken(self.tokenizers, captions))

    def encode_tokens(self, tokens: Sequence[Tensor]) -> dict[str, Tensor]:
        """`encode_text` from token numbers, with gradients, for training the text encoders."""
        if not self.text_encoders:
            raise RuntimeError("the text encoders were released; encode the captions before")
        return encode_tokens(self.text_encoders, tokens)

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The latents' distribution: draw `mean + std * noise`.

        Args:
            pixels: (n, 3, h, w) in [-1, 1]; the sides are multiples of `latent_stride`.

        Returns:
            mean and standard deviation, (n, 4, h / stride, w / stride) in fp32, in the UNet's scale: shifted and
            multiplied as the VAE's configuration says.
        """
        return latents_of(self.vae, pixels)

    def unet_conditions(
        self,
        text: dict[str, Tensor],
        original_size: tuple[int, int] | Tensor | None = None,
        crop: tuple[int, int] | Tensor = (0, 0),
        target_size: tuple[int, int] | Tensor | None = None,
    ) -> dict[str, Any]:
        """What the UNet takes beside latents and timesteps, on its device and in its precision.

        Args:
            text: as `encode_text` returns it, n captions.
            original_size, crop, target_size: SDXL's micro-conditioning, (height, width) and (top, left) in pixels, one
                for all or a tensor (n, 2). Unless given, the base's own square. Other families do not use them.
        """
        conditions: dict[str, Any] = {"encoder_hidden_states": self._to_unet(text["prompt_embeds"])}
        if self.family.text_encoders == 1:
            return conditions
        original, target = (
            (self.resolution, self.resolution) if size is None else size for size in (original_size, target_size)
        )
        n = len(text["prompt_embeds"])
        time_ids = [torch.as_tensor(part).reshape(-1, 2).expand(n, 2) for part in (original, crop, target)]
        conditions["added_cond_kwargs"] = {
            "text_embeds": self._to_unet(text["pooled_prompt_embeds"]),
            "time_ids": self._to_unet(torch.cat(time_ids, dim=1)),
        }
        return conditions

    def _to_unet(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype)

    def release_text_encoders(self) -> None:
        """Give the text encoders' memory back; pipelines built afterwards take prompt embeddings only."""
        self.text_encoders.clear()
        _collect_garbage()

    def release_encoders(self) -> None:
        """Give the VAE's and the text encoders' memory back, once everything is encoded."""
        _ = self.latent_stride, self.resolution, self.multiple  # kept, since the VAE tells them
        self.vae = None
        self.release_text_encoders()

    def pipeline(self, kind: PipelineKind = "text2img") -> Any:
        """diffusers' stock pipeline over these very parts, without a safety checker and without a progress bar.

        An inpainting base has that for inpainting alone: `lapel.generation` has it draw whole pictures too.
        """
        import diffusers

        kind = "inpaint" if self.inpainting else kind
        name = "StableDiffusionXL" if self.family.text_encoders == 2 else "StableDiffusion"
        name += {"text2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}[kind] + "Pipeline"
        pipeline_class = getattr(diffusers, name)
        encoders = self.text_encoders or [None] * self.family.text_encoders
        parts = dict(zip(("text_encoder", "text_encoder_2"), encoders, strict=False))
        parts |= dict(zip(("tokenizer", "tokenizer_2"), self.tokenizers, strict=False))
        if self.family.text_encoders == 1:
            parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        else:
            parts["add_watermarker"] = False
        sampler = type(self.sampler).from_config(self.sampler.config)
        pipeline = pipeline_class(unet=self.unet, vae=self.vae, scheduler=sampler, **parts)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _content_hash(path: Path) -> str:
    stored = path.resolve().name
    return stored if re.fullmatch(r"[0-9a-f]{64}", stored) else sha256(path)


def _collect_garbage() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
