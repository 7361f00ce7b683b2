"""Helpers of bench/client.py."""
