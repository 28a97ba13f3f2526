# How connections end: one direction after the other, or all at once.

cdef enum Ending:
    CLOSE_BOTH
    RESET_BOTH
    RESET_OTHER = 4  # + the side that is to be reset; its opposite is closed

cdef enum:
    FIGURES = 136  # bytes of tcp_figures, up to and with `received`


cdef int take_end(Flow *flow, Side *source) noexcept nogil:
    """
    A read found nothing more: note the end and return 0, or -ECONNRESET.

    A splice that meets its sink's error after the first bytes tells of the bytes
    only, and the error is spent: a reset looks like an end from then on. But Linux
    counts an end as one more byte received.
    """
    if source.lost or source.unsure and was_reset(flow, source):
        return -ECONNRESET
    flow.eof = 1
    return 0


cdef bint was_reset(Flow *flow, Side *source) noexcept nogil:
    cdef tcp_figures known
    cdef uint64_t taken = flow.moved + flow.length + flow.piped
    if not read_figures(source, &known):
        return False
    # An urgent byte counts as well, and is not read.
    return known.state == TCP_CLOSE and (known.received == taken or source.wary)


cdef bint read_figures(Side *side, tcp_figures *known) noexcept nogil:
    """Ask the kernel what it knows of a TCP socket; return whether it says."""
    cdef socklen_t size = sizeof(tcp_figures)
    memset(known, 0, sizeof(tcp_figures))
    return (
        not side.local
        and getsockopt(side.fd, IPPROTO_TCP, TCP_INFO, known, &size) == 0
        and size >= FIGURES
    )


cdef inline bint over(Flow *flow) noexcept nogil:
    return flow.eof and not pending(flow)


cdef void settle(Worker *w, Conn *c) noexcept nogil:
    """Pass on the end of a flow, or end the connection after both."""
    cdef bint up = over(&c.flow[UP])
    cdef bint down = over(&c.flow[DOWN])
    if not up and not down:
        return
    if down and not c.flow[DOWN].ended:
        look_for_silence(c)
        if retry_other_backend(w, c):
            return
    if up and down:
        # No shutdown for the flow that ends now: the close says it, too.
        finish(w, c, CLOSE_BOTH)
    elif up:
        end_flow(c, UP)
    else:
        end_flow(c, DOWN)


cdef void end_flow(Conn *c, int way) noexcept nogil:
    # A half-close: the opposite flow lives as long as it likes.
    if not c.flow[way].ended:
        c.flow[way].ended = 1
        shutdown(c.side[1 - way].fd, SHUT_WR)


cdef inline bint client_left(Conn *c) noexcept nogil:
    return c.flow[UP].eof or c.side[CLIENT].hung


cdef inline bint is_silent(Conn *c) noexcept nogil:
    """Whether not a byte has come of the backend."""
    return c.flow[DOWN].moved == 0 and not pending(&c.flow[DOWN])


cdef void look_for_silence(Conn *c) noexcept nogil:
    # Ended without a byte, and not because the client had left.
    if is_silent(c) and not client_left(c):
        pthread_mutex_lock(&c.port.lock)
        c.backend.suspicions += 1
        c.backend.broken += 1
        pthread_mutex_unlock(&c.port.lock)
        suspect(c.backend, 0)


cdef void look_for_break(Conn *c) noexcept nogil:
    # Reset after its first byte and before its end, the client being there.
    if not is_silent(c) and not c.flow[DOWN].eof and not client_left(c):
        pthread_mutex_lock(&c.port.lock)
        c.backend.broken += 1
        pthread_mutex_unlock(&c.port.lock)


cdef void abort(Worker *w, Conn *c, int side) noexcept nogil:
    """
    A side is broken: pass on what it had still sent, then break the other, too.

    A truncated reply must not look complete, and one that was complete before the
    reset must arrive, however slowly the client takes it.
    """
    cdef int broken = -1
    if not over(&c.flow[side]):
        empty(w, c, side, &broken)
    if side == BACKEND and not c.flow[side].ended:
        look_for_silence(c)
        if retry_other_backend(w, c):
            return
        look_for_break(c)
    count_error(w, c.port, RESET_BY_BACKEND if side == BACKEND else RESET_BY_CLIENT)
    if side == BACKEND and broken < 0 and is_owed(c):
        backend_lost(w, c)
        return
    if over(&c.flow[side]):
        # The end had come before the break.
        end_flow(c, side)
        if unsent(&c.side[1 - side]):
            # All of it shall arrive, and a reset would discard what has not yet.
            finish(w, c, CLOSE_BOTH)
            return
    finish(w, c, RESET_OTHER + (1 - side))


cdef void empty(Worker *w, Conn *c, int way, int *broken) noexcept nogil:
    """Read a broken source dry and write what the sink takes without waiting."""
    cdef Flow *flow = &c.flow[way]
    cdef ssize_t size
    while flush(w, c, way, broken) == 0 and not pending(flow) and not flow.eof:
        size = recv(c.side[way].fd, w.scratch, SCRATCH, MSG_DONTWAIT)
        if size == 0:
            # Linux reports an end that came first before the reset after it.
            take_end(flow, &c.side[way])
            return
        if size < 0:
            # Its error is spent now.
            c.side[way].lost = 1
            return
        if pass_on(w, c, way, size, broken) < 0:
            return


cdef void finish(Worker *w, Conn *c, int ending) noexcept nogil:
    """Close both sockets and give back everything the connection holds."""
    cdef int side
    if w.engine.journal != NULL:
        enter(w, c, ending)
    disarm(w, c)
    let_loose(w, c)
    for side in range(2):
        return_pipe(w, &c.flow[side])
        drop_stuck(w, &c.flow[side])
        if c.side[side].fd < 0:
            continue
        if ending == RESET_BOTH or ending == RESET_OTHER + side:
            reset(c.side[side].fd, c.side[side].local)
        else:
            close(c.side[side].fd)
    free(c.tried)
    c.tried = NULL
    if c.backend != NULL:
        release(c.backend)
        c.backend = NULL
    observe_duration(w, c)
    relaxed_add(&w.active, -1)
    free_later(w, c)
    leave(w.engine, c.port)


cdef void reset(int fd, bint local) noexcept nogil:
    # Unix sockets know no reset; their peer sees a close.
    cdef linger now
    if not local:
        now.l_onoff = 1
        now.l_linger = 0
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now))
    close(fd)


cdef void leave(Engine *engine, Port *port) noexcept nogil:
    """Count a client out of its port, which may be the last it waited for."""
    cdef int index
    if ordered_add(&port.open, -1) == 0 and ordered_load(&port.closed):
        tell_idle(port)
    if engine.limit:
        ordered_add(&engine.open, -1)
        for index in range(engine.width):
            if ordered_load(&engine.workers[index].deaf):
                ring(engine.workers[index].wake)


cdef void tell_idle(Port *port) noexcept nogil:
    pthread_mutex_lock(&port.lock)
    if not port.told_idle and ordered_load(&port.open) == 0:
        port.told_idle = 1
        tell(port.engine, TELL_IDLE, port.number, 0)
    pthread_mutex_unlock(&port.lock)
