"""One command and every process that comes of it: start, log, deadline, end, and the files that it leaves."""
