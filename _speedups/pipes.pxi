# The pipes that splice needs. A worker has few; a flow borrows one for a turn and
# keeps it only while bytes are stuck in it.

cdef enum:
    PIPES = 64  # open at once
    PIPE_WISH = 1 << 20
    PIPE_LEAST = SCRATCH  # users without privileges get less after a while


cdef Pipe *open_pipe(Worker *w) noexcept nogil:
    if w.pipes_open >= PIPES:
        return NULL
    cdef Pipe *pipe = <Pipe *>malloc(sizeof(Pipe))
    if pipe == NULL:
        return NULL
    if pipe2(pipe.ends, O_NONBLOCK | O_CLOEXEC) < 0:
        free(pipe)
        return NULL
    w.pipes_open += 1
    cdef int size = fcntl(pipe.ends[0], F_SETPIPE_SZ, <int>PIPE_WISH)
    if size < 0:
        size = fcntl(pipe.ends[0], F_GETPIPE_SZ)
    if size < PIPE_LEAST:
        close_pipe(w, pipe)
        return NULL
    return pipe


cdef void close_pipe(Worker *w, Pipe *pipe) noexcept nogil:
    close(pipe.ends[0])
    close(pipe.ends[1])
    free(pipe)
    w.pipes_open -= 1


cdef bint borrow_pipe(Worker *w, Flow *flow) noexcept nogil:
    flow.pipe = w.pipes
    if flow.pipe != NULL:
        w.pipes = flow.pipe.next
        bump(&w.pipes_pooled, -1)
    else:
        flow.pipe = open_pipe(w)
    if flow.pipe != NULL:
        bump(&w.pipes_held, 1)
    return flow.pipe != NULL


cdef void return_pipe(Worker *w, Flow *flow) noexcept nogil:
    """Give back the flow's pipe, if it has one; with bytes in it, it is of no use."""
    cdef Pipe *pipe = flow.pipe
    if pipe == NULL:
        return
    flow.pipe = NULL
    bump(&w.pipes_held, -1)
    if flow.piped:
        flow.piped = 0
        close_pipe(w, pipe)
        return
    pipe.next = w.pipes
    w.pipes = pipe
    bump(&w.pipes_pooled, 1)
