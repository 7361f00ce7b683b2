SRC_USERMOD_C += $(USERMOD_DIR)/mod_runcode.c
# For the compiler in py/, which this module asks to take `await` outside of functions.
CFLAGS += -DMICROPY_COMP_ALLOW_TOP_LEVEL_AWAIT=1
