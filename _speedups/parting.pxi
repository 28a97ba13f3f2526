# A backend that broke before its client had taken all that was received of it.
#
# The client gets the rest at its own pace, and then the end or the reset. What it
# still sends is read and thrown away: to close on it would be a reset at once, and
# would discard what the kernel holds.

cdef enum:  # what Conn.gone says
    GONE = 1
    HEARD_OUT = 2  # and there is nothing more to be read of it

cdef enum:
    GLANCE = 250000000  # nanoseconds: no event tells that the last byte was sent


cdef bint is_owed(Conn *c) noexcept nogil:
    """Whether the client has not taken all yet."""
    return pending(&c.flow[DOWN]) or unsent(&c.side[CLIENT]) > 0


cdef int unsent(Side *sink) noexcept nogil:
    """Bytes that the kernel holds, and would drop at a reset."""
    cdef int size = 0
    if sink.local or ioctl(sink.fd, SIOCOUTQNSD, &size) < 0:
        return 0
    return size


cdef void backend_lost(Worker *w, Conn *c) noexcept nogil:
    """Go on without the backend."""
    cdef Side *backend = &c.side[BACKEND]
    c.gone = GONE if pending(&c.flow[DOWN]) or c.flow[DOWN].eof else HEARD_OUT
    return_pipe(w, &c.flow[UP])
    drop_stuck(w, &c.flow[UP])
    backend.readable = backend.hung = 1
    c.taken = -1
    flush_client(w, c)


cdef void serve_parted(Worker *w, Conn *c, int failed) noexcept nogil:
    """As `serve`. That the backend is in error is known."""
    cdef int broken = CLIENT if failed == CLIENT else -1
    if broken < 0 and disregard(w, c, &broken) == 0 and c.gone == GONE:
        pump(w, c, DOWN, &broken)
    if broken == CLIENT:
        finish(w, c, RESET_OTHER + BACKEND)
        return
    if broken == BACKEND:
        c.gone = HEARD_OUT
    flush_client(w, c)


cdef int disregard(Worker *w, Conn *c, int *broken) noexcept nogil:
    """Read what the client says, within a turn's budget: 0, or -errno."""
    cdef Side *client = &c.side[CLIENT]
    cdef ssize_t size
    cdef int calls = 0
    while client.readable and not c.flow[UP].eof:
        if calls == TURN_CALLS:
            queue(w, c)
            break
        calls += 1
        size = recv(client.fd, w.scratch, SCRATCH, 0)
        if size == 0:
            c.flow[UP].eof = 1
        elif size < 0 and errno == EAGAIN:
            client.readable = 0
        elif size < 0 and errno != EINTR:
            broken[0] = CLIENT
            return -errno
    return 0


cdef void flush_client(Worker *w, Conn *c) noexcept nogil:
    """End as soon as the client has all of it, or takes nothing for too long."""
    cdef Flow *down = &c.flow[DOWN]
    cdef int64_t allowed = w.engine.idle_timeout
    cdef int left
    if over(down):
        end_flow(c, DOWN)
        if c.flow[UP].eof:
            finish(w, c, CLOSE_BOTH)
            return
    left = unsent(&c.side[CLIENT])
    if left == 0 and (over(down) or c.gone == HEARD_OUT):
        finish(w, c, RESET_OTHER + CLIENT)
        return
    if c.taken != down.moved - left:
        c.taken = down.moved - left
        c.attempted_at = w.now
    elif allowed and w.now - c.attempted_at >= allowed and takes_nothing(w, c):
        finish(w, c, RESET_BOTH)
        return
    arm(w, c, w.now + GLANCE)
