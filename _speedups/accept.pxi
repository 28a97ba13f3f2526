# Taking connections from listeners, and sharing them out among the workers.

cdef enum:
    ACCEPTS = 16  # in one turn: open connections come first
    PAUSE = 100000000  # nanoseconds without accepting, when the host can't


cdef int listen_at(Worker *w, Port *port) noexcept nogil:
    # One worker is woken for a newcomer, not all. Such an entry can't be modified,
    # only removed and added again.
    cdef epoll_event event
    event.events = EPOLLIN | EPOLLEXCLUSIVE
    event.data.u64 = <uint64_t>port | PORT_TAG
    if epoll_ctl(w.epoll, EPOLL_CTL_ADD, port.listener, &event) < 0:
        return 0 if errno == EEXIST else -errno
    return 0


cdef void unlisten(Worker *w, Port *port) noexcept nogil:
    epoll_ctl(w.epoll, EPOLL_CTL_DEL, port.listener, NULL)


cdef void accept_batch(Worker *w, Port *port) noexcept nogil:
    """Accept what waits at a listener, up to a turn's worth."""
    cdef Worker *other
    cdef int fd, count
    for count in range(ACCEPTS):
        if not ordered_load(&port.listening) or ordered_load(&w.deaf):
            return
        if not reserve(w.engine):
            pause_accept(w, 0)
            return
        fd = take(port)
        if fd < 0:
            unreserve(w.engine)
            if fd == -EAGAIN:
                return
            if not is_their_fault(-fd):
                refuse(w, port, -fd)
                return
            continue
        bump(&w.accepted, 1)
        bump(&counters(w, port).accepted, 1)
        ordered_add(&port.open, 1)
        other = less_loaded(w)
        if other == NULL or not hand_over(other, port, fd):
            relaxed_add(&w.active, 1)
            begin(w, port, fd)
        else:
            bump(&w.handed_over, 1)


cdef int take(Port *port) noexcept nogil:
    cdef int fd
    cdef pollfd asked
    if not port.guarded:
        fd = accept4(port.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        return fd if fd >= 0 else -errno

    # A blocking listener that is not ours to change: never accept on suspicion, and
    # never two workers at once.
    asked.fd = port.listener
    asked.events = POLLIN
    pthread_mutex_lock(&port.lock)
    if poll(&asked, 1, 0) > 0:
        fd = accept4(port.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        fd = fd if fd >= 0 else -errno
    else:
        fd = -EAGAIN
    pthread_mutex_unlock(&port.lock)
    return fd


cdef bint is_their_fault(int error) noexcept nogil:
    # Linux reports the newcomer's network errors here, too; the next may be fine.
    return error in (
        EINTR, ECONNABORTED, EPROTO, ENOPROTOOPT, ENETDOWN, ENETUNREACH,
        EHOSTDOWN, EHOSTUNREACH, ENONET, EOPNOTSUPP,
    )


cdef void refuse(Worker *w, Port *port, int error) noexcept nogil:
    """Can't accept, as a rule for want of descriptors: pause, not spin."""
    report(w, port, ACCEPT_FAILED, error)
    pause_accept(w, monotonic() + PAUSE)


cdef bint reserve(Engine *engine) noexcept nogil:
    """Count a client in, unless the limit is reached."""
    if not engine.limit:
        return True
    if ordered_add(&engine.open, 1) <= engine.limit:
        return True
    ordered_add(&engine.open, -1)
    return False


cdef void unreserve(Engine *engine) noexcept nogil:
    if engine.limit:
        ordered_add(&engine.open, -1)


cdef void pause_accept(Worker *w, int64_t until) noexcept nogil:
    """Leave newcomers in the backlog until then, or (0) until connections end."""
    cdef int index
    # Under the lock, so that the control plane adds no listener meanwhile: a deaf
    # worker would be woken by it without end.
    pthread_mutex_lock(&w.engine.lock)
    for index in range(w.engine.port_count):
        unlisten(w, w.engine.ports[index])
    w.deaf_until = until
    ordered_store(&w.deaf, 1)
    pthread_mutex_unlock(&w.engine.lock)
    if not until and ordered_load(&w.engine.open) < w.engine.limit:
        # The last one ended before it could see that somebody waits for it.
        ring(w.wake)


cdef void listen_again(Worker *w) noexcept nogil:
    """Hear again, if it is time or if there is room."""
    cdef int index
    cdef Port *port
    if w.deaf_until:
        if w.now < w.deaf_until:
            return
    elif w.engine.limit and ordered_load(&w.engine.open) >= w.engine.limit:
        return
    pthread_mutex_lock(&w.engine.lock)
    w.deaf_until = 0
    ordered_store(&w.deaf, 0)
    for index in range(w.engine.port_count):
        port = w.engine.ports[index]
        if ordered_load(&port.listening):
            listen_at(w, port)
    pthread_mutex_unlock(&w.engine.lock)


cdef uint64_t draw(Worker *w) noexcept nogil:
    # xorshift64: any numbers will do, as long as they differ.
    w.random ^= w.random << 13
    w.random ^= w.random >> 7
    w.random ^= w.random << 17
    return w.random >> 11


cdef Worker *less_loaded(Worker *w) noexcept nogil:
    """One random other worker, if this one holds a quarter more than it; else NULL."""
    cdef Worker *other
    cdef int index
    if w.engine.width == 1:
        return NULL
    index = draw(w) % (w.engine.width - 1)
    other = &w.engine.workers[index if index < w.index else index + 1]
    if relaxed_load(&w.active) * 4 > relaxed_load(&other.active) * 5:
        return other
    return NULL


cdef bint hand_over(Worker *other, Port *port, int fd) noexcept nogil:
    cdef Handover *grown
    cdef int capacity
    cdef bint done = True
    pthread_mutex_lock(&other.lock)
    if other.handed == other.capacity:
        capacity = other.capacity * 2 or 16
        grown = <Handover *>realloc(other.handovers, capacity * sizeof(Handover))
        if grown == NULL:
            done = False
        else:
            other.handovers = grown
            other.capacity = capacity
    if done:
        other.handovers[other.handed] = Handover(port, fd)
        other.handed += 1
        relaxed_add(&other.active, 1)
        if other.handed == 1:
            ring(other.wake)
    pthread_mutex_unlock(&other.lock)
    return done


cdef void receive(Worker *w) noexcept nogil:
    """Begin the connections that other workers handed over."""
    cdef int index
    pthread_mutex_lock(&w.lock)
    cdef Handover *handovers = w.handovers
    cdef int count = w.handed
    w.handovers = NULL
    w.handed = w.capacity = 0
    pthread_mutex_unlock(&w.lock)
    for index in range(count):
        begin(w, handovers[index].port, handovers[index].fd)
    free(handovers)


cdef void begin(Worker *w, Port *port, int fd) noexcept nogil:
    """Serve a client, which has been counted in already."""
    cdef Conn *c = new_conn(w)
    if c == NULL:
        reset(fd, port.local)
        relaxed_add(&w.active, -1)
        leave(w.engine, port)
        return
    c.port = port
    c.accepted_at = c.sought_at = c.seen_at = w.now
    c.state = CONNECTING
    c.side[CLIENT].fd = fd
    c.side[CLIENT].writable = 1
    c.side[CLIENT].local = c.side[CLIENT].wary = port.local
    c.side[CLIENT].sends = 2  # the listener has TCP_NODELAY
    if w.engine.journal != NULL:
        c.client = peer(fd)
    if watch(w, c, CLIENT) < 0:
        count_error(w, port, ACCEPT_FAILED)
        finish(w, c, RESET_BOTH)
        return
    attempt(w, c)
