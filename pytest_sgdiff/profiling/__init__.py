"""Traces of the engine's own profiler: read as a stream, summed up, and two of them compared.

trace_events    a Chrome trace -> its events one by one, in bounded memory
trace_summary   events -> self time by operator, kernel and function, by stage and denoising step
row_changes     two summaries -> what changed
"""
