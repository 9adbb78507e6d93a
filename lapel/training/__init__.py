"""What a training is made of: objective, optimizer, encoded photos, checkpoints, samples and the things around a step.

The programs in `trainers/` tell the story; each module here is one of its words.
"""
