# The chip's own machine module, as one that Python can change: coldframe.hal notes restarts on purpose in it.
from umachine import *
