"""One case: launches collected, gated and judged, until its outcome is certain."""
