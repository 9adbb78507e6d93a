"""A loss curve as an SVG, for cards and pages that run no script."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_MOST_POINTS = 300


def loss_curve(steps: Sequence[int], losses: Sequence[float]) -> str:
    """An SVG element with the loss of every step, faint, and its running mean over a twentieth of the run.

    `steps` and `losses` have one length, at least 2; the vertical axis goes from 0 to the largest smoothed loss and a
    half more, so that single high steps do not flatten the rest.
    """
    smooth = running_mean(losses, max(1, len(losses) // 20))
    top = max(smooth) * 1.5 or 1.0
    thin = max(1, len(steps) // _MOST_POINTS)

    def points(values: Sequence[float]) -> str:
        pairs = list(zip(steps, values, strict=True))[::thin]
        return " ".join(f"{_x(step, steps):.1f},{_y(value, top):.1f}" for step, value in pairs)

    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_y(value, top):.1f}" y2="{_y(value, top):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{_y(value, top) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (0.0, top / 2, top)
    )
    ends = (
        f'<text x="{_LEFT}" y="{HEIGHT - 8}">step {steps[0]}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 8}" text-anchor="end">step {steps[-1]}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss by step">{grid}{ends}'
        f'<polyline class="raw" points="{points(losses)}"/><polyline class="smooth" points="{points(smooth)}"/></svg>'
    )


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and of those before it, `window` of them together."""
    means, total = [], 0.0
    for index, value in enumerate(values):
        total += value
        if index >= window:
            total -= values[index - window]
        means.append(total / min(index + 1, window))
    return means


def _x(step: int, steps: Sequence[int]) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (step - steps[0]) / max(1, steps[-1] - steps[0])


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(value / top, 1.0)
