# Moving bytes from one side of a connection to the other.
#
# Sockets are edge-triggered: `readable` and `writable` say what is known of them,
# and are cleared only by EAGAIN or, for reading, by a short read that proves the
# source empty. Functions return 0 or -errno, with `*broken` naming the side that
# failed.

cdef enum:
    TURN_BYTES = 262144  # what one flow may move before the others have their turn
    TURN_CALLS = 16
    SPLICE_WORTH = 16384  # a turn that splices less would have been cheaper copied
    SMALL_TURNS = 8  # so many of them in a row end splicing
    SEGMENT = 1200  # certainly sent at once, even by Nagle's algorithm


cdef inline bint pending(Flow *flow) noexcept nogil:
    return flow.length != 0 or flow.piped != 0


cdef int pump(Worker *w, Conn *c, int way, int *broken) noexcept nogil:
    """Move what can be moved, within a turn's budget; then queue for another turn."""
    cdef Flow *flow = &c.flow[way]
    cdef Side *source = &c.side[way]
    cdef Side *sink = &c.side[1 - way]
    cdef int64_t start = flow.moved
    cdef int calls = 0, result = 0

    while True:
        if pending(flow):
            result = flush(w, c, way, broken)
            if result < 0 or pending(flow):
                break
        if flow.eof or not source.readable or not sink.writable:
            break
        if calls == TURN_CALLS or flow.moved - start >= TURN_BYTES:
            queue(w, c)
            break
        calls += 1
        if may_splice(flow, source) and (flow.pipe != NULL or borrow_pipe(w, flow)):
            result = splice_in(flow, source)
        else:
            result = copy(w, c, way, broken)
        if result < 0:
            if result == -EAGAIN:
                result = 0
                break
            if broken[0] < 0:
                broken[0] = way
                source.lost = 1
            break

    if flow.splicing and calls:
        weigh_splicing(flow, flow.moved - start)
    if flow.pipe != NULL and flow.piped == 0:
        return_pipe(w, flow)
    return result


cdef void weigh_splicing(Flow *flow, int64_t moved) noexcept nogil:
    # Large replies end in small turns; only a row of them shows other traffic.
    if moved >= SPLICE_WORTH:
        flow.small = 0
    else:
        flow.small += 1
        if flow.small == SMALL_TURNS:
            flow.small = 0
            flow.splicing = 0


cdef inline bint may_splice(Flow *flow, Side *source) noexcept nogil:
    # Linux splices up to an urgent byte and never past it. (Unix sockets do pass.)
    return flow.splicing and (source.local or not source.wary)


cdef int splice_in(Flow *flow, Side *source) noexcept nogil:
    # The pipe is empty, so that EAGAIN speaks of the source. (Pipes fill by slots:
    # a partly filled one refuses more without regard to bytes.) It is filled as far
    # as it goes, though that may be more than a turn's worth: with calls of 256 KiB,
    # streams of 100 MB cost twice the processor time, and small clients beside them
    # wait longer, not less.
    cdef ssize_t size = splice(
        source.fd, NULL, flow.pipe.ends[1], NULL, PIPE_WISH,
        SPLICE_F_MOVE | SPLICE_F_NONBLOCK
    )
    if size > 0:
        flow.piped = size
    elif size == 0 and source.hung:
        return take_end(flow, source)
    elif size == 0:
        # An end that no event has told of yet, or an urgent byte and one later on:
        # a read tells them apart. (An event of the end would have told of the byte.)
        flow.splicing = 0
    elif errno == EINVAL:
        flow.splicing = 0  # a kind of socket that can't
    elif errno != EINTR:
        if errno == EAGAIN:
            source.readable = 0
        return -errno
    return 0


cdef int copy(Worker *w, Conn *c, int way, int *broken) noexcept nogil:
    """Read once into the scratch buffer, and write that straight on."""
    cdef Flow *flow = &c.flow[way]
    cdef Side *source = &c.side[way]
    cdef ssize_t size = recv(source.fd, w.scratch, SCRATCH, 0)
    if size < 0:
        if errno == EINTR:
            return 0
        if errno == EAGAIN:
            source.readable = 0
        return -errno
    if size == 0:
        return take_end(flow, source)
    if size < SCRATCH:
        # Drained: what comes later is a new edge. But there is none after the end.
        if not source.hung and not source.wary:
            source.readable = 0
    else:
        flow.splicing = 1
        flow.small = 0
    return pass_on(w, c, way, size, broken)


