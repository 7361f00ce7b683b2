"""Shared code of the scripts in this folder."""
