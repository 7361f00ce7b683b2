RINGLOG_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(addprefix $(RINGLOG_DIR)/,ringlog.c mod_ringlog.c mod_write.c mod_logger.c mod_memory.c)
CFLAGS_USERMOD += -I$(RINGLOG_DIR)
