add_library(usermod_mqttpacket INTERFACE)
target_sources(usermod_mqttpacket INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket.c
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket_codes.c
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket_encode.c
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket_parse.c
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket_props.c
    ${CMAKE_CURRENT_LIST_DIR}/mqttpacket_strings.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_decoder.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_message.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_mqttpacket.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_poke.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_writer.c
)
target_include_directories(usermod_mqttpacket INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(usermod INTERFACE usermod_mqttpacket)
