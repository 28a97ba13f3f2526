# Deadlines, on a coarse wheel: one slot per tick, and a bit per slot that is taken.
#
# Activity only notes the time. A connection is looked at when its slot comes up,
# and moved on if its deadline has moved meanwhile. What is further away than the
# wheel reaches waits in the last slot and is moved on from there.

cdef void arm(Worker *w, Conn *c, int64_t due) noexcept nogil:
    disarm(w, c)
    cdef int64_t tick = due / w.engine.tick_length + 1
    tick = min(max(tick, w.tick + 1), w.tick + SLOTS - 1)
    c.slot = tick % SLOTS
    c.earlier = NULL
    c.later = w.slots[c.slot]
    if c.later != NULL:
        c.later.earlier = c
    w.slots[c.slot] = c
    w.occupied[c.slot >> 6] |= <uint64_t>1 << (c.slot & 63)


cdef void disarm(Worker *w, Conn *c) noexcept nogil:
    if c.slot < 0:
        return
    if c.later != NULL:
        c.later.earlier = c.earlier
    if c.earlier != NULL:
        c.earlier.later = c.later
    else:
        w.slots[c.slot] = c.later
        if c.later == NULL:
            w.occupied[c.slot >> 6] &= ~(<uint64_t>1 << (c.slot & 63))
    c.slot = -1


cdef int64_t next_tick(Worker *w) noexcept nogil:
    """The next tick whose slot is taken, or -1."""
    cdef int64_t tick = w.tick + 1
    cdef int64_t end = w.tick + SLOTS
    cdef uint64_t bits
    while tick <= end:
        bits = w.occupied[(tick % SLOTS) >> 6] >> (tick & 63)
        if bits:
            return tick + lowest_bit(bits)
        tick = (tick | 63) + 1
    return -1


cdef int64_t next_due(Worker *w) noexcept nogil:
    """When the worker must act though nothing happens, or -1."""
    cdef int64_t tick = next_tick(w)
    cdef int64_t due = -1 if tick < 0 else tick * w.engine.tick_length
    if w.deaf_until and (due < 0 or w.deaf_until < due):
        due = w.deaf_until
    return due


cdef void expire(Worker *w) noexcept nogil:
    cdef int64_t now = w.now / w.engine.tick_length
    cdef int64_t tick = next_tick(w)
    while 0 <= tick <= now:
        w.tick = tick
        while w.slots[tick % SLOTS] != NULL:
            come_due(w, w.slots[tick % SLOTS])
        tick = next_tick(w)
    # With nothing on the wheel before now, it has turned without being watched.
    w.tick = max(w.tick, now)


cdef uint32_t pending_events(Side *side) noexcept nogil:
    """What has come to a socket, and no event has told of yet."""
    cdef pollfd asked
    asked.fd = side.fd
    asked.events = (0 if side.readable else POLLIN) | (0 if side.writable else POLLOUT)
    if asked.events == 0 or poll(&asked, 1, 0) <= 0:
        return 0
    # A hang-up or an error is told again and again.
    return asked.revents if asked.revents & asked.events else 0


cdef void come_due(Worker *w, Conn *c) noexcept nogil:
    cdef uint32_t events
    disarm(w, c)
    if c.state == OPEN:
        inspect(w, c)
    elif c.state == WAITING or c.state == HELD:
        attempt(w, c)
    elif w.now - c.attempted_at >= patience(w, c):
        events = pending_events(&c.side[BACKEND])
        if events:
            # The backend is in time; it is this process that is late.
            on_event(w, c, BACKEND, events)
            return
        miss(w, c, ETIMEDOUT)
        attempt(w, c)
    else:
        arm(w, c, c.attempted_at + patience(w, c))


cdef void inspect(Worker *w, Conn *c) noexcept nogil:
    """Reset a silent connection; keep an eye on the peer of any other."""
    if c.gone:
        flush_client(w, c)
        return
    if not c.kept:
        # Not when it is made: a short connection never needs the five calls.
        c.kept = 1
        if not c.side[BACKEND].local:
            keep_alive(c.side[BACKEND].fd)
    if not w.engine.idle_timeout:
        return
    if w.now - c.seen_at < w.engine.doubt:
        arm(w, c, c.seen_at + w.engine.doubt)
    elif pending_events(&c.side[CLIENT]) or pending_events(&c.side[BACKEND]):
        # They are not silent; it is this process that is late.
        arm(w, c, w.now + w.engine.idle_timeout)
    else:
        judge(w, c)
