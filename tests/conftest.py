"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal

# A shell that starts a job in the background has it ignore Ctrl-C, and so do all processes below it: tests that
# interrupt a run would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
