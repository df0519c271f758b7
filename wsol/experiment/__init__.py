"""Experiments: a whole comparison from one file."""
