"""Reads the headers of the core and writes everything that is generated from them: `python -m bindings.generate`."""
