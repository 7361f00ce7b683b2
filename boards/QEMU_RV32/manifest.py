# What is frozen: what an ESP32-C3 gets.
include("../../manifest.py", tier="full")
