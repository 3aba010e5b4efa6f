"""The quality guard: whether launches still draw what the baseline's launches drew.

sampling, child     a small sample of each output file, made in a process of its own with bounded memory and time
pictures, meshes    how that process reads images, videos and meshes
similarity          how alike two samples are
noise               what of a difference is noise
reference           what a baseline's launches drew, and the noise between them
odd                 a launch of several that drew something else than the others
judge               what became of a case's pictures
views               what reports show of them
extra               the libraries that all this needs

The libraries are imported inside functions: nothing else of the plugin needs them.
"""
