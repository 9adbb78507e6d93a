"""Measure what was learned: python scripts/evaluate.py MEASUREMENT [settings], where MEASUREMENT is one of

backgrounds: how often adapters draw the white studio of their photos unasked, by how they were put on backdrops.
benchmark: LoRA, DoRA, LoCon, DreamBooth and the garment encoder side by side, held against the exact truth.
choice: what the step that a run chooses gains on its last step, on photos that it never saw.
control: how closely images keep to a skeleton and a parsing map, with `tiny`'s ControlNet and without.
encoder: unseen garments of the wardrobe, each from one photo by a garment encoder, without training.
findings: what there is to say about every garment folder below a root.
formats: whether adapters and bases come back from every format as they went in, at the true shapes.
intake: how fast photos are taken in, where the time goes, and what memory it needs.
learning: garments of the wardrobe, by (a) the base with the trigger, (b) the base with a full caption, (c) the adapter.
loading: what memory and time the single file of a base takes to load, at the true shapes.
masks: what the intake finds of the garment, against true masks.
measures: whether each measure of fidelity grows with a known change, and with nothing else.
prints: printed words on clothes that are changed, as they are drawn and put back by the garment's photo.
sweep: which settings of a LoRA's training learn best, each varied alone, on garments that `tiny` never saw.
tiny: whether the embedded base draws what its prompts say, on combinations that it has never seen.
try_on: clothes changed on drawn people, held against the same people who really wear them.
try_on_memory: what a change of clothes takes at the true shapes.
tuning: DreamBooth, its priors and LoRA side by side: fidelity, class drift, seconds, file size, memory.
views: how often the zero-shot reading of views, places and patterns is right.
"""

from __future__ import annotations

from evaluation.named import run_named
from lapel.errors import run_program

MEASUREMENTS = {
    "backgrounds": ("evaluation.backgrounds", "measure_backgrounds", "BackgroundSettings"),
    "benchmark": ("evaluation.benchmark", "measure_benchmark", "BenchmarkSettings"),
    "choice": ("evaluation.choice", "measure_choice", "ChosenSettings"),
    "control": ("evaluation.control", "measure_control", "ControlMeasureSettings"),
    "encoder": ("evaluation.encoder", "measure_encoder", "EncoderSettings"),
    "findings": ("evaluation.findings", "measure_findings", "FindingSettings"),
    "formats": ("evaluation.formats", "measure_formats", "FormatSettings"),
    "intake": ("evaluation.intake", "measure_intake", "IntakeSettings"),
    "learning": ("evaluation.learning", "measure_learning", "LearningSettings"),
    "loading": ("evaluation.loading", "measure_loading", "LoadingSettings"),
    "masks": ("evaluation.masks", "measure_masks", "MaskSettings"),
    "measures": ("evaluation.measures", "measure_measures", "MeasureSettings"),
    "prints": ("evaluation.prints", "measure_prints", "PrintSettings"),
    "try_on": ("evaluation.try_on", "measure_try_on", "TryOnSettings"),
    "try_on_memory": ("evaluation.try_on_memory", "measure_try_on_memory", "TryOnMemorySettings"),
    "tuning": ("evaluation.tuning", "measure_tuning", "TuningSettings"),
    "sweep": ("evaluation.sweep", "measure_sweep", "SweepSettings"),
    "tiny": ("evaluation.tiny", "measure_tiny", "TinySettings"),
    "views": ("evaluation.views", "measure_views", "ViewSettings"),
}
"""By the first word: the module beside this program, its function, and the settings that the function takes."""


def main() -> None:
    """Run the measurement that the first word names."""
    run_named(__doc__ or "", MEASUREMENTS)


if __name__ == "__main__":
    run_program(main)
