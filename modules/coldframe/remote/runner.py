"""Code that runs beside the node, though there is only one thread: what it prints goes out, and the node lives on.

The code is a task of the event loop, and as long as it does not await anything, nothing else would run. So the loop is
run inside it for a while: by a timer several times a second, wherever the code is then, and when the buffer for what it
prints is full. There the rest of the node goes on, and there it is seen that the code is to end: then KeyboardInterrupt
is raised in it, as by Ctrl-C.

The code is interrupted between two steps of Python's, never in the middle of a write to the flash.
"""

import asyncio
import gc
import os
import sys
from asyncio import core
from time import ticks_add, ticks_diff, ticks_ms

import runcode
from micropython import const, schedule

from .. import clock, hal
from ..callback import COROUTINE

ROOM = 6144  # bytes of stack that must be left in the code for the node to run inside of it; TLS needs much
_TICK = const(100)  # ms between two turns of the event loop
_TURN = const(25)  # ms of one, at most
_CALM = const(3)  # rounds of the loop without anything to do, after which it ends
_AGAIN = const(1000)  # ms after which code that has caught the interrupt is interrupted again
_SPARE = const(6144)  # bytes of heap that are left when output has to be kept
_TRIES = const(20)  # to send a piece of output while the heap is full
_LAST = const(5000)  # ms for the end of the output when the code was cancelled


