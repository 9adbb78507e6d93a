"""LPIPS inside a mask, with an AlexNet of random weights in torch's cache: what `lpips` itself says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lapel.fidelity import perceptual
from lapel.fidelity.perceptual import alexnet_file, is_at_hand, lpips_inside

lpips = pytest.importorskip("lpips")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from torchvision.models import alexnet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not is_at_hand()
    alexnet_file().parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(alexnet().state_dict(), alexnet_file())
    perceptual._network.cache_clear()
    yield tmp_path
    perceptual._network.cache_clear()


def test_it_is_lpips_own_where_the_mask_is_everything_and_local_where_it_is_not(cached: Path) -> None:
    assert is_at_hand()
    image, other = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    whole = np.ones((96, 96), bool)
    assert lpips_inside(image, image, whole) == 0
    theirs = lpips.LPIPS(net="alex", spatial=True, verbose=False)
    tensors = [lpips.im2tensor(pixels) for pixels in (image, other)]
    assert lpips_inside(image, other, whole) == pytest.approx(theirs(*tensors).mean().item(), rel=1e-5)
    changed, left = image.copy(), np.zeros((96, 96), bool)
    changed[:, 64:] = other[:, 64:]
    left[:, :24] = True
    assert lpips_inside(changed, image, left) < 0.1 * lpips_inside(changed, image, ~left)
    with pytest.raises(ValueError, match="empty"):
        lpips_inside(image, other, ~whole)
