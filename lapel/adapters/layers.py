"""What adapter files hold for a layer, whatever their layout, and the change of the layer's weight that it means.

The tensors of a layer go by the names of kohya's and LyCORIS' files, where r is the rank and s = alpha / r:

    lora_down.weight (r, in[, kh, kw]), lora_up.weight (out, r[, 1, 1])       s * up @ down              LoRA, LoCon
    lora_mid.weight (r, r, kh, kw) between them                               Tucker's form
    hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b[, hada_t1, hada_t2]            s * (a1 @ b1) * (a2 @ b2)  LoHa
    lokr_w1 or lokr_w1_a, lokr_w1_b; lokr_w2 or lokr_w2_a, lokr_w2_b[, _t2]   s * kron(w1, w2)           LoKr
    diff, of the weight's own shape                                           the change itself
    alpha                                                                     the rank where it is missing
    dora_scale (out, 1[, 1, 1]) or (1, in[, 1, 1])                            DoRA's lengths, of rows or of columns
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lapel.adapters.kinds import DOWN, MID, UP
from lapel.base.quantise import whole_weight
from lapel.errors import UserError

Layer = dict[str, Tensor]
"""The tensors of one layer by their kind."""

Layers = dict[str, Layer]
"""Layers by name, as `lapel.adapters.names` has them."""

# A layer is whole when it holds all of one of these.
_SETS: tuple[set[str], ...] = (
    *({DOWN, UP}, {"diff"}, {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
    *({"lokr_w1", "lokr_w2"}, {"lokr_w1_a", "lokr_w1_b", "lokr_w2"}),
    *({"lokr_w1", "lokr_w2_a", "lokr_w2_b"}, {"lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"}),
)


def is_whole(layer: Layer) -> bool:
    """Whether nothing is missing of what gives a change."""
    return any(kinds <= layer.keys() for kinds in _SETS)


def is_low_rank(layer: Layer) -> bool:
    """Whether it is a plain LoRA of a linear or convolutional layer, or a DoRA of one."""
    return DOWN in layer and UP in layer and MID not in layer


def rank_of(layer: Layer) -> int | None:
    """The rank that alpha is divided by; None where alpha has no meaning."""
    for kind in (DOWN, "hada_w1_b", "lokr_w1_b", "lokr_w2_b"):
        if kind in layer:
            return layer[kind].shape[0]
    return None


def alpha_of(layer: Layer) -> float | None:
    """alpha: the rank where it is missing, None where it has no meaning."""
    rank = rank_of(layer)
    return rank if rank is None or "alpha" not in layer else layer["alpha"].item()


def scale_of(layer: Layer) -> float:
    """alpha / rank; 1 where there is no alpha, or nothing that it scales."""
    alpha, rank = alpha_of(layer), rank_of(layer)
    return alpha / rank if alpha is not None and rank is not None else 1.0


def change(layer: Layer, shape: torch.Size | tuple[int, ...], weight: Tensor | None = None) -> Tensor:
    """W' - W in fp32, in the shape of W.

    Args:
        shape: of W.
        weight: W itself, which a DoRA's change depends on.

    Raises:
        UserError: the layer has another shape.
        ValueError: a DoRA without `weight`.
    """
    found = _undirected({kind: tensor.float() for kind, tensor in layer.items()})
    if found.numel() != torch.Size(shape).numel() or found.shape[0] != shape[0]:
        raise UserError(f"{tuple(found.shape)} in the adapter, {tuple(shape)} in this base")
    found = found.reshape(shape)
    if "dora_scale" not in layer:
        return found
    if weight is None:
        raise ValueError("a DoRA's change depends on the base's weight")
    lengths, direction = layer["dora_scale"].float(), weight.to(found.device, torch.float32) + found
    kept = 0 if is_by_row(layer) else 1
    if lengths.numel() != shape[kept]:
        raise UserError(f"{lengths.numel()} lengths of a DoRA for a weight of {tuple(shape)}")
    others = [dim for dim in range(direction.dim()) if dim != kept]
    sizes = [-1 if dim == kept else 1 for dim in range(direction.dim())]
    return (
        lengths.reshape(sizes) * direction / torch.linalg.vector_norm(direction, dim=others, keepdim=True)
        - weight.float()
    )


def is_by_row(layer: Layer) -> bool:
    """Whether a DoRA has a length for each row (as the paper and peft have it), not for each column (as front ends)."""
    return "dora_scale" in layer and layer["dora_scale"].shape[0] == layer["dora_scale"].numel()


def _undirected(layer: Layer) -> Tensor:
    """The change without DoRA's lengths, in whatever shape its factors give."""
    if "diff" in layer:
        return layer["diff"]
    scale = scale_of(layer)
    if MID in layer:
        up, down = layer[UP].flatten(1), layer[DOWN].flatten(1)
        return scale * torch.einsum("o r, r s h w, s i -> o i h w", up, layer[MID], down)
    if DOWN in layer:
        down = layer[DOWN]
        return scale * (layer[UP].flatten(1) @ down.flatten(1)).reshape(-1, *down.shape[1:])
    if "hada_w1_a" in layer:
        from lycoris.functional.loha import diff_weight

        factors = (layer[f"hada_{kind}"] for kind in ("w1_b", "w1_a", "w2_b", "w2_a"))
        middles = (layer.get("hada_t1"), layer.get("hada_t2"))
        return diff_weight(*factors, *middles, gamma=torch.tensor(scale), backend="torch")
    from lycoris.functional.lokr import kron_weight

    kinds = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
    return kron_weight(*(layer.get(f"lokr_{kind}") for kind in kinds), scale=scale, backend="torch")


