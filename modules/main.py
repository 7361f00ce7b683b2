# Frozen; runs after boot.py. Hands over to your /main.py, else starts the node. See coldframe/startup.py.
import coldframe.startup

coldframe.startup.main(globals())
