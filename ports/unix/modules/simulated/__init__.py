"""What stands around the simulated board: its node folder, its scripted world, its pins and wires.

Programs use machine and network as on any board; this package is for those two.
"""

folder = None  # absolute path of NODE_DIR/sim
host = None  # file system of the host, rooted there; reachable under no path of the board's own
reset_cause = 1
unique_id = bytes(8)
