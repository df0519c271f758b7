"""Records: what an evaluation or a training leaves behind, and where it is stored."""
