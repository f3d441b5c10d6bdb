"""The functions that may call functions of Go, because a provider of memory may be written in Go: those that reserve memory, and those that
run what waits to be released. Go may not be told `nocallback` of them.

tests/generate/test_calls_back.py holds the list against the call graph of the core.
"""

CALLS_BACK = {
    "sb_buf_reserve",
    "sb_builder_add",
    "sb_builder_add_columns",
    "sb_builder_add_rows",
    "sb_echo_add_request",
    "sb_echo_add_response",
    "sb_memory_drain",
    "sb_memory_get_block",
    "sb_parser_buffer",
    "sb_parser_feed",
    "sb_parser_receive",
    "sb_pool_get_block",
    "sb_view_flatten",
    "sb_view_open",
}
