"""The border to the operating system: plain values in and out, files that others may have filled, temporary folders."""
