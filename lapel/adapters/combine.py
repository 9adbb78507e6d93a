"""Arithmetic with adapters: sums, other ranks, and the adapter that lies between two bases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.layers import Layer, Layers, change, is_low_rank, scale_of
from lapel.errors import UserError


@dataclass(frozen=True)
class Size:
    """How large a layer may be: a rank, or as much of its change as is to be kept."""

    rank: int | None = None
    energy: float | None = None
    """The share of the squared norm that is kept at least, above 0 and up to 1."""

    def cut(self, values: Tensor) -> int:
        """How many of these singular values, falling, are kept; one at least."""
        kept = len(values)
        if self.energy is not None:
            shares = values.double().square().cumsum(0) / values.double().square().sum().clamp_min(1e-300)
            kept = int((shares < self.energy - 1e-12).sum()) + 1
        return max(1, min(kept, len(values), self.rank or kept))


@dataclass(frozen=True)
class Loss:
    """What a smaller rank left out, in Frobenius' norm."""

    whole: float
    """|lost| / |change|, over all layers together."""
    worst: float
    """The same of the layer that lost most of itself."""
    worst_layer: str
    ranks: tuple[int, int]
    """The smallest and the largest rank that is kept."""


def resized(layers: Layers, size: Size, weights: Mapping[str, Tensor] | None = None) -> tuple[Layers, Loss]:
    """The nearest LoRA of that size to an adapter of any kind, by its singular values (Eckart and Young, 1936).

    Args:
        weights: of the base's layers by name. Whole changes, LoHa, LoKr and DoRA take their shapes, and a DoRA its
            change, from them.

    Returns:
        The layers, each with alpha = rank, and what they lost.

    Raises:
        UserError: a layer's change depends on a base, and there are no `weights`.
    """
    result: Layers = {}
    lost, total, worst = 0.0, 0.0, (0.0, "")
    for name, layer in layers.items():
        left, values, right, shape = _decomposed(name, layer, weights)
        kept = size.cut(values)
        root = values[:kept].sqrt()
        up = (left[:, :kept] * root).reshape(-1, kept, *[1] * (len(shape) - 2))
        down = (root[:, None] * right[:kept]).reshape(kept, *shape[1:])
        result[name] = {DOWN: down, UP: up, "alpha": torch.tensor(float(kept))}
        own, of = values[kept:].double().square().sum().item(), values.double().square().sum().item()
        lost, total = lost + own, total + of
        worst = max(worst, ((own / of) ** 0.5 if of else 0.0, name))
    ranks = [layer[DOWN].shape[0] for layer in result.values()]
    return result, Loss((lost / total) ** 0.5 if total else 0.0, *worst, (min(ranks), max(ranks)))


def _decomposed(
    name: str, layer: Layer, weights: Mapping[str, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor, tuple[int, ...]]:
    """U (out, k), S (k,) and V (k, in...) of a layer's change, in fp32, and the change's shape."""
    factors = None if "dora_scale" in layer else _factors(layer)
    if factors is not None:
        up, down = factors
        shape = (up.shape[0], *layer[DOWN].shape[1:]) if DOWN in layer else _shape_of(name, weights)
        # The product's own factors are small: it is never multiplied out.
        q_up, r_up = torch.linalg.qr(up)
        q_down, r_down = torch.linalg.qr(down.T)
        left, values, right = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
        return q_up @ left, values, right @ q_down.T, shape
    whole = change_of(name, layer, weights)
    left, values, right = torch.linalg.svd(whole.flatten(1), full_matrices=False)
    return left, values, right, tuple(whole.shape)


_MANY = 4096
"""Columns from which on factors take more memory than the change itself."""


def _factors(layer: Layer) -> tuple[Tensor, Tensor] | None:
    """Matrices (out, k) and (k, in...) whose product is the layer's change, flat; None where no small k gives it."""
    layer = {kind: tensor.float() for kind, tensor in layer.items()}
    scale = scale_of(layer)
    if is_low_rank(layer):
        return scale * layer[UP].flatten(1), layer[DOWN].flatten(1)
    if "hada_w1_a" in layer and "hada_t1" not in layer and layer["hada_w1_b"].shape[0] ** 2 < _MANY:
        # (sum of a b) * (sum of c d), element by element, is the sum of all (a * c) (b * d).
        up = torch.einsum("o r, o s -> o r s", layer["hada_w1_a"], layer["hada_w2_a"]).flatten(1)
        down = torch.einsum("r i, s i -> r s i", layer["hada_w1_b"], layer["hada_w2_b"]).flatten(0, 1)
        return scale * up, down
    if {"lokr_w1", "lokr_w2_a", "lokr_w2_b"} <= layer.keys() and "lokr_t2" not in layer:
        w1, a, b = layer["lokr_w1"], layer["lokr_w2_a"], layer["lokr_w2_b"].flatten(1)
        eye = torch.eye(w1.shape[1], device=w1.device)
        return scale * torch.kron(w1, a), torch.kron(eye, b)
    return None


def _shape_of(name: str, weights: Mapping[str, Tensor] | None) -> tuple[int, ...]:
    if weights is None or name not in weights:
        raise UserError(f"{name}: its shape depends on the base's weights; name the base with --base")
    return tuple(weights[name].shape)


def change_of(name: str, layer: Layer, weights: Mapping[str, Tensor] | None) -> Tensor:
    """W' - W of a layer in fp32, which may take the base's weights.

    Raises:
        UserError: it does, and they are not there, or are another base's.
    """
    if weights is not None and name in weights:
        return change(layer, weights[name].shape, weights[name])
    if "diff" in layer and "dora_scale" not in layer:
        return layer["diff"].float()
    raise UserError(f"{name}: its change depends on the base's weights; name the base with --base")


def summed(adapters: Sequence[Layers], factors: Sequence[float], weights: Mapping[str, Tensor] | None = None) -> Layers:
    """One adapter that changes a base as several do together, each times its factor; exactly.

    LoRAs are put side by side, so that ranks add up; whatever else a layer has becomes its whole change.

    Raises:
        UserError: a layer's change depends on a base, and there are no `weights`.
    """
    names = dict.fromkeys(name for layers in adapters for name in layers)
    result: Layers = {}
    for name in names:
        parts = [(layers[name], factor) for layers, factor in zip(adapters, factors, strict=True) if name in layers]
        if all(is_low_rank(layer) and "dora_scale" not in layer for layer, _ in parts):
            downs = [layer[DOWN].float() for layer, _ in parts]
            ups = [layer[UP].float() * scale_of(layer) * factor for layer, factor in parts]
            rank = sum(down.shape[0] for down in downs)
            result[name] = {DOWN: torch.cat(downs), UP: torch.cat(ups, dim=1), "alpha": torch.tensor(float(rank))}
        else:
            changes = [factor * change_of(name, layer, weights) for layer, factor in parts]
            result[name] = {"diff": torch.stack(changes).sum(0)}
    return result


def difference_of(tuned: Mapping[str, Tensor], original: Mapping[str, Tensor]) -> Layers:
    """What lies between two bases of one build: the whole change of every layer that differs.

    Raises:
        UserError: the bases have different layers.
    """
    if {name: value.shape for name, value in tuned.items()} != {name: value.shape for name, value in original.items()}:
        raise UserError("the two bases are of different builds; an adapter lies between bases of one build only")
    changes = {name: tuned[name].float() - original[name].float() for name in tuned}
    return {name: {"diff": value} for name, value in changes.items() if value.any()}
