include $(BOARD_DIR)/../ESP8266_GENERIC/mpconfigboard.mk