def with_one_alpha(layers: Layers) -> Layers:
    """The same changes with one alpha for the UNet and one for the text encoders; the factors take over the rest.

    diffusers reads a file whose alphas differ as if most had the commonest one. That is the one kept here.
    """
    result: Layers = {}
    for group, alphas in _by_alpha(layers):
        kept = max(alphas, key=lambda alpha: (alphas[alpha], alpha)) if alphas else 1.0
        result |= {name: _with_alpha(layer, kept) for name, layer in group.items()}
    return {name: result[name] for name in layers}


def has_one_alpha(layers: Layers) -> bool:
    """Whether all of the UNet's layers have one alpha, and all of the text encoders' have."""
    return all(len(alphas) <= 1 for _, alphas in _by_alpha(layers))


def _by_alpha(layers: Layers) -> list[tuple[Layers, Counter[float]]]:
    """The UNet's layers and the text encoders', each with the number of layers by alpha."""
    groups = [{name: layers[name] for name in layers if name.startswith("unet.") == unet} for unet in (True, False)]
    return [
        (group, Counter(alpha for layer in group.values() if (alpha := alpha_of(layer)) is not None))
        for group in groups
    ]


def _with_alpha(layer: Layer, alpha: float) -> Layer:
    own = alpha_of(layer)
    if own is None:
        return {kind: tensor for kind, tensor in layer.items() if kind != "alpha"}
    return {**scaled(layer, own / alpha), "alpha": torch.tensor(float(alpha))}


def scaled(layer: Layer, factor: float) -> Layer:
    """The layer with its change, as it is before DoRA's lengths, multiplied by `factor`, in one of its factors."""
    if factor == 1:
        return layer
    kind = next(kind for kind in (UP, "diff", "hada_w1_a", "lokr_w1", "lokr_w1_a") if kind in layer)
    return {**layer, kind: layer[kind].float() * factor}


def in_precision(layer: Layer, dtype: torch.dtype) -> Layer:
    """The tensors as a file of that precision holds them: contiguous, on the CPU.

    What alpha loses by rounding, the factors take over. DoRA's lengths stay as they are: rounding them rounds the whole
    weight, not just what was learned.
    """
    if "alpha" in layer:
        alpha = layer["alpha"].item()
        stored = torch.tensor(alpha, dtype=dtype)
        layer = {**scaled(layer, alpha / stored.item()), "alpha": stored}
    kept = ("dora_scale", "alpha")
    return {
        kind: tensor.cpu().contiguous() if kind in kept else tensor.to("cpu", dtype).contiguous()
        for kind, tensor in layer.items()
    }


def weights_of(modules: Mapping[str, torch.nn.Module]) -> Mapping[str, Tensor]:
    """The weights of layers by name, detached; not copied, but for those in fewer bits, each as it is asked for."""
    return _Weights({name: module for name, module in modules.items() if isinstance(module.weight, Tensor)})


class _Weights(Mapping[str, Tensor]):
    def __init__(self, modules: Mapping[str, torch.nn.Module]) -> None:
        self.modules = modules

    def __getitem__(self, name: str) -> Tensor:
        return whole_weight(self.modules[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)
