"""Schedulers by the names that users know from WebUI, and the diffusers classes that they mean."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from lapel.errors import UserError


@dataclass(frozen=True)
class NamedScheduler:
    """One entry of WebUI's two menus: `sampler` and, where it is not the default one, `schedule`."""

    sampler: str
    schedule: str
    diffusers_class: str
    options: dict[str, Any] = field(default_factory=dict)


def _table() -> dict[str, NamedScheduler]:
    """WebUI's samplers, each as it is and, where diffusers' class has them, with Karras' sigmas."""
    plain: list[tuple[str, str, dict[str, Any], bool]] = [
        ("DPM++ 2M", "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}, True),
        ("DPM++ 2M SDE", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, True),
        ("Euler", "EulerDiscreteScheduler", {}, True),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}, False),
        ("Heun", "HeunDiscreteScheduler", {}, True),
        ("DPM2", "KDPM2DiscreteScheduler", {}, True),
        ("DPM2 a", "KDPM2AncestralDiscreteScheduler", {}, True),
        ("UniPC", "UniPCMultistepScheduler", {}, True),
        ("DDIM", "DDIMScheduler", {}, False),
        ("PLMS", "PNDMScheduler", {"skip_prk_steps": True}, False),
        ("DDPM", "DDPMScheduler", {}, False),
        ("LCM", "LCMScheduler", {}, False),
    ]
    table = {}
    for sampler, diffusers_class, options, has_karras in plain:
        if not has_karras:
            table[sampler] = NamedScheduler(sampler, "", diffusers_class, options)
            continue
        for schedule, karras in (("", False), ("Karras", True)):
            options_with_sigmas = {**options, "use_karras_sigmas": karras}
            named = NamedScheduler(sampler, schedule, diffusers_class, options_with_sigmas)
            table[f"{sampler} {schedule}".strip()] = named
    return table


SCHEDULERS: dict[str, NamedScheduler] = _table()
"""Every name that `--scheduler` takes. "DPM++ SDE" is not among them: diffusers' class for it draws one noise for a
whole batch, so that an image would depend on its batch mates."""


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def scheduler_name(name: str) -> str:
    """The table's own spelling of `name`, which may differ in case, blanks, `_` and `-`.

    Raises:
        UserError: an unknown scheduler; the message names the nearest known one.
    """
    spellings = {_key(known): known for known in SCHEDULERS}
    key = _key(name)
    if key in spellings:
        return spellings[key]
    nearest = difflib.get_close_matches(key, spellings, n=1, cutoff=0.0)[0]
    raise UserError(
        f"unknown scheduler {name!r}; the nearest is {spellings[nearest]!r} (known: {', '.join(SCHEDULERS)})"
    )


def scheduler_named(name: str, base_scheduler: Any) -> Any:
    """The scheduler that WebUI calls `name`, on the noise schedule and prediction type of `base_scheduler`.

    Raises:
        UserError: an unknown scheduler.
    """
    import diffusers

    named = SCHEDULERS[scheduler_name(name)]
    return getattr(diffusers, named.diffusers_class).from_config(base_scheduler.config, **named.options)
