# Frozen; the first program of every boot. Hands over to your /boot.py. See coldframe/startup.py.
try:
    import coldframe.startup

    coldframe.startup.boot(globals())
except Exception as e:  # whatever happens, main.py must have its turn
    import sys

    sys.print_exception(e)
