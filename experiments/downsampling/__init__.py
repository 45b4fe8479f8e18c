"""Which downsampling can stand in front of a keypoint detector: error, aliasing, phase and time."""
