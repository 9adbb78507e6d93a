"""The loss of a garment's photos: where the target is the photo, and where the base itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from lapel.training.data import Batch
from lapel.training.losses import photo_loss
from lapel.training.objective import Objective
from lapel.training.settings import GarmentObjectiveSettings, ObjectiveSettings

N, SHAPE = 4, (4, 6, 6)


@pytest.fixture
def batch() -> Batch:
    """Four photos, the garment on the left half, the third without its caption."""
    torch.manual_seed(0)
    mask = torch.zeros(N, 1, *SHAPE[1:])
    mask[..., :3] = 1
    return Batch(
        latents=torch.randn(N, *SHAPE),
        noise=torch.randn(N, *SHAPE),
        timesteps=torch.tensor([10, 200, 500, 900]),
        mask=mask,
        captions=torch.tensor([0, 1, 2, 0]),
        dropped=[2],
        files=["a", "b", "c", "d"],
    )


def own(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
    """A base whose prediction tells what it was asked."""
    return noised * 0.5 + timesteps[:, None, None, None] / 1000 + captions[:, None, None, None]


def objective(settings: ObjectiveSettings) -> Objective:
    return Objective(DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), settings)


def of(batch: Batch, settings: ObjectiveSettings, predicted: Tensor) -> float:
    return float(photo_loss(objective(settings), lambda *_: predicted, own)(batch))


def mixed(batch: Batch, settings: ObjectiveSettings) -> Tensor:
    """The photo's own target inside the mask, and the base's prediction outside; all of it where nothing is said."""
    one = objective(settings)
    noised = one.noised(batch.latents, batch.noise, batch.timesteps)
    kept = own(noised, batch.timesteps, batch.captions)
    inside = batch.mask.clone()
    inside[2] = 0
    return inside * one.target(batch.latents, batch.noise, batch.timesteps) + (1 - inside) * kept


def test_an_inpainting_base_sees_what_is_around_whoever_predicts(batch: Batch) -> None:
    around = torch.randn(N, 5, *SHAPE[1:])
    seen: list[Tensor] = []

    def predict(noised: Tensor, *_: Tensor) -> Tensor:
        seen.append(noised)
        return noised[:, :4]

    photo_loss(objective(GarmentObjectiveSettings()), predict, predict)(dataclasses.replace(batch, around=around))
    assert len(seen) == 2
    for noised in seen:
        assert noised.shape[1] == 9
        assert torch.equal(noised[:, 4:], around)


def test_nothing_is_to_be_learned_by_who_draws_the_garment_and_keeps_the_rest(batch: Batch) -> None:
    settings = GarmentObjectiveSettings()
    assert of(batch, settings, mixed(batch, settings)) == pytest.approx(0, abs=1e-12)
    changed = mixed(batch, settings)
    changed[1, :, :, 5] += 1  # outside, of a photo with its caption
    assert of(batch, settings, changed) > 1e-3


def test_the_photo_is_learned_outside_too_where_asked_for(batch: Batch) -> None:
    settings = GarmentObjectiveSettings(outside="photo")
    target = batch.noise.clone()
    target[2] = mixed(batch, settings)[2]
    assert of(batch, settings, target) == pytest.approx(0, abs=1e-12)
    assert of(batch, settings, mixed(batch, settings)) > 1e-3


@pytest.mark.parametrize(
    "settings", [GarmentObjectiveSettings(masked=False), GarmentObjectiveSettings(outside_weight=0)]
)
def test_the_base_is_not_asked_where_its_answer_counts_nothing(
    batch: Batch, settings: GarmentObjectiveSettings
) -> None:
    asked: list[int] = []

    def counted(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
        asked.append(len(noised))
        return own(noised, timesteps, captions)

    photo_loss(objective(settings), lambda *_: batch.noise, counted)(batch)
    none_dropped = dataclasses.replace(batch, dropped=[])
    photo_loss(objective(settings), lambda *_: batch.noise, counted)(none_dropped)
    assert asked == [1]
