"""The real error is found in what the tools print, whatever comes before and after it."""

from __future__ import annotations

import pytest
from kit import diagnose

MAKE = """CC ../../py/obj.c
CC ../../py/gc.c
../../py/gc.c: In function 'gc_init':
../../py/gc.c:77:5: warning: unused variable 'x' [-Wunused-variable]
../../py/gc.c:80:12: error: 'y' undeclared (first use in this function)
   80 |     return y;
      |            ^
../../py/gc.c:80:12: note: each undeclared identifier is reported only once
../../py/gc.c:90:1: error: expected ';' before '}' token
make: *** [../../py/mkrules.mk:92: build/py/gc.o] Error 1
make: *** Waiting for unfinished jobs....
"""
NINJA = """[12/340] Building C object CMakeFiles/firmware.dir/mod.c.obj
FAILED: CMakeFiles/firmware.dir/mod.c.obj
/usr/bin/arm-none-eabi-gcc -DX -c mod.c
/c/mod.c:1:10: fatal error: nothere.h: No such file or directory
    1 | #include "nothere.h"
      |          ^~~~~~~~~~~
compilation terminated.
ninja: build stopped: subcommand failed.
"""
LINK = """LINK build/firmware.elf
/usr/lib/ld: build/main.o: in function `main':
main.c:(.text+0x1a): undefined reference to `nowhere'
collect2: error: ld returned 1 exit status
make: *** [Makefile:10: build/firmware.elf] Error 1
"""
TOO_BIG = """/usr/lib/ld: firmware.elf section `.text' will not fit in region `FLASH'
/usr/lib/ld: region `FLASH' overflowed by 1234 bytes
collect2: error: ld returned 1 exit status
"""
CMAKE = """-- The C compiler identification is GNU 14.2.0
CMake Error at CMakeLists.txt:510 (target_link_libraries):
  Cannot find source file:

    /c/mod.c

-- Generating done (0.1s)
"""
PYTHON = """GEN build/frozen_content.c
Traceback (most recent call last):
  File "main.py", line 1
    x = = 1
SyntaxError: invalid syntax: x
make: *** [Makefile:3: build/frozen_content.c] Error 1
"""
NO_RULE = """make: *** No rule to make target 'nothere.c', needed by 'nothere.o'.  Stop.
"""


@pytest.mark.parametrize(
    ("output", "first", "count"),
    [
        (
            MAKE,
            "../../py/gc.c:80:12: error: 'y' undeclared (first use in this function)\n   80 |     return y;",
            2,
        ),
        (NINJA, "/c/mod.c:1:10: fatal error: nothere.h: No such file or directory\n    1 | #include", 1),
        (LINK, "main.c:(.text+0x1a): undefined reference to `nowhere'", 1),
        (TOO_BIG, "/usr/lib/ld: firmware.elf section `.text' will not fit in region `FLASH'", 2),
        (
            CMAKE,
            "CMake Error at CMakeLists.txt:510 (target_link_libraries):\n  Cannot find source file:\n    /c/m",
            1,
        ),
        (PYTHON, "SyntaxError: invalid syntax: x", 1),
        (NO_RULE, "make: *** No rule to make target 'nothere.c'", 1),
        ("all is well\n", None, 0),
    ],
)
def test_the_first_real_error_is_found(output: str, first: str | None, count: int) -> None:
    found = diagnose.errors(output)
    assert len(found) == count
    if first is not None:
        assert found[0].startswith(first)
        assert "*** [" not in found[0]
