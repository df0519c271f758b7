"""Evaluation: a protocol, judging, adding up, and the life of a run from model to record."""
