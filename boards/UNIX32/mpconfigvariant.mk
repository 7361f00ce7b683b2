# The same as UNIX; scripts/kit/ports/unix.py adds MICROPY_FORCE_32BIT.
include $(VARIANT_DIR)/../UNIX/mpconfigvariant.mk
