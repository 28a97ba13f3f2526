# Orders from the control plane to the workers, and the engine's own life.
#
# An order returns when every worker has carried it out: after `pause` no connection
# is accepted any more, and a closed listener's number can't be taken for another's.

cdef int64_t command(
    Engine *engine, Order order, Port *port, Backend *b
) noexcept nogil:
    """Have every worker carry out an order; return the sum of what they say."""
    cdef Command given = Command(order, port, b, 0)
    cdef int index
    if not engine.threads or not engine.started or ordered_load(&engine.stopping):
        for index in range(engine.width):
            engine.workers[index].now = monotonic()
            given.result += carry_out(&engine.workers[index], &given)
            reclaim(&engine.workers[index])
        return given.result

    pthread_mutex_lock(&engine.lock)
    engine.command = &given
    engine.orders += 1
    engine.outstanding = engine.width
    for index in range(engine.width):
        ring(engine.workers[index].wake)
    while engine.outstanding:
        pthread_cond_wait(&engine.done, &engine.lock)
    engine.command = NULL
    pthread_mutex_unlock(&engine.lock)
    return given.result


cdef void obey(Worker *w) noexcept nogil:
    cdef Engine *engine = w.engine
    cdef Command *given = NULL
    cdef int64_t result
    pthread_mutex_lock(&engine.lock)
    if engine.command != NULL and w.obeyed != engine.orders:
        w.obeyed = engine.orders
        given = engine.command
    pthread_mutex_unlock(&engine.lock)
    if given == NULL:
        return
    result = carry_out(w, given)
    pthread_mutex_lock(&engine.lock)
    given.result += result
    engine.outstanding -= 1
    if engine.outstanding == 0:
        pthread_cond_signal(&engine.done)
    pthread_mutex_unlock(&engine.lock)


cdef int64_t carry_out(Worker *w, const Command *given) noexcept nogil:
    if given.order == STOP_LISTENING:
        unlisten(w, given.port)
        return 0
    cdef Slab *slab = w.slabs
    cdef int64_t count = 0
    cdef int index
    while slab != NULL:
        for index in range(SLAB):
            if given.order == SEEK_AGAIN:
                rouse(w, &slab.conns[index], given.port)
            elif given.order == RECALL:
                count += recall(w, &slab.conns[index], given.backend)
            else:
                count += cut_one(w, &slab.conns[index], given)
        slab = slab.next
    if w.ready != NULL:
        ring(w.wake)  # without threads nothing else has the loop come back
    return count


cdef void rouse(Worker *w, Conn *c, Port *port) noexcept nogil:
    # Not at once: the control plane waits for this order, and they may be many.
    if c.state == HELD and c.port == port:
        queue(w, c)


cdef int redirect(Worker *w, Conn *c, Backend *gone) noexcept nogil:
    """Have one that is still being connected to *gone* go elsewhere: 1, or 0."""
    if c.state != CONNECTING or c.backend != gone:
        return 0
    connect_failed(w, c)
    attempt(w, c)
    return 1


cdef int recall(Worker *w, Conn *c, Backend *gone) noexcept nogil:
    """The same for one that is connected already, but for nothing yet."""
    if c.state != OPEN or c.backend != gone or not untouched(c):
        return redirect(w, c, gone)
    c.sought_at = w.now
    turn_from(w, c)
    return 1


cdef int cut_one(Worker *w, Conn *c, const Command *given) noexcept nogil:
    """Reset a connection that an order is about: 1, or 0 if it is not."""
    if c.state == FREE:
        return 0
    if given.order == CUT_BACKEND and c.backend != given.backend:
        return 0
    if given.order == CUT_PORT and c.port != given.port:
        return 0
    if given.order == CUT_BACKEND and redirect(w, c, given.backend):
        # Its client has no part in this yet.
        return 0
    if not c.gone:
        count_error(w, c.port, CUT)
    finish(w, c, RESET_BOTH)
    return 1


