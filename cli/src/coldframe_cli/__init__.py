"""The host's side of Coldframe: the command `coldframe`, and what it is made of for use from Python."""

__version__ = "0.1.0"
