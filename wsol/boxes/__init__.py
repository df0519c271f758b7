"""Boxes: from a score map to the boxes at one threshold, or at all of them in one pass."""
