# A worker: wait for events, do what they say, then what is due anyway.

cdef enum:
    SIDE_TAG = 1  # in epoll's data: a connection's address + its side
    PORT_TAG = 2
    OWN_TAG = 3  # the worker's own descriptors: wake, timer, signal
    LIFE_SHIFT = 48  # above any address; there stands the life of a side


cdef int watch(Worker *w, Conn *c, int side) noexcept nogil:
    """
    Register a socket once and for all: 0, or -errno.

    A close ends that, unless a child that was just forked has the socket as well:
    until it has started its program, events go on.
    """
    cdef epoll_event event
    cdef uint64_t life = c.side[side].life
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET
    event.data.u64 = <uint64_t>c | <uint64_t>side | life << LIFE_SHIFT
    if epoll_ctl(w.epoll, EPOLL_CTL_ADD, c.side[side].fd, &event) < 0:
        return -errno
    return 0


cdef Conn *new_conn(Worker *w) noexcept nogil:
    cdef Conn *c
    cdef Slab *slab
    cdef int index
    if w.free == NULL:
        slab = <Slab *>calloc(1, sizeof(Slab))
        if slab == NULL:
            return NULL
        slab.next = w.slabs
        w.slabs = slab
        for index in range(SLAB):
            slab.conns[index].next = w.free
            w.free = &slab.conns[index]
    c = w.free
    w.free = c.next
    clear(c)
    c.slot = -1
    c.side[CLIENT].fd = c.side[BACKEND].fd = -1
    return c


cdef void clear(Conn *c) noexcept nogil:
    cdef uint16_t lives[2]
    cdef int side
    for side in range(2):
        lives[side] = c.side[side].life + 1
    memset(c, 0, sizeof(Conn))
    for side in range(2):
        c.side[side].life = lives[side]


cdef void free_later(Worker *w, Conn *c) noexcept nogil:
    # Not free before the turn is over, since the batch may still name it; and not
    # before it has left the ready list.
    c.state = FREE
    if not c.queued:
        c.next = w.buried
        w.buried = c


cdef void reclaim(Worker *w) noexcept nogil:
    cdef Conn *c
    while w.buried != NULL:
        c = w.buried
        w.buried = c.next
        c.next = w.free
        w.free = c


cdef void queue(Worker *w, Conn *c) noexcept nogil:
    """Have a connection served again after the others."""
    if c.queued:
        return
    c.queued = 1
    c.next = NULL
    if w.ready == NULL:
        w.ready = c
    else:
        w.ready_tail.next = c
    w.ready_tail = c


cdef void serve(Worker *w, Conn *c, int failed) noexcept nogil:
    """Move what an open connection has to move; *failed* is the side in error or -1."""
    cdef int broken = failed
    if c.gone:
        serve_parted(w, c, failed)
        return
    if broken < 0 and pump(w, c, UP, &broken) == 0:
        pump(w, c, DOWN, &broken)
    if broken >= 0:
        abort(w, c, broken)
    else:
        settle(w, c)


cdef void on_event(Worker *w, Conn *c, int side, uint32_t events) noexcept nogil:
    """Note what an event says of a side, and act on it."""
    cdef Side *s = &c.side[side]
    if c.state == FREE:
        return
    if events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        s.readable = 1
    if events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
        s.hung = 1
    if events & EPOLLPRI:
        s.wary = 1  # reads stop short at the urgent byte
    if events & EPOLLOUT:
        s.writable = 1
    c.seen_at = w.now
    if c.state == OPEN:
        serve(w, c, side if events & EPOLLERR else -1)
    elif side == BACKEND:
        # Else of a socket that has been left in this batch.
        if c.state == CONNECTING:
            conclude(w, c, events)
    elif events & EPOLLERR:
        # Gone before a backend was found. (A client that only ended its requests
        # is served.)
        count_error(w, c.port, RESET_BY_CLIENT)
        finish(w, c, RESET_BOTH)


cdef void dispatch(Worker *w, epoll_event *event) noexcept nogil:
    cdef uint64_t data = event.data.u64
    cdef uint64_t place = data & ((<uint64_t>1 << LIFE_SHIFT) - 4)
    cdef int tag = data & 3
    cdef Conn *c
    if tag <= SIDE_TAG:
        c = <Conn *>place
        if c.side[tag].life == data >> LIFE_SHIFT:
            on_event(w, c, tag, event.events)
    elif tag == PORT_TAG:
        accept_batch(w, <Port *>place)
    else:
        w.summoned = 1


cdef void revisit(Worker *w) noexcept nogil:
    """Give each connection of the ready list one turn."""
    cdef Conn *c = w.ready
    cdef Conn *following
    w.ready = NULL
    while c != NULL:
        following = c.next
        c.queued = 0
        if c.state == OPEN:
            c.seen_at = w.now
            serve(w, c, -1)
        elif c.state == HELD or c.state == WAITING:
            attempt(w, c)
        elif c.state == FREE:
            free_later(w, c)
        c = following


cdef void turn(Worker *w, int timeout) noexcept nogil:
    """Wait at most so many milliseconds (-1: for an event) and do one round."""
    cdef int index
    cdef int count = epoll_wait(w.epoll, w.batch, BATCH, timeout)
    w.now = monotonic()
    if next_tick(w) < 0:
        w.tick = w.now / w.engine.tick_length
    for index in range(count):
        dispatch(w, &w.batch[index])
    revisit(w)
    if w.summoned:
        w.summoned = 0
        silence(w.wake)
        receive(w)
        obey(w)
    expire(w)
    if w.deaf:
        listen_again(w)
    reclaim(w)


cdef int wait_for_events(Worker *w) noexcept nogil:
    """For how many milliseconds the worker may wait for events."""
    cdef int64_t due, now
    if w.ready != NULL:
        return 0
    due = next_due(w)
    if due < 0:
        return -1
    now = monotonic()
    return 0 if due <= now else min((due - now) / 1000000 + 1, 60000)


cdef void *work(void *argument) noexcept nogil:
    cdef Worker *w = <Worker *>argument
    prctl(PR_SET_NAME, <char *>b"dewy-relay")
    while not ordered_load(&w.engine.stopping):
        turn(w, wait_for_events(w))
    return NULL


cdef void step_worker(Worker *w) noexcept nogil:
    """One round on the loop, and see to it that the loop comes back in time."""
    cdef itimerspec when
    cdef int64_t due
    silence(w.timer)
    turn(w, 0)
    if w.ready != NULL:
        ring(w.wake)
    due = next_due(w)
    if due == w.timer_due and due > w.now:
        return
    w.timer_due = due
    memset(&when, 0, sizeof(when))
    if due >= 0:
        when.it_value.tv_sec = due / 1000000000
        when.it_value.tv_nsec = due % 1000000000 + 1
    timerfd_settime(w.timer, TFD_TIMER_ABSTIME, &when, NULL)
