"""Pins and buses: what other components are connected to."""