cdef int set_up(Engine *engine) noexcept nogil:
    """Make the engine's descriptors and memory: 0, or -errno."""
    cdef Worker *w
    cdef int index, error = 0
    pthread_mutex_init(&engine.lock, NULL)
    pthread_mutex_init(&engine.events_lock, NULL)
    pthread_cond_init(&engine.done, NULL)
    engine.signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if engine.signal < 0:
        return -errno
    if engine.journal_size:
        engine.journal = <Ended *>malloc(engine.journal_size * sizeof(Ended))
        if engine.journal == NULL:
            return -ENOMEM
    engine.workers = <Worker *>calloc(engine.width, sizeof(Worker))
    if engine.workers == NULL:
        engine.width = 0
        return -ENOMEM
    for index in range(engine.width):
        w = &engine.workers[index]
        w.epoll = w.wake = w.timer = -1
    for index in range(engine.width):
        error = error or set_up_worker(engine, index)
    return error


cdef int set_up_worker(Engine *engine, int index) noexcept nogil:
    cdef Worker *w = &engine.workers[index]
    w.engine = engine
    w.index = index
    w.now = monotonic()
    w.tick = w.now / engine.tick_length
    w.random = (w.now ^ (<uint64_t>w >> 4)) | 1
    pthread_mutex_init(&w.lock, NULL)
    w.scratch = <char *>malloc(SCRATCH)
    w.epoll = epoll_create1(EPOLL_CLOEXEC)
    w.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if w.epoll < 0 or w.wake < 0:
        return -errno
    if w.scratch == NULL:
        return -ENOMEM
    if engine.threads:
        return watch_own(w, w.wake)

    # On the loop, whatever should bring it back must be in the set it watches.
    w.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
    if w.timer < 0:
        return -errno
    return (
        watch_own(w, w.wake) or watch_own(w, w.timer) or watch_own(w, engine.signal)
    )


cdef int watch_own(Worker *w, int fd) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN
    event.data.u64 = OWN_TAG
    if epoll_ctl(w.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
        return -errno
    return 0


cdef int launch(Engine *engine) noexcept nogil:
    """Start the threads, deaf to all signals: 0, or -errno and none runs."""
    cdef sigset_t all_signals, before
    cdef int index, error = 0
    sigfillset(&all_signals)
    pthread_sigmask(SIG_SETMASK, &all_signals, &before)
    for index in range(engine.width):
        error = pthread_create(
            &engine.workers[index].thread, NULL, work, &engine.workers[index]
        )
        if error:
            join(engine)
            break
        engine.started += 1
    pthread_sigmask(SIG_SETMASK, &before, NULL)
    return -error


cdef void join(Engine *engine) noexcept nogil:
    """Have the threads end, for good."""
    cdef int index
    ordered_store(&engine.stopping, 1)
    for index in range(engine.started):
        ring(engine.workers[index].wake)
    for index in range(engine.started):
        pthread_join(engine.workers[index].thread, NULL)
    engine.started = 0


cdef void halt(Engine *engine) noexcept nogil:
    """Join the threads, then reset whatever is open."""
    cdef int index
    join(engine)
    for index in range(engine.width):
        engine.workers[index].now = monotonic()
        refuse_handovers(&engine.workers[index])
    for index in range(engine.port_count):
        command(engine, CUT_PORT, engine.ports[index], NULL)
        close_listener(engine.ports[index])


cdef void refuse_handovers(Worker *w) noexcept nogil:
    cdef int index
    for index in range(w.handed):
        reset(w.handovers[index].fd, w.handovers[index].port.local)
        relaxed_add(&w.active, -1)
        leave(w.engine, w.handovers[index].port)
    w.handed = 0


cdef void close_listener(Port *port) noexcept nogil:
    if port.listener >= 0:
        close(port.listener)
        port.listener = -1
