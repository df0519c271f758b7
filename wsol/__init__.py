"""wsol: how well does a classifier that never saw a box localize objects, and at what size?"""

__version__ = "0.1.0"