class Runner:
    """Runs the code of one command.

    cmd: the Command; names: the dict of its names; limit: seconds, 0 for none.
    Attributes: ended (why the code has to end: "cancelled", "limit", or None).
    """

    ended = None
    _busy = False  # the code itself is running, and may be interrupted
    _deep = False  # the code is on the stack, whatever runs now
    _again = 0  # clock.ms() of the next interrupt
    _timer = None
    _aside = None  # task of _look_after()
    _sending = None  # task that sends what was printed
    _waits = None  # task that the code waits for in a loop of its own
    _fatal = None  # what is to end more than the code
    _tap = None
    _task = _mine = None  # the code's task; that of them which runs the code now
    _over = False  # the code has ended; its value or its traceback is printed

    def __init__(self, cmd, names, limit):
        self.cmd = cmd
        self.names = names
        self._kept = []  # pieces of output that come before what is in the tap
        self._until = clock.ms() + int(limit * 1000) if limit else None

    def start(self):
        """Take the place of os.dupterm, and begin to count the time."""
        self._view = memoryview(bytearray(self.cmd.chunk))
        self._raiser = runcode.Guard(self._raise)
        tap = self._tap = runcode.Tap(self._view, self._full)
        dupterm = getattr(os, "dupterm", None)
        if dupterm:
            tap.other = dupterm(tap)
        self._aside = core.create_task(self._look_after())
        self._loop = core.run_until_complete
        self._before = asyncio.run, core.Loop.run_until_complete, core.new_event_loop
        asyncio.run = core.Loop.run_until_complete = self._run_loop
        core.run_until_complete = self._run_until
        # A new one would have no task of the node's in it.
        asyncio.new_event_loop = core.new_event_loop = core.get_event_loop
        try:
            self._timer = hal.ticks(_TICK, runcode.Guard(self._tick))
        except (OSError, ValueError):
            pass  # there are no more timers: code that prints nothing and awaits nothing cannot be stopped

    def begin(self):
        """What is running now is the task of the code."""
        self._task = self._mine = core.cur_task

    def stop(self):
        """The opposite of start(); without effect the second time."""
        if self._timer:
            self._timer.deinit()
            self._timer = None
        if self._aside:
            self._aside.cancel()
            self._aside = None
            asyncio.run, core.Loop.run_until_complete, core.new_event_loop = self._before
            asyncio.new_event_loop = core.new_event_loop
            core.run_until_complete = self._loop
            dupterm = getattr(os, "dupterm", None)
            if dupterm:
                now = dupterm(self._tap.other)
                if now is not self._tap:
                    dupterm(now)  # the code has put something of its own there
        if self._fatal:
            fatal = self._fatal
            self._fatal = None
            raise fatal

    # ---- for the verbs

    def step(self, function, *args):
        """Call a function of the code's: (True, what it returns) or (False, what it raises)."""
        tap = self._tap
        deep = self._deep
        tap.on = True
        self._deep = self._busy = True
        # From here to the jump in `while`, nothing of ours can be interrupted.
        done, value = runcode.run(function, self.names, *args)
        self._busy = False
        try:
            while self._busy:  # what was to be raised in the code, and comes too late
                pass
        except (KeyboardInterrupt, Exception) as e:
            done = False
            value = e
        tap.on = False
        self._ends()
        self._deep = deep
        return done, value

    def awaited(self, value):
        """Await a value of the code's if it is a coroutine. To be awaited itself; gives what step() does."""
        if not isinstance(value, COROUTINE):
            return True, value
        step = value.send
        arg = None
        while True:
            done, found = self.step(step, arg)
            if not done:
                if isinstance(found, StopIteration):
                    return True, found.value
                return False, found
            if found is not None:
                return True, value  # a generator, which looks the same
            step = value.send
            arg = None
            try:
                yield  # what it awaits has put this task where it is to wait
            except (asyncio.CancelledError, Exception) as e:
                if not self.ended and isinstance(e, asyncio.CancelledError):
                    self.ended = "cancelled"
                step = value.throw
                arg = e

    def show(self, value):
        """Print a value; as step()."""
        if hasattr(os, "dupterm"):
            found = self.step(runcode.show, value)
            print()
        else:
            found = self.step(lambda: self._tap.write(repr(value)))
        return found

    def trace(self, exception):
        """Print the traceback of an exception."""
        self._over = True
        if hasattr(os, "dupterm"):
            self.step(sys.print_exception, exception)
        else:
            self.step(sys.print_exception, exception, self._tap)

    def length(self):
        """Bytes printed so far, modulo 2**30."""
        return self._tap.total

    async def finish(self):
        """Send the rest of the output."""
        session = self.cmd.session
        sid = getattr(session, "sid", None)  # mqrepl's form has none
        if sid and (self.cmd._ended == "gone" or self.cmd.node.remote.sessions.get(sid) is not session):
            return  # nobody takes it
        if self.ended:
            try:
                await asyncio.wait_for_ms(self._drain(), _LAST)
            except asyncio.TimeoutError:
                pass
        else:
            await self._drain()

    # ---- output

    def _full(self):
        # From the tap: no room for what is being printed. Returns what is to be raised in the code.
        if not self.ended or self._over:
            if runcode.room() < ROOM:
                self._keep()
            else:
                self._nest(self._drain(), True)
        if self.ended and not self._over:
            self._tap.len = 0  # nobody waits for it
            self._kept.clear()
            self._stop_code()

    def _keep(self):
        # The node cannot run here: what is printed stays, as long as there is heap for it.
        if hasattr(gc, "mem_free") and gc.mem_free() < _SPARE:
            gc.collect()
            if gc.mem_free() < _SPARE:
                raise MemoryError("the output does not fit into the heap")
        self._kept.append(bytes(self._view))
        self._tap.len = 0

    async def _drain(self):
        while self._tap.len or self._kept or self._sending:
            if not self._sending:
                self._send()
            await core.sleep_ms(0)
            if self._sending:
                await core.sleep_ms(2)

    def _send(self):
        # A copy goes out, so that there is room at once.
        if self._kept:
            data = self._kept.pop(0)
        else:
            data = bytes(self._view[: self._tap.len])
            self._tap.len = 0
        self._sending = core.create_task(self._sent(data))

    async def _sent(self, data):
        try:
            for _ in range(_TRIES):
                try:
                    return await self.cmd.send(data)
                except MemoryError:  # the code has taken it all just now
                    gc.collect()
                    await core.sleep_ms(_TICK)
            self.ended = "memory"
        finally:
            self._sending = None

    async def _look_after(self):
        # The task beside the code.
        while True:
            await core.sleep_ms(_TICK)
            if (self._tap.len or self._kept) and not self._sending:
                self._send()
            if self._due():
                task = self._waits or (None if self._deep else self._task)
                if task:
                    self._again = clock.ms() + _AGAIN
                    if task is core._stop_task:
                        core.Loop.stop()  # of run_forever(), which is not begun before that
                    else:
                        task.cancel()

    # ---- the end of the code

    def _ends(self):
        # Whether the code is to end. A cancel finds the task on the stack, and leaves only this mark.
        task = self._task
        if self._deep and task.data is not None:
            task.data = None
            self.ended = "cancelled"
        elif self._until and clock.ms() > self._until and not self.ended:
            self.ended = "limit"
        return self.ended

    def _due(self):
        return self._ends() and clock.ms() >= self._again

    def _stop_code(self):
        # Raise KeyboardInterrupt in the code, once that is what runs.
        try:
            schedule(self._raiser, None)
        except RuntimeError:
            return  # too much is scheduled; there is a next time
        self._again = clock.ms() + _AGAIN

    def _raise(self, _):
        if self._busy and not self._over and core.cur_task is self._mine:
            return KeyboardInterrupt(self.ended)

    # ---- the event loop inside the code

    def _tick(self, _):
        # From the timer, in the middle of whatever.
        if not self._busy or core.cur_task is not self._mine:
            return
        if runcode.room() >= ROOM:
            try:
                self._nest(self._turn(), False)
            except MemoryError:
                pass  # the code has taken it all
        else:
            self._ends()  # the node waits; but the time limit counts
        if self._due() and not self._over:
            self._stop_code()

    async def _turn(self):
        # One turn of the others: until nothing is left to do at once, or it has taken long enough.
        end = ticks_add(ticks_ms(), _TURN)
        calm = 0
        while calm < _CALM:
            await core.sleep_ms(0)
            now = ticks_ms()
            if ticks_diff(end, now) <= 0:
                return
            head = core._task_queue.peek()
            calm = calm + 1 if head is None or ticks_diff(head.ph_key, now) > 0 else 0

    def _nest(self, coroutine, waits):
        # Run the loop until a coroutine of ours has ended. waits: it may take long.
        before = core.cur_task
        tap = self._tap
        on = tap.on
        tap.on = self._busy = False
        try:
            task = core.cur_task = core.create_task(coroutine)
            if waits:
                self._waits = task
            self._loop(task)
        except asyncio.CancelledError:
            pass  # by _look_after()
        except KeyboardInterrupt:
            # Ctrl-C has hit one of the others; what it meant is the code.
            from coldframe.interrupted import mend

            mend(self.cmd.node)
            raise
        except SystemExit as e:  # machine.soft_reset()
            self._fatal = e
            self.ended = "cancelled"
            raise
        finally:
            self._waits = None
            core.cur_task = before
            tap.on = on
            self._busy = True

    def _run_loop(self, coroutine):
        # asyncio.run() and the like, as the code calls them: in the loop that is there.
        if isinstance(coroutine, core.Task):
            return self._run_until(coroutine)
        task = core.create_task(self.awaited(coroutine))
        self._mine = task
        done, value = self._run_until(task)
        if done:
            return value
        raise value

    def _run_until(self, task=None):
        # The event loop itself.
        if not self._busy:
            return self._loop(task)
        before = core.cur_task
        tap = self._tap
        on = tap.on
        tap.on = self._busy = False
        self._waits = core.cur_task = task
        try:
            return self._loop(task)
        finally:
            self._waits = None
            self._mine = core.cur_task = before
            tap.on = on
            self._busy = True
