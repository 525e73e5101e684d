# Compile and link options that every target of ours takes: link hvguard_options.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

include(CheckPIESupported)
check_pie_supported()

add_library(hvguard_options INTERFACE)
target_compile_definitions(hvguard_options INTERFACE
  HVGUARD_VERSION="${PROJECT_VERSION}"
  _GLIBCXX_ASSERTIONS)
target_compile_options(hvguard_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wimplicit-fallthrough -Wundef
  -fstack-protector-strong -fstack-clash-protection -fcf-protection)
target_link_options(hvguard_options INTERFACE -Wl,-z,relro,-z,now)
# hvguardd locks its whole program in memory: what nothing calls is left out.
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)

if(HVGUARD_SANITIZE)
  target_compile_options(hvguard_options INTERFACE
    -fsanitize=${HVGUARD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hvguard_options INTERFACE -fsanitize=${HVGUARD_SANITIZE})
  if(HVGUARD_SANITIZE MATCHES "undefined")
    # It asks the kernel through a pipe whether an object is readable, and so calls every object bad
    # in the tests that run out of descriptors.
    target_compile_options(hvguard_options INTERFACE -fno-sanitize=vptr)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(hvguard_options INTERFACE _FORTIFY_SOURCE=2)
endif()

# One static library per folder of agent/: hvguard_add_library(<folder> SOURCES … LINK …).
function(hvguard_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(hvguard_${name} STATIC ${ARG_SOURCES})
  target_include_directories(hvguard_${name} PUBLIC "${PROJECT_SOURCE_DIR}/agent")
  target_link_libraries(hvguard_${name} PUBLIC ${ARG_LINK} PRIVATE hvguard_options)
endfunction()
