"""Silence for the messages of libraries that the user can do nothing about."""

from __future__ import annotations

import logging
import os
import warnings

_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    # The trainers show their own progress; a bar for each map of six photos says nothing.
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "BITSANDBYTES_NOWELCOME": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}


def quiet() -> None:
    """Silence library chatter and deprecation warnings; call it before importing torch, diffusers and the like.

    A variable that the user has set wins, so that ``DIFFUSERS_VERBOSITY=info`` still tells everything. Warnings meant
    for whoever writes code (deprecations, future changes) are hidden unless Python was asked to show them (``-W``).
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It tells of a 4-bit kernel for the CPU that is an extra package; nothing here uses one.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # And of every kind of input, at every layer, that int8 layers compute in half precision.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if "PYTHONWARNINGS" not in os.environ:
        # torch's compiler tells how it traces diffusers' code.
        warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
