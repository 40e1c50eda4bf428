# find_package(tsm_edge CONFIG REQUIRED PATHS BUNDLE NO_DEFAULT_PATH), then one of
#   target_link_libraries(program tsm_edge::tsm)      linked with this bundle
#   target_link_libraries(program tsm_edge::headers)  tsm_edge.hpp opens bundles at run time
set(tsm_edge_VERSION "@VERSION@")
find_package(Threads REQUIRED)
if(NOT TARGET tsm_edge::headers)
  add_library(tsm_edge::headers INTERFACE IMPORTED)
  set_target_properties(tsm_edge::headers PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}"
    INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")
endif()
if(NOT TARGET tsm_edge::tsm)
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/libtsm.so")
    add_library(tsm_edge::tsm SHARED IMPORTED)
    set_target_properties(tsm_edge::tsm PROPERTIES IMPORTED_LOCATION "${CMAKE_CURRENT_LIST_DIR}/libtsm.so"
      IMPORTED_SONAME libtsm.so)
  else()
    add_library(tsm_edge::tsm STATIC IMPORTED)
    set_target_properties(tsm_edge::tsm PROPERTIES IMPORTED_LOCATION "${CMAKE_CURRENT_LIST_DIR}/libtsm.a")
  endif()
  set_target_properties(tsm_edge::tsm PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;m;${CMAKE_DL_LIBS}")
endif()
