// Package samebytes gives Go the memory pool, the shared bytes and the codec of the C library samebytes.
//
// The C core is compiled into the program, so a C compiler is all that `go build` needs. With the build tag samebytes_shared the
// program links to the shared library instead (found by pkg-config), and then shares pools and views with Python in one process.
//
// Names follow C by one rule: sb_pool_get_block is Pool.GetBlock, sb_pool_open is NewPool, SB_CORRUPT is ErrCorrupt. Errors are *Error,
// and match their status: errors.Is(err, samebytes.ErrCorrupt). The headers in core/include/samebytes are the manual.
//
// # Connections
//
// A Client sends requests on a net.Conn without waiting for the answers of earlier ones; Serve answers them. Both work with any pairs of
// schemas, and read straight into the parser's memory. What the connection said stands in their errors as well: errors.Is(err, io.EOF).
//
// # Closing
//
// Every object with a Close method owns something in C. Close gives it back, may be called again, and may come while other goroutines
// are inside calls on the object. After it every call that can fail returns ErrClosed, and the others return the zero value. What is
// forgotten is closed by the garbage collector, some time later.
//
// # Slices that show C memory
//
// Pool.Get, Block.Data, View.Span, View.Spans, View.GetIovec, Buf.Begin, Buf.BeginIovec, Parser.Buffer, EchoGetRequest and
// EchoGetResponse return slices of C memory without copying it. Each says how long it is valid. Such a slice does not keep the object
// alive: close the object, or call runtime.KeepAlive on it, after the last use of the slice. Everything else returns copies, and nothing
// that belongs to Go is kept by C after a call, the pinned slices of OpenViewForeign aside.
//
// # Streams
//
// A View is an io.Reader, io.ByteReader and io.WriterTo: io.Copy(connection, view) hands its pieces to the kernel without copying them. A Buf
// is an io.Writer, io.ByteWriter, io.StringWriter and io.ReaderFrom: io.Copy(buf, connection) reads straight into its memory.
package samebytes
