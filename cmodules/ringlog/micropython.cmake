add_library(usermod_ringlog INTERFACE)
target_sources(usermod_ringlog INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/ringlog.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_ringlog.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_write.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_logger.c
    ${CMAKE_CURRENT_LIST_DIR}/mod_memory.c
)
target_include_directories(usermod_ringlog INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(usermod INTERFACE usermod_ringlog)
