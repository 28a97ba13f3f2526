# What the control plane reads: events and figures, as Python has them.

cdef list take_events(Relay relay):
    """Empty the queue of events. What names a removed backend is left out."""
    cdef Engine *engine = &relay.engine
    cdef Happening *events
    cdef int count, index
    silence(engine.signal)
    with nogil:
        pthread_mutex_lock(&engine.events_lock)
        events = engine.events
        count = engine.happened
        engine.events = NULL
        engine.happened = engine.events_capacity = 0
        pthread_mutex_unlock(&engine.events_lock)
    try:
        return [
            (events[index].kind, events[index].subject, events[index].detail)
            for index in range(count)
            if note_told(relay, &events[index])
        ]
    finally:
        free(events)


cdef bint note_told(Relay relay, const Happening *event) except -1:
    """Let what is told once be told again, and say whether its subject is known."""
    cdef int cause
    if event.kind == TELL_DRAINED or event.kind == TELL_SUSPECT:
        if event.subject not in relay.backends:
            return False
        if event.kind == TELL_SUSPECT:
            ordered_store(&find_backend(relay, event.subject).suspect_told, 0)
        return True
    for cause in range(CAUSES):
        if TELL_OF[cause] == event.kind:
            ordered_store(&relay.engine.ports[event.subject].told[cause], 0)
    return True


cdef tuple take_entries(Engine *engine):
    """Empty the journal: what is in it, and how many found no room."""
    cdef Ended *taken = NULL
    cdef int count, index
    cdef int64_t missed
    if engine.journal == NULL:
        return [], 0
    taken = <Ended *>malloc(engine.journal_size * sizeof(Ended))
    if taken == NULL:
        raise MemoryError
    with nogil:
        pthread_mutex_lock(&engine.events_lock)
        count = engine.entries
        missed = engine.missed
        memcpy(taken, engine.journal, count * sizeof(Ended))
        engine.entries = 0
        engine.missed = 0
        pthread_mutex_unlock(&engine.events_lock)
    try:
        return [read_entry(&taken[index]) for index in range(count)], missed
    finally:
        free(taken)


cdef read_entry(const Ended *line):
    return interface.Ended(
        port=line.port,
        backend=line.backend,
        client=read_address(&line.client),
        broken=bool(line.broken),
        bytes_up=line.moved[UP],
        bytes_down=line.moved[DOWN],
        seconds=line.lasted / 1e9,
    )


cdef str read_address(const sockaddr_storage *address):
    cdef const sockaddr_in *four = <const sockaddr_in *>address
    cdef const sockaddr_in6 *six = <const sockaddr_in6 *>address
    if address.ss_family == AF_INET:
        host = sockets.inet_ntop(AF_INET, (<const char *>&four.sin_addr)[:4])
        return interface.shown((host, ntohs(four.sin_port)))
    if address.ss_family == AF_INET6:
        host = sockets.inet_ntop(AF_INET6, (<const char *>&six.sin6_addr)[:16])
        return interface.shown((host, ntohs(six.sin6_port)))
    return ""


cdef int64_t total(Port *port, size_t offset) noexcept:
    """One counter, summed over the workers; *offset* is its place in Counters."""
    cdef int64_t amount = 0
    cdef int index
    for index in range(port.engine.width):
        amount += relaxed_load(<int64_t *>(<char *>&port.counters[index] + offset))
    return amount


cdef tuple totals(Port *port, size_t offset, int count):
    return tuple([total(port, offset + index * 8) for index in range(count)])


cdef read_port(Port *port):
    cdef Counters *first = port.counters
    cdef char *start = <char *>first
    cdef int64_t panics
    with nogil:
        pthread_mutex_lock(&port.lock)
        panics = port.panics
        pthread_mutex_unlock(&port.lock)
    return interface.PortStats(
        accepted=total(port, <char *>&first.accepted - start),
        active=ordered_load(&port.open),
        bytes_up=total(port, <char *>&first.bytes[UP] - start),
        bytes_down=total(port, <char *>&first.bytes[DOWN] - start),
        retries=total(port, <char *>&first.retries - start),
        panics=panics,
        errors=interface.Errors(*totals(port, <char *>first.errors - start, CAUSES)),
        connect_latency=totals(port, <char *>first.connects - start, CONNECT_BUCKETS),
        connect_seconds=total(port, <char *>&first.connect_time - start) / 1e9,
        duration=totals(port, <char *>first.durations - start, DURATION_BUCKETS),
        duration_seconds=total(port, <char *>&first.duration_time - start) / 1e9,
    )


cdef read_backend(Backend *b):
    cdef Backend seen
    with nogil:
        pthread_mutex_lock(&b.port.lock)
        seen = b[0]
        pthread_mutex_unlock(&b.port.lock)
    return interface.BackendStats(
        total=seen.total,
        active=seen.active,
        bytes_up=relaxed_load(&b.bytes[UP]),
        bytes_down=relaxed_load(&b.bytes[DOWN]),
        failures=seen.failures,
        suspicions=seen.suspicions,
        broken=seen.broken,
    )


cdef read_worker(Worker *w):
    return interface.WorkerStats(
        accepted=relaxed_load(&w.accepted),
        handed_over=relaxed_load(&w.handed_over),
        active=relaxed_load(&w.active),
        pipes_held=relaxed_load(&w.pipes_held),
        pipes_pooled=relaxed_load(&w.pipes_pooled),
        buffers_held=relaxed_load(&w.buffers_held),
    )
