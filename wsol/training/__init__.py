"""Training: weakly supervised, from images and labels alone."""
