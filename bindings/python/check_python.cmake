# What cannot be supported is said before anything is compiled. objects_base.h says it again to the compiler.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import sys; print('t' in sys.abiflags)"
  OUTPUT_VARIABLE free_threaded
  OUTPUT_STRIP_TRAILING_WHITESPACE)
if(free_threaded STREQUAL "True")
  message(FATAL_ERROR "samebytes does not support free-threaded CPython: build it for the CPython with the GIL")
endif()
