"""Names of thresholds that a map chooses for itself; see `wsol.maps.automatic`."""

POLICIES = ("otsu", "li", "yen", "triangle", "isodata", "mean")
"""Otsu 1979; Li and Tam 1998 (minimum cross entropy); Yen et al. 1995; Zack et al. 1977 (triangle);
Ridler and Calvard 1978 (isodata); the mean of all pixels."""
