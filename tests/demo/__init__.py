"""The main job, to look at: `make demo`."""
