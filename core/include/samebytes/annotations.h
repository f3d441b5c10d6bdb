#ifndef SAMEBYTES_ANNOTATIONS_H
#define SAMEBYTES_ANNOTATIONS_H

/** # Annotations: what the headers say that C cannot
 *
 *  Each macro is empty in C. Under SB_GENERATE it becomes an attribute that bindings/generate reads, so that the headers are the one
 *  description of the API in every language. The generator refuses a function or parameter that does not say enough.
 *
 *  | macro | on | meaning |
 *  |---|---|---|
 *  | SB_API, SB_API_VOID | function | part of the ABI; SB_API's result must be used, SB_API_VOID is for functions without a result |
 *  | SB_FUNCTION | function | belongs to no handle |
 *  | SB_CONSTRUCTOR | function | makes the handle of its class: sb_x_open..., whose last output is `sb_x **` |
 *  | SB_METHOD | function | its first parameter is the handle it works on |
 *  | SB_DESTRUCTOR | function | closes the handle |
 *  | SB_INIT | function | fills an options structure: sb_x_options_init |
 *  | SB_BLOCKING | function | may wait or run long: Python releases the GIL around it |
 *  | SB_CALLS_BACK | function | may call a provider of memory, and so a function of Go: cgo is not told `nocallback` |
 *  | SB_IN, SB_OUT, SB_INOUT | pointer parameter | read, written on success only, read and written |
 *  | SB_COUNT(n) | pointer parameter or field | it points to `n` items (bytes for `void`), n being another parameter or field |
 *  | SB_NULLABLE | pointer parameter or field | NULL is allowed |
 *  | SB_OWNED | output parameter, or function for its result | the caller gets it and closes it |
 *  | SB_BORROWED(of) | output parameter, or function for its result | it is valid as long as parameter `of` says; `forever` for constants |
 *  | SB_BORROWED(forever) | SB_IN address without a count | the library keeps the address, and never reads what is there |
 *  | SB_TAKES | pointer parameter | the callee takes it over, unless it returns an error |
 *  | SB_NATIVE | function, structure, pointer in options | for C only: bindings leave it out, the pointer 0; such a structure may have functions |
 *  | SB_FOREIGN(type) | type of an SB_OUT parameter | somebody else's structure; `void` to bindings, which pass its address on | */

#if defined(SB_GENERATE)
#define SB_ANNOTATE(text) __attribute__((annotate("sb:" text)))
#define SB_API SB_ANNOTATE("api")
#define SB_API_VOID SB_ANNOTATE("api_void")
#else
#define SB_ANNOTATE(text)
/* Only a build of the shared library exports; a core that is compiled into a program stays hidden in it. */
#if defined(SB_BUILD_SHARED)
#define SB_EXPORT __attribute__((visibility("default")))
#elif defined(SB_BUILD_HIDDEN)
#define SB_EXPORT __attribute__((visibility("hidden")))
#else
#define SB_EXPORT
#endif
#define SB_API SB_EXPORT __attribute__((warn_unused_result))
#define SB_API_VOID SB_EXPORT
#endif

#define SB_FUNCTION SB_ANNOTATE("function")
#define SB_CONSTRUCTOR SB_ANNOTATE("constructor")
#define SB_METHOD SB_ANNOTATE("method")
#define SB_DESTRUCTOR SB_ANNOTATE("destructor")
#define SB_INIT SB_ANNOTATE("init")
#define SB_BLOCKING SB_ANNOTATE("blocking")
#define SB_CALLS_BACK SB_ANNOTATE("calls_back")
#define SB_IN SB_ANNOTATE("in")
#define SB_OUT SB_ANNOTATE("out")
#define SB_INOUT SB_ANNOTATE("inout")
#define SB_COUNT(n) SB_ANNOTATE("count=" #n)
#define SB_NULLABLE SB_ANNOTATE("nullable")
#define SB_OWNED SB_ANNOTATE("owned")
#define SB_BORROWED(of) SB_ANNOTATE("borrowed=" #of)
#define SB_TAKES SB_ANNOTATE("takes")
#define SB_NATIVE SB_ANNOTATE("native")

#if defined(SB_GENERATE) || defined(SB_BINDING)
#define SB_FOREIGN(type) void
#else
#define SB_FOREIGN(type) type
#endif

#if !defined(SB_GENERATE)
#if !defined(__linux__) || !defined(__LP64__)
#error "samebytes supports 64-bit Linux (glibc or musl) only"
#endif
#endif

#ifdef __cplusplus
#define SB_BEGIN_DECLS extern "C" {
#define SB_END_DECLS }
#else
#define SB_BEGIN_DECLS
#define SB_END_DECLS
#endif

#endif
