# Ports and backends, as the control plane changes them.

cdef Port *new_port(Engine *engine, int fd, bint local, bint own) noexcept nogil:
    """A port that does not listen yet; NULL with errno set."""
    cdef Port *port = <Port *>calloc(1, sizeof(Port))
    if port == NULL:
        return NULL
    pthread_mutex_init(&port.lock, NULL)
    port.engine = engine
    port.local = local
    port.counters = <Counters *>calloc(engine.width, sizeof(Counters))
    port.listener = fcntl(fd, F_DUPFD_CLOEXEC, 3)
    if port.counters == NULL or port.listener < 0 or not enrol(port):
        free_port(port)
        return NULL
    prepare_listener(port, own)
    return port


cdef bint enrol(Port *port) noexcept nogil:
    cdef Engine *engine = port.engine
    cdef Port **grown
    pthread_mutex_lock(&engine.lock)
    grown = <Port **>realloc(engine.ports, (engine.port_count + 1) * sizeof(Port *))
    if grown != NULL:
        engine.ports = grown
        port.number = engine.port_count
        engine.ports[port.number] = port
        engine.port_count += 1
    pthread_mutex_unlock(&engine.lock)
    return grown != NULL


cdef void prepare_listener(Port *port, bint own) noexcept nogil:
    cdef int flags = fcntl(port.listener, F_GETFL)
    if not flags & O_NONBLOCK:
        if own:
            fcntl(port.listener, F_SETFL, flags | O_NONBLOCK)
        else:
            port.guarded = 1
    if not port.local:
        # Inherited by what it accepts.
        set_option(port.listener, IPPROTO_TCP, TCP_NODELAY, 1)
        keep_alive(port.listener)


cdef int start_listening(Port *port) noexcept nogil:
    cdef Engine *engine = port.engine
    cdef int index, error = 0
    pthread_mutex_lock(&engine.lock)
    ordered_store(&port.listening, 1)
    for index in range(engine.width):
        if not error and not ordered_load(&engine.workers[index].deaf):
            error = listen_at(&engine.workers[index], port)
    pthread_mutex_unlock(&engine.lock)
    return error


cdef void stop_listening(Port *port) noexcept nogil:
    ordered_store(&port.listening, 0)
    command(port.engine, STOP_LISTENING, port, NULL)


cdef void shut_port(Port *port) noexcept nogil:
    """Stop listening for good, and tell if no connection is left."""
    stop_listening(port)
    pthread_mutex_lock(&port.engine.lock)
    close_listener(port)
    pthread_mutex_unlock(&port.engine.lock)
    ordered_store(&port.closed, 1)
    seek_again(port)
    if ordered_load(&port.open) == 0:
        tell_idle(port)


cdef void enlist(Port *port, Backend *b) noexcept nogil:
    b.port = port
    pthread_mutex_lock(&port.lock)
    b.next = port.backends
    port.backends = b
    pthread_mutex_unlock(&port.lock)


cdef int append(Port *port, Backend *b) noexcept nogil:
    """Have a backend serve beside the others: 0, or -errno."""
    cdef int error
    cdef Backend **chosen = <Backend **>malloc((port.serving + 1) * sizeof(Backend *))
    if chosen == NULL:
        return -ENOMEM
    # Only the control plane changes the table, and it is here.
    if port.serving:
        memcpy(chosen, port.table, port.serving * sizeof(Backend *))
    chosen[port.serving] = b
    error = install(port, chosen, port.serving + 1)
    free(chosen)
    return error


cdef int64_t start_draining(Backend *b) noexcept nogil:
    """Take a backend out of the table: how many connections it has."""
    cdef int64_t active
    pthread_mutex_lock(&b.port.lock)
    active = b.active
    if not b.draining and not b.drained:
        take_out(b)
        start_leaving(b)
    pthread_mutex_unlock(&b.port.lock)
    return active


cdef void set_ejected(Backend *b, bint ejected) noexcept nogil:
    cdef Port *port = b.port
    pthread_mutex_lock(&port.lock)
    # The only one that serves stays.
    if not (ejected and b.serving and port.serving == 1):
        b.ejected = ejected
        choose_living(port)
    pthread_mutex_unlock(&port.lock)


cdef void forget(Backend *b) noexcept nogil:
    cdef Port *port = b.port
    pthread_mutex_lock(&port.lock)
    take_out(b)
    b.removed = 1
    if b.active == 0:
        discard(b)
    pthread_mutex_unlock(&port.lock)


cdef void free_port(Port *port) noexcept nogil:
    close_listener(port)
    while port.backends != NULL:
        discard(port.backends)
    pthread_mutex_destroy(&port.lock)
    free(port.table)
    free(port.live)
    free(port.counters)
    free(port)


cdef void tear_down(Engine *engine) noexcept nogil:
    """Free what `set_up` and everything after it made. Nothing runs any more."""
    cdef int index
    for index in range(engine.port_count):
        free_port(engine.ports[index])
    for index in range(engine.width):
        tear_down_worker(&engine.workers[index])
    free(engine.workers)
    free(engine.ports)
    free(engine.events)
    free(engine.journal)
    close_own(engine.signal)
    pthread_mutex_destroy(&engine.lock)
    pthread_mutex_destroy(&engine.events_lock)
    pthread_cond_destroy(&engine.done)


cdef void tear_down_worker(Worker *w) noexcept nogil:
    cdef Slab *slab
    cdef Pipe *pipe
    while w.slabs != NULL:
        slab = w.slabs
        w.slabs = slab.next
        free(slab)
    while w.pipes != NULL:
        pipe = w.pipes
        w.pipes = pipe.next
        close_pipe(w, pipe)
    close_own(w.epoll)
    close_own(w.wake)
    close_own(w.timer)
    pthread_mutex_destroy(&w.lock)
    free(w.handovers)
    free(w.scratch)


cdef void close_own(int fd) noexcept nogil:
    if fd >= 0:
        close(fd)
