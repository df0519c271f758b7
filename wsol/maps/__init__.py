"""Maps: from a network's features to score maps, baselines, and score maps in files."""
