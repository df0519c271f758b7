"""Importers: other projects' checkpoints as wsol's own."""
