# Counting, and telling the control plane.

# Which event tells of an error; 0: none does.
cdef int TELL_OF[CAUSES]
memset(TELL_OF, 0, sizeof(TELL_OF))
TELL_OF[UNANSWERED] = interface.UNANSWERED
TELL_OF[NO_ADDRESS] = interface.NO_ADDRESS
TELL_OF[NO_BACKEND] = interface.NO_BACKEND
TELL_OF[IDLE_TIMEOUT] = interface.IDLE_TIMEOUT
TELL_OF[ACCEPT_FAILED] = interface.LISTENER_FAILED

cdef int64_t CONNECT_LIMITS[CONNECT_BUCKETS - 1]
cdef int64_t DURATION_LIMITS[DURATION_BUCKETS - 1]


cdef int64_t nanoseconds(double seconds) noexcept:
    return <int64_t>(seconds * 1e9)


for _index, _bound in enumerate(interface.CONNECT_BOUNDS):
    CONNECT_LIMITS[_index] = nanoseconds(_bound)
for _index, _bound in enumerate(interface.DURATION_BOUNDS):
    DURATION_LIMITS[_index] = nanoseconds(_bound)


cdef int64_t monotonic() noexcept nogil:
    cdef timespec when
    clock_gettime(CLOCK_MONOTONIC, &when)
    return when.tv_sec * 1000000000 + when.tv_nsec


cdef inline void bump(int64_t *counter, int64_t amount) noexcept nogil:
    # Has one writer; a store is enough, and costs no locked instruction.
    relaxed_store(counter, relaxed_load(counter) + amount)


cdef inline Counters *counters(Worker *w, Port *port) noexcept nogil:
    return &port.counters[w.index]


cdef void count_error(Worker *w, Port *port, int cause) noexcept nogil:
    bump(&counters(w, port).errors[cause], 1)


cdef void report(Worker *w, Port *port, int cause, int detail) noexcept nogil:
    """Count an error that operators are told of, and have the control plane ask."""
    count_error(w, port, cause)
    if ordered_swap(&port.told[cause], 1) == 0:
        tell(w.engine, TELL_OF[cause], port.number, detail)


cdef void observe(
    int64_t *buckets, const int64_t *limits, int count, int64_t value
) noexcept nogil:
    cdef int index = 0
    while index < count - 1 and value > limits[index]:
        index += 1
    bump(&buckets[index], 1)


cdef void observe_connect(Worker *w, Conn *c) noexcept nogil:
    cdef Counters *counted = counters(w, c.port)
    cdef int64_t took = monotonic() - c.attempted_at
    observe(counted.connects, CONNECT_LIMITS, CONNECT_BUCKETS, took)
    bump(&counted.connect_time, took)


cdef void observe_duration(Worker *w, Conn *c) noexcept nogil:
    cdef Counters *counted = counters(w, c.port)
    cdef int64_t took = w.now - c.accepted_at
    observe(counted.durations, DURATION_LIMITS, DURATION_BUCKETS, took)
    bump(&counted.duration_time, took)


cdef inline void count_bytes(Worker *w, Conn *c, int way, int64_t size) noexcept nogil:
    c.flow[way].moved += size
    bump(&counters(w, c.port).bytes[way], size)
    relaxed_add(&c.backend.bytes[way], size)


cdef void ring(int fd) noexcept nogil:
    cdef uint64_t one = 1
    write(fd, &one, sizeof(one))


cdef void silence(int fd) noexcept nogil:
    cdef uint64_t count
    read(fd, &count, sizeof(count))


cdef void tell(Engine *engine, int kind, int subject, int detail) noexcept nogil:
    # Out of memory, an event is lost; nothing better can be done about it here.
    cdef int capacity
    cdef Happening *grown
    pthread_mutex_lock(&engine.events_lock)
    if engine.happened == engine.events_capacity:
        capacity = engine.events_capacity * 2 or 64
        grown = <Happening *>realloc(engine.events, capacity * sizeof(Happening))
        if grown == NULL:
            pthread_mutex_unlock(&engine.events_lock)
            return
        engine.events = grown
        engine.events_capacity = capacity
    engine.events[engine.happened] = Happening(kind, subject, detail)
    engine.happened += 1
    if engine.happened == 1:
        ring(engine.signal)
    pthread_mutex_unlock(&engine.events_lock)


cdef void suspect(Backend *b, int detail) noexcept nogil:
    if ordered_swap(&b.suspect_told, 1) == 0:
        tell(b.port.engine, TELL_SUSPECT, b.number, detail)
