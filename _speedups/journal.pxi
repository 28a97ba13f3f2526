# A journal of connections that ended, for who wants to read of each.
#
# It is bounded: what finds no room until it is read is counted, and left out.

cdef sockaddr_storage *peer(int fd) noexcept nogil:
    """Who is at the other end; a socket does not know any more when both are done."""
    cdef socklen_t size = sizeof(sockaddr_storage)
    cdef sockaddr_storage *found = <sockaddr_storage *>calloc(1, size)
    if found != NULL and getpeername(fd, <sockaddr *>found, &size) < 0:
        found.ss_family = 0
    return found


cdef void enter(Worker *w, Conn *c, int ending) noexcept nogil:
    """Write down a connection that ends now; it still has all it had."""
    cdef Engine *engine = w.engine
    cdef Ended *line
    pthread_mutex_lock(&engine.events_lock)
    if engine.entries < engine.journal_size:
        line = &engine.journal[engine.entries]
        engine.entries += 1
        line.port = c.port.number
        line.backend = c.backend.number if c.backend != NULL else 0
        line.broken = ending != CLOSE_BOTH
        line.moved[UP] = c.flow[UP].moved
        line.moved[DOWN] = c.flow[DOWN].moved
        line.lasted = w.now - c.accepted_at
        line.client.ss_family = 0
        if c.client != NULL:
            line.client = c.client[0]
        if engine.entries == 1:
            ring(engine.signal)
    else:
        engine.missed += 1
    pthread_mutex_unlock(&engine.events_lock)
    free(c.client)
    c.client = NULL
