# Which backends serve a port, and which of them is next.
#
# Picking and counting are one step under the port's lock: when a backend has left
# the table, every connection that will ever be its own has been counted.

cdef bint was_tried(Conn *c, Backend *b) noexcept nogil:
    cdef int index
    for index in range(c.tries):
        if c.tried[index] == b.number:
            return True
    return False


cdef bint has_another(Conn *c) noexcept nogil:
    """Whether a backend serves that this client has not been given yet."""
    cdef Port *port = c.port
    cdef bint found = False
    cdef int index
    pthread_mutex_lock(&port.lock)
    if c.tries >= 0:
        for index in range(port.living):
            if port.live[index] != c.backend and not was_tried(c, port.live[index]):
                found = True
                break
    pthread_mutex_unlock(&port.lock)
    return found


cdef void mark_tried(Conn *c, Backend *b) noexcept nogil:
    # Without memory for the list, this attempt is the last one.
    cdef int *grown = <int *>realloc(c.tried, (c.tries + 1) * sizeof(int))
    if grown == NULL:
        c.tries = -1
        return
    c.tried = grown
    c.tried[c.tries] = b.number
    c.tries += 1


cdef Backend *next_in_turn(Port *port) noexcept nogil:
    cdef Backend *b = port.live[port.cursor % port.living]
    port.cursor += 1
    return b


cdef int count_untried(Port *port, Conn *c) noexcept nogil:
    cdef int index, count = port.living
    if c.tries:
        for index in range(port.living):
            count -= was_tried(c, port.live[index])
    return count


cdef Backend *untried(Port *port, Conn *c, int place) noexcept nogil:
    """Return the untried backend at *place*, which is below their count."""
    cdef int index
    if c.tries == 0:
        return port.live[place]
    for index in range(port.living):
        if not was_tried(c, port.live[index]):
            if place == 0:
                return port.live[index]
            place -= 1
    return NULL


cdef Backend *less_busy(Worker *w, Port *port, Conn *c) noexcept nogil:
    """Draw two different backends not yet tried, and return the less busy one."""
    cdef int count = count_untried(port, c)
    cdef int place
    cdef Backend *first
    cdef Backend *second
    if count == 0:
        return NULL
    place = draw(w) % count
    first = untried(port, c, place)
    if count == 1:
        return first
    second = untried(port, c, (place + 1 + draw(w) % (count - 1)) % count)
    return first if first.active <= second.active else second


cdef Backend *acquire(Worker *w, Port *port, Conn *c) noexcept nogil:
    """
    Pick a backend not yet tried for this client and count it in, or NULL.

    Then the client may be HELD, which is decided here, under the lock: whoever puts
    a backend into the table sees it. It starts anew with those that refused it.
    """
    cdef Backend *b = NULL
    pthread_mutex_lock(&port.lock)
    if port.living and c.tries >= 0:
        # A retry leaves the turn as it is. Moved by it, the turn would go round
        # unevenly beside a backend that is dead; followed by it, all connections
        # of a backend that was killed would go to the next in turn.
        if c.tries or w.engine.least:
            b = less_busy(w, port, c)
        else:
            b = next_in_turn(port)
    if b != NULL:
        b.active += 1
    elif (port.serving == 0 or c.tries > 0) and may_hold(w, port, c):
        c.state = HELD
        c.tries = 0
        port.held += 1
    pthread_mutex_unlock(&port.lock)
    return b


cdef bint may_hold(Worker *w, Port *port, Conn *c) noexcept nogil:
    if c.hold_until == 0:
        c.hold_until = w.now + w.engine.backend_wait
    return w.now < c.hold_until and not ordered_load(&port.closed)


cdef void let_loose(Worker *w, Conn *c) noexcept nogil:
    """Hold a client no longer; its search begins anew."""
    if c.state == HELD:
        c.state = CONNECTING
        c.sought_at = w.now
        pthread_mutex_lock(&c.port.lock)
        c.port.held -= 1
        pthread_mutex_unlock(&c.port.lock)


cdef void seek_again(Port *port) noexcept nogil:
    """Have those who are held look at the table once more."""
    cdef int held
    pthread_mutex_lock(&port.lock)
    held = port.held
    pthread_mutex_unlock(&port.lock)
    if held:
        command(port.engine, SEEK_AGAIN, port, NULL)


cdef void release(Backend *b) noexcept nogil:
    """Count a connection out; the last one of a draining backend is told."""
    cdef Port *port = b.port
    pthread_mutex_lock(&port.lock)
    b.active -= 1
    if b.active == 0:
        finish_draining(b)
        if b.removed:
            discard(b)
    pthread_mutex_unlock(&port.lock)


cdef void start_leaving(Backend *b) noexcept nogil:
    b.draining = 1
    b.drained = 0
    finish_draining(b)


cdef void finish_draining(Backend *b) noexcept nogil:
    if b.draining and b.active == 0 and not b.removed:
        b.draining = 0
        b.drained = 1
        tell(b.port.engine, TELL_DRAINED, b.number, 0)


cdef void discard(Backend *b) noexcept nogil:
    cdef Backend **link = &b.port.backends
    while link[0] != b:
        link = &link[0].next
    link[0] = b.next
    free(b)


cdef void choose_living(Port *port) noexcept nogil:
    """Serve from what is not ejected, or from all of the table if nothing is left."""
    cdef int index, living = 0
    for index in range(port.serving):
        if not port.table[index].ejected:
            port.live[living] = port.table[index]
            living += 1
    cdef bint panicking = living == 0 and port.serving > 0
    if living == 0:
        for index in range(port.serving):
            port.live[index] = port.table[index]
        living = port.serving
    if panicking and not port.panicking:
        port.panics += 1
    port.panicking = panicking
    port.living = living


cdef int install(Port *port, Backend **chosen, int count) noexcept nogil:
    """Swap the table; who is left out drains from this instant on."""
    cdef Backend **table = <Backend **>malloc((count + 1) * sizeof(Backend *))
    cdef Backend **live = <Backend **>malloc((count + 1) * sizeof(Backend *))
    if table == NULL or live == NULL:
        free(table)
        free(live)
        return -ENOMEM
    memcpy(table, chosen, count * sizeof(Backend *))

    cdef int index
    pthread_mutex_lock(&port.lock)
    cdef Backend **old_table = port.table
    cdef Backend **old_live = port.live
    cdef int old = port.serving
    for index in range(old):
        old_table[index].serving = 0
    for index in range(count):
        table[index].serving = 1
        table[index].draining = table[index].drained = 0
    port.table = table
    port.live = live
    port.serving = count
    choose_living(port)
    for index in range(old):
        if not old_table[index].serving:
            start_leaving(old_table[index])
    pthread_mutex_unlock(&port.lock)
    free(old_table)
    free(old_live)
    if count:
        seek_again(port)
    return 0


cdef void take_out(Backend *b) noexcept nogil:
    """Remove from the table, which keeps its order. The port's lock is held."""
    cdef Port *port = b.port
    cdef int index, kept = 0
    for index in range(port.serving):
        if port.table[index] != b:
            port.table[kept] = port.table[index]
            kept += 1
    port.serving = kept
    b.serving = 0
    choose_living(port)
