# Everything comes from Debian packages; packaging/dependencies lists them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(tl-expected CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(Protobuf REQUIRED)
find_library(HVGUARD_PROTOBUF_ARCHIVE libprotobuf.a REQUIRED)
add_library(hvguard_static_protobuf STATIC IMPORTED GLOBAL)
set_target_properties(hvguard_static_protobuf PROPERTIES
  IMPORTED_LOCATION "${HVGUARD_PROTOBUF_ARCHIVE}"
  INTERFACE_INCLUDE_DIRECTORIES "${Protobuf_INCLUDE_DIRS}"
  INTERFACE_LINK_LIBRARIES Threads::Threads)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.1)
pkg_check_modules(LIBSYSTEMD REQUIRED IMPORTED_TARGET libsystemd>=252)
if(HVGUARD_GATEWAY)
  find_package(gRPC CONFIG REQUIRED)
endif()
if(HVGUARD_TESTS)
  find_package(GTest REQUIRED)
endif()
