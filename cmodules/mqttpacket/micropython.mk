MQTTPACKET_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += \
	$(MQTTPACKET_DIR)/mqttpacket.c \
	$(MQTTPACKET_DIR)/mqttpacket_codes.c \
	$(MQTTPACKET_DIR)/mqttpacket_encode.c \
	$(MQTTPACKET_DIR)/mqttpacket_parse.c \
	$(MQTTPACKET_DIR)/mqttpacket_props.c \
	$(MQTTPACKET_DIR)/mqttpacket_strings.c \
	$(MQTTPACKET_DIR)/mod_decoder.c \
	$(MQTTPACKET_DIR)/mod_message.c \
	$(MQTTPACKET_DIR)/mod_mqttpacket.c \
	$(MQTTPACKET_DIR)/mod_poke.c \
	$(MQTTPACKET_DIR)/mod_writer.c
CFLAGS_USERMOD += -I$(MQTTPACKET_DIR)
