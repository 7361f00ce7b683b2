"""What importing the log costs on a target whose boot.py has not done it: the ring, and the module itself."""

import gc
import sys

import minitest


def test_heap_used_by_the_log():
    if "coldframe.log" in sys.modules:
        minitest.skip("imported at boot")
    import coldframe

    gc.collect()
    before = gc.mem_alloc()
    assert coldframe.log.ring is not None
    gc.collect()
    used = gc.mem_alloc() - before
    minitest.measure("log_ram_bytes", used)
    assert 1024 < used < 6000, used


minitest.run(globals())
