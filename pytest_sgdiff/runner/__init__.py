"""One case: launches collected, gated and judged, until its outcome is certain.

job                 the case and all that is needed to measure it
live, replay        where a launch comes from: an engine that is launched now, or a recording
collect             launches that count, and those that were discarded
gate, record, ab    the three ways: against a baseline, for a new baseline, against another engine
result, next_step   what comes of it, and what to do about it
"""
