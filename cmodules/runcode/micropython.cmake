add_library(usermod_runcode INTERFACE)
target_sources(usermod_runcode INTERFACE ${CMAKE_CURRENT_LIST_DIR}/mod_runcode.c)
# For the compiler in py/, which this module asks to take `await` outside of functions.
target_compile_definitions(usermod_runcode INTERFACE MICROPY_COMP_ALLOW_TOP_LEVEL_AWAIT=1)
target_link_libraries(usermod INTERFACE usermod_runcode)
