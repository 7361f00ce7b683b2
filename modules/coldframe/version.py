"""The version of Coldframe: the one place where it is written (semantic versioning)."""

__version__ = "0.1.0"
