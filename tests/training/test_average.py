"""The moving average of the weights."""

from __future__ import annotations

import pytest
import torch

from lapel.training.average import Average


def follow(average: Average, piece: torch.nn.Parameter, steps: int) -> torch.Tensor:
    """Move the weights, and return what their average must be: at step n the decay is (1 + n) / (10 + n), capped."""
    expected = piece.detach().clone()
    for step in range(1, steps + 1):
        with torch.no_grad():
            piece += torch.full_like(piece, float(step))
        average.step()
        since = max(0, step - 1)
        decay = min((1 + since) / (10 + since), 0.5) if since else 0.0
        expected = decay * expected + (1 - decay) * piece.detach()
    return expected


@pytest.mark.parametrize("in_system_memory", [False, True])
def test_it_follows_the_weights_and_stands_in_for_them(in_system_memory: bool) -> None:
    piece = torch.nn.Parameter(torch.arange(4.0))
    average = Average([piece], 0.5, in_system_memory)
    expected = follow(average, piece, 12)
    own = piece.detach().clone()
    with average.in_place():
        torch.testing.assert_close(piece.detach(), expected)
    assert torch.equal(piece, own)
    average.settle()
    torch.testing.assert_close(piece.detach(), expected)


def test_it_goes_on_from_its_state() -> None:
    pieces = [torch.nn.Parameter(torch.arange(4.0)) for _ in range(2)]
    unbroken, resumed = (Average([piece], 0.9) for piece in pieces)
    follow(unbroken, pieces[0], 3)
    resumed.load_state_dict(unbroken.state_dict())
    pieces[1].data.copy_(pieces[0].data)
    for average, piece in zip((unbroken, resumed), pieces, strict=True):
        follow(average, piece, 3)
        average.settle()
    assert torch.equal(*pieces)


def test_views_of_the_pieces_see_the_average() -> None:
    piece = torch.nn.Parameter(torch.zeros(4))
    view = piece.data[:2]
    average = Average([piece], 0.9)
    with torch.no_grad():
        piece += 8
    with average.in_place():
        assert view.sum() == 0
    assert view.sum() == 16