cdef int pass_on(Worker *w, Conn *c, int way, size_t size, int *broken) noexcept nogil:
    """Write the scratch buffer's bytes, and keep what the sink refuses."""
    cdef Flow *flow = &c.flow[way]
    cdef ssize_t sent = put(w, c, way, w.scratch, size)
    if sent < 0:
        if way == UP and flow.moved == 0 and keep(w, flow, 0, size) < 0:
            c.tries = -1  # another backend would not get all of it
        lose_sink(c, way, sent, broken)
        return sent
    if <size_t>sent < size and keep(w, flow, sent, size) < 0:
        broken[0] = way
        return -ENOMEM
    return 0


cdef int keep(Worker *w, Flow *flow, size_t start, size_t end) noexcept nogil:
    """Keep a part of the scratch buffer: 0, or -ENOMEM."""
    flow.stuck = <char *>malloc(end - start)
    if flow.stuck == NULL:
        return -ENOMEM
    bump(&w.buffers_held, 1)
    memcpy(flow.stuck, w.scratch + start, end - start)
    flow.offset = 0
    flow.length = end - start
    return 0


cdef void lose_sink(Conn *c, int way, int error, int *broken) noexcept nogil:
    broken[0] = 1 - way
    if error != -EPIPE:
        # Now the socket's error is spent. (EPIPE says that the end had come first.)
        c.side[1 - way].lost = 1


cdef ssize_t put(
    Worker *w, Conn *c, int way, const char *data, size_t size
) noexcept nogil:
    """Write until the sink refuses: bytes written, or -errno."""
    cdef Side *sink = &c.side[1 - way]
    cdef size_t sent = 0
    cdef ssize_t part
    cdef int error = 0
    while sent < size and sink.writable and not error:
        if sink.sends < 2 and not sink.local:
            hurry(sink, size)
        part = send(sink.fd, data + sent, size - sent, MSG_NOSIGNAL)
        if part >= 0:
            sent += part
        elif errno == EAGAIN:
            sink.writable = 0
        elif errno != EINTR:
            error = errno
    if sent:
        count_bytes(w, c, way, sent)
    return -error if error else <ssize_t>sent


cdef void hurry(Side *sink, size_t size) noexcept nogil:
    # TCP_NODELAY makes a difference from the second segment on; a connection that
    # carries one short request is spared the call.
    cdef int one = 1
    if sink.sends == 0 and size <= SEGMENT:
        sink.sends = 1
        return
    sink.sends = 2
    setsockopt(sink.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))


cdef int flush(Worker *w, Conn *c, int way, int *broken) noexcept nogil:
    """Write what is pending. A sink that refuses is no error: bytes stay."""
    cdef Flow *flow = &c.flow[way]
    cdef ssize_t sent
    if flow.length:
        sent = put(w, c, way, flow.stuck + flow.offset, flow.length)
        if sent < 0:
            lose_sink(c, way, sent, broken)
            return sent
        flow.offset += sent
        flow.length -= sent
        if flow.length == 0:
            drop_stuck(w, flow)
    while flow.piped and c.side[1 - way].writable:
        sent = splice_out(w, c, way)
        if sent < 0:
            lose_sink(c, way, sent, broken)
            return sent
    return 0


cdef int splice_out(Worker *w, Conn *c, int way) noexcept nogil:
    cdef Flow *flow = &c.flow[way]
    cdef Side *sink = &c.side[1 - way]
    if sink.sends < 2 and not sink.local:
        hurry(sink, flow.piped)
    # Without SPLICE_F_MORE, which would hold back the last segment. There is no
    # MSG_NOSIGNAL here: SIGPIPE is blocked in threads and ignored by Python.
    cdef ssize_t size = splice(
        flow.pipe.ends[0], NULL, sink.fd, NULL, flow.piped,
        SPLICE_F_MOVE | SPLICE_F_NONBLOCK
    )
    if size >= 0:
        if size < <ssize_t>flow.piped:
            sink.unsure = 1
        flow.piped -= size
        count_bytes(w, c, way, size)
    elif errno == EAGAIN:
        sink.writable = 0
    elif errno != EINTR:
        return -errno
    return 0


cdef void drop_stuck(Worker *w, Flow *flow) noexcept nogil:
    if flow.stuck == NULL:
        return
    free(flow.stuck)
    flow.stuck = NULL
    flow.length = 0
    bump(&w.buffers_held, -1)
