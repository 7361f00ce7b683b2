# All C modules of Coldframe, for the CMake ports: -DUSER_C_MODULES=.../cmodules/micropython.cmake
# (the make ports take the folder itself and find each module's micropython.mk).
include(${CMAKE_CURRENT_LIST_DIR}/mqttpacket/micropython.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/ringlog/micropython.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/runcode/micropython.cmake)
