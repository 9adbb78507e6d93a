"""The objective's mathematics, against its formulas and against diffusers' own."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from lapel.errors import UserError
from lapel.training.objective import Objective, masked_mean
from lapel.training.settings import ObjectiveSettings

PREDICTIONS = ("epsilon", "v_prediction")


def schedule(prediction: str = "epsilon", **changes: object) -> DDPMScheduler:
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, **changes
    )


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 5, 4, 8, 6, generator=chance)
    return latents, noise, torch.tensor([0, 1, 500, 998, 999])


def test_noised_is_the_schedulers_forward_process() -> None:
    objective, latents_noise_time = Objective(schedule(), ObjectiveSettings()), tensors()
    torch.testing.assert_close(objective.noised(*latents_noise_time), schedule().add_noise(*latents_noise_time))


def test_target_is_the_noise_or_the_velocity() -> None:
    latents, noise, time = tensors()
    epsilon, v = (Objective(schedule(prediction), ObjectiveSettings()) for prediction in PREDICTIONS)
    assert epsilon.target(latents, noise, time) is noise
    torch.testing.assert_close(v.target(latents, noise, time), schedule().get_velocity(latents, noise, time))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_weights_are_those_of_the_paper(prediction: str) -> None:
    time = torch.arange(1000)
    snr = compute_snr(schedule(), time)
    denominator = snr if prediction == "epsilon" else snr + 1
    expected = torch.minimum(snr, torch.tensor(5.0)) / denominator
    weights = Objective(schedule(prediction), ObjectiveSettings(min_snr_gamma=5.0)).weights(time)
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-7)
    # By hand, at alpha_bar = 0.9: snr = 9.
    step = int((schedule().alphas_cumprod - 0.9).abs().argmin())
    by_hand = 5 / 9 if prediction == "epsilon" else 5 / 10
    assert weights[step].item() == pytest.approx(by_hand, rel=0.02)


def test_without_min_snr_all_timesteps_weigh_the_same() -> None:
    assert Objective(schedule(), ObjectiveSettings(min_snr_gamma=None)).weights(
        torch.arange(1000)
    ).unique().tolist() == [1]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_same_denoised_error_costs_the_same_in_either_prediction(prediction: str) -> None:
    """Min-SNR weights speak of the clean latent: for each timestep, loss = min(snr, gamma) * |error of the latent|²."""
    latents, noise, _ = tensors()
    time = torch.tensor([100, 300, 500, 700, 900])
    objective = Objective(schedule(prediction), ObjectiveSettings(min_snr_gamma=5.0, masked=False))
    signal, sigma = objective.signal[time, None, None, None], objective.noise[time, None, None, None]
    noised = objective.noised(latents, noise, time)
    wrong = latents + 0.1
    predicted = (noised - signal * wrong) / sigma
    if prediction == "v_prediction":
        predicted = signal * predicted - sigma * wrong
    expected = (compute_snr(schedule(), time).clamp(max=5) * 0.01).mean()
    mask = torch.ones(5, 1, 8, 6)
    target = objective.target(latents, noise, time)
    torch.testing.assert_close(objective.loss(predicted, target, time, mask), expected, rtol=1e-3, atol=1e-6)


def test_masked_mean_is_normalised_by_area() -> None:
    values = torch.full((2, 3, 4, 4), 7.0)
    values[:, :, 0, 0] = 1.0
    small, whole = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    small[:, 0, 0] = 1.0
    assert masked_mean(values, torch.stack([small, whole])).tolist() == [1.0, pytest.approx((1 + 15 * 7) / 16)]


def test_outside_weight_and_masking_off() -> None:
    mask = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    on = Objective(schedule(), ObjectiveSettings(outside_weight=0.1))
    off = Objective(schedule(), ObjectiveSettings(masked=False))
    torch.testing.assert_close(on.pixel_weights(mask), torch.tensor([[[[0.1, 0.55, 1.0]]]]))
    assert off.pixel_weights(mask).tolist() == [[[[1, 1, 1]]]]


def test_zero_terminal_snr_needs_v_prediction() -> None:
    with pytest.raises(UserError, match="zero terminal SNR"):
        Objective(schedule("epsilon", rescale_betas_zero_snr=True), ObjectiveSettings())
    objective = Objective(schedule("v_prediction", rescale_betas_zero_snr=True), ObjectiveSettings())
    assert objective.weights(torch.arange(1000)).isfinite().all()


def test_other_predictions_are_refused() -> None:
    with pytest.raises(UserError, match="'sample'"):
        Objective(schedule("sample"), ObjectiveSettings())
