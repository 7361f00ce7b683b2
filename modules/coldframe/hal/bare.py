"""Any machine that coldframe has no file for: all that hal/__init__.py can do without one."""
