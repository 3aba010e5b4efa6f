"""Measurements and baselines in, verdicts out. Pure: no files, no processes, no GPUs, no pytest."""
