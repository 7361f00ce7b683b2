"""Figures: what is left of the heap. They go into dist/measurements.json, where the budgets look at them."""

import gc
import sys

import minitest


def _free():
    gc.collect()
    return gc.mem_free()


def test_heap_after_import():
    loaded = "coldframe" in sys.modules  # a board's boot.py has done it already
    before = _free()
    import coldframe

    assert coldframe.Node and coldframe.Topic  # what an app.py uses
    after = _free()
    minitest.measure("heap_free_after_import_bytes", after)
    minitest.measure("heap_total_bytes", after + gc.mem_alloc())
    if not loaded:
        minitest.measure("heap_used_by_import_bytes", before - after)
        # Where the heap is as small as the smallest chip's, the framework alone must leave most of it.
        assert after > (after + gc.mem_alloc()) // 2, after


minitest.run(globals())
