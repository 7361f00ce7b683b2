"""The commands, one file per group; each has a function register(app)."""
