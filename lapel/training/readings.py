"""What a run reads of itself: its loss and gradients, without waiting for the accelerator at every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lapel.errors import UserError


class Readings:
    """Losses and gradient norms of the last steps, kept on the device until they are read.

    Reading a number makes the processor wait for the accelerator; so it happens every few steps, and what went
    wrong in between is still known by its step and photos.
    """

    def __init__(self, scaled: bool = False) -> None:
        self.scaled = scaled
        """Whether a loss scaler guards float16: it skips steps with an infinite gradient, which is then no fault."""
        self._steps: list[tuple[int, list[str]]] = []
        self._values: list[Tensor] = []

    def add(self, step: int, files: list[str], loss: Tensor, norm: Tensor) -> None:
        """Keep a step's loss and gradient norm, scalars on the device, and the names of its photos."""
        self._steps.append((step, files))
        self._values.append(torch.stack([loss.detach(), norm.detach()]))

    def read(self, mean: Callable[[Tensor], Tensor] = lambda values: values) -> dict[str, float]:
        """The mean loss and gradient norm since the last reading; `mean` averages a tensor over the processes.

        Raises:
            UserError: where a loss or gradient was not finite, with the step and its photos.
        """
        values = mean(torch.stack(self._values)).cpu().double()
        finite = values.isfinite()
        if not finite[:, 0].all():
            raise self._fault("loss", int((~finite[:, 0]).nonzero()[0]))
        if not finite[:, 1].all() and not (self.scaled and finite[:, 1].any()):
            raise self._fault("gradient", int((~finite[:, 1]).nonzero()[0]))
        losses, norms = values[:, 0], values[finite[:, 1], 1]
        self._steps, self._values = [], []
        return {"loss": float(losses.mean()), "gradient_norm": float(norms.mean())}

    def _fault(self, what: str, index: int) -> UserError:
        step, files = self._steps[index]
        photos = ", ".join(dict.fromkeys(files))
        return UserError(
            f"the {what} is not finite (NaN or infinity) at step {step} (photos: {photos}): try a lower "
            "--learning_rate, or --precision fp32; nothing of this step was saved"
        )


class Progress:
    """A progress bar with the loss, the rate and the time left; silent in all processes but the first."""

    def __init__(self, step: int, steps: int, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(initial=step, total=steps, desc="step", disable=not shown, dynamic_ncols=True, smoothing=0.1)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def tell(self, step: int, loss: float) -> None:
        """Move on to `step`, with the mean loss of the steps before it."""
        self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self._bar.update(step - self._bar.n)
