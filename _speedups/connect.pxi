# Finding a backend that answers, which the client does not notice.
#
# As long as no byte of the client has been sent on, a backend that refuses, resets or
# stays silent costs nothing but time: the next one is tried, each of them once.

cdef enum:
    RETRY_LATER = 50000000  # nanoseconds, while this host lacks something
    PARCHED = 10000000  # to look for a free port looks at all of them
    REFUSED_LATER = 200000000  # when every backend refused


cdef void attempt(Worker *w, Conn *c) noexcept nogil:
    """Connect to the next backend, or give the client up."""
    cdef int error = 0
    let_loose(w, c)
    while not c.attempts or w.now - c.sought_at < w.engine.connect_budget:
        c.backend = acquire(w, c.port, c)
        if c.state == HELD:
            arm(w, c, min(c.hold_until, w.now + REFUSED_LATER))
            return
        if c.backend == NULL:
            break
        c.attempted_at = monotonic()
        error = -dial_if_possible(w, c)
        if is_scarcity(error) and w.now - c.sought_at < w.engine.connect_budget:
            postpone(w, c, error)
            return
        if is_shortage(error):
            release(c.backend)
            c.backend = NULL
            give_up(w, c, error)
            return
        c.attempts += 1
        if error != EADDRNOTAVAIL:
            relaxed_add(&c.backend.total, 1)
        if c.attempts > 1 and not c.parched:
            bump(&counters(w, c.port).retries, 1)
        if error == 0:
            c.state = CONNECTING
            arm(w, c, c.attempted_at + patience(w, c))
            return
        miss(w, c, error)
    if c.parched and c.tries > 0 and w.now - c.sought_at < w.engine.connect_budget:
        # Ports come back as connections end.
        c.tries = 0
        c.state = WAITING
        arm(w, c, w.now + RETRY_LATER)
        return
    give_up(w, c, EADDRNOTAVAIL if c.parched else 0)


cdef int dial_if_possible(Worker *w, Conn *c) noexcept nogil:
    """As `dial`, unless no local port was left a moment ago."""
    cdef int error
    if relaxed_load(&c.backend.parched_until) > c.attempted_at:
        return -EADDRNOTAVAIL
    error = dial(w, c)
    if error == -EADDRNOTAVAIL:
        relaxed_store(&c.backend.parched_until, c.attempted_at + PARCHED)
    return error


cdef int64_t patience(Worker *w, Conn *c) noexcept nogil:
    """How long the present attempt may take."""
    cdef int64_t rest = c.sought_at + w.engine.connect_budget - c.attempted_at
    return min(rest, w.engine.connect_timeout)


cdef int dial(Worker *w, Conn *c) noexcept nogil:
    """Begin to connect: 0, or -errno."""
    cdef Backend *b = c.backend
    cdef Side *side = &c.side[BACKEND]
    cdef int family = b.address.ss_family
    cdef uint16_t life = side.life + 1
    cdef int error = 0
    cdef int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        return -errno
    memset(side, 0, sizeof(Side))
    side.life = life
    side.fd = fd
    side.local = side.wary = family == AF_UNIX
    if connect(fd, <sockaddr *>&b.address, b.size) < 0 and errno != EINPROGRESS:
        error = -errno
    else:
        # Only now: a TCP socket that does not connect yet reports a hang-up.
        error = watch(w, c, BACKEND)
    if error < 0:
        hang_up(c)
    return error


cdef void hang_up(Conn *c) noexcept nogil:
    if c.side[BACKEND].fd >= 0:
        close(c.side[BACKEND].fd)
        c.side[BACKEND].fd = -1


cdef bint is_scarcity(int error) noexcept nogil:
    # EAGAIN is a Unix listener's full backlog.
    return error == EAGAIN or is_shortage(error)


cdef bint is_shortage(int error) noexcept nogil:
    # Of descriptors or memory here, for which no backend is to blame.
    return error in (EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC)


cdef void postpone(Worker *w, Conn *c, int error) noexcept nogil:
    if c.state != WAITING and is_shortage(error):
        report(w, c.port, ACCEPT_FAILED, error)
    release(c.backend)
    c.backend = NULL
    c.state = WAITING
    arm(w, c, w.now + RETRY_LATER)


cdef void miss(Worker *w, Conn *c, int error) noexcept nogil:
    """Count a failed attempt, have the backend probed, and let go of it."""
    cdef Backend *b = c.backend
    if error == EADDRNOTAVAIL:
        if not c.parched:
            c.parched = 1
            report(w, c.port, NO_ADDRESS, error)
    else:
        count_error(w, c.port, cause_of(error))
        pthread_mutex_lock(&c.port.lock)
        b.failures += 1
        b.broken += is_loss(error)
        pthread_mutex_unlock(&c.port.lock)
        suspect(b, error)
    connect_failed(w, c)


cdef int cause_of(int error) noexcept nogil:
    if error == ETIMEDOUT:
        return TIMED_OUT
    if error == ENETUNREACH or error == EHOSTUNREACH:
        return UNREACHABLE
    return REFUSED


cdef void connect_failed(Worker *w, Conn *c) noexcept nogil:
    """Leave the present backend, not to come back."""
    hang_up(c)
    mark_tried(c, c.backend)
    release(c.backend)
    c.backend = NULL


cdef bint retry_other_backend(Worker *w, Conn *c) noexcept nogil:
    """
    Leave a backend that has left by itself for another, if there still is one.

    Only while nothing has passed either way: what is killed ends the connections it
    has just taken, and their clients are none the wiser.
    """
    if not untouched(c) or w.now - c.sought_at >= w.engine.connect_budget:
        return False
    if not has_another(c):
        return False
    turn_from(w, c)
    return True


cdef bint untouched(Conn *c) noexcept nogil:
    # What was read of the client and not sent is kept for whoever gets it.
    cdef Flow *up = &c.flow[UP]
    cdef Flow *down = &c.flow[DOWN]
    return not (up.moved or up.piped or over(up) or down.moved or pending(down))


cdef void turn_from(Worker *w, Conn *c) noexcept nogil:
    # The search goes on after this batch: it may hold events of the old socket.
    connect_failed(w, c)
    c.flow[DOWN].eof = c.flow[DOWN].ended = 0
    c.kept = 0
    c.state = WAITING
    queue(w, c)


cdef void give_up(Worker *w, Conn *c, int error) noexcept nogil:
    """Turn the client away; *error* is what this host lacked, if it did."""
    if error or c.attempts or c.state == WAITING:
        report(w, c.port, UNANSWERED, error)
    else:
        report(w, c.port, NO_BACKEND, 0)
    finish(w, c, RESET_BOTH)


cdef void conclude(Worker *w, Conn *c, uint32_t events) noexcept nogil:
    """The backend's socket has spoken for the first time."""
    cdef Side *side = &c.side[BACKEND]
    cdef int error = 0
    cdef bint broken = events & EPOLLERR != 0
    if broken:
        error = connect_error(side)
    elif not events & (EPOLLOUT | EPOLLHUP):
        return
    elif is_self_connected(c):
        error = ECONNREFUSED
    elif w.engine.proxy_protocol:
        error = introduce(c)
        broken = error != 0
    if is_loss(error) and has_spoken(side):
        # The error is spent. (The kernel of one that is dying takes connections, too,
        # and then drops them; but that says nothing.)
        side.lost = error != EPIPE
        error = 0
    if error:
        miss(w, c, error)
        attempt(w, c)
        return

    observe_connect(w, c)
    c.state = OPEN
    side.writable = 1
    if w.engine.idle_timeout and w.engine.idle_timeout < w.engine.connect_timeout:
        # Else the attempt's own timer comes up first, and is moved on.
        arm(w, c, w.now + w.engine.idle_timeout)
    serve(w, c, BACKEND if broken else -1)


cdef bint is_self_connected(Conn *c) noexcept nogil:
    """
    Whether the socket is connected to itself.

    So it may be where nobody listens: the kernel can choose the very port that is
    called as the caller's own, and two sockets that call each other get connected.
    """
    cdef Address own, peer
    cdef socklen_t size = sizeof(Address), peer_size = sizeof(Address)
    cdef sockaddr_in *called = <sockaddr_in *>&c.backend.address
    cdef int fd = c.side[BACKEND].fd
    # IPv4 and IPv6 have the port in the same place.
    return (
        not c.side[BACKEND].local
        and getsockname(fd, <sockaddr *>&own, &size) == 0
        and own.inet.sin_port == called.sin_port
        and getpeername(fd, <sockaddr *>&peer, &peer_size) == 0
        and memcmp(&own, &peer, size) == 0
    )


cdef int connect_error(Side *side) noexcept nogil:
    """
    Why a socket in error is of no use; 0 if it is not known to be.

    A backend may have answered and reset at once. Asking for SO_ERROR would spend
    the error, and what the backend sent would seem to be all it had to say.
    """
    cdef char byte
    if recv(side.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 or errno == EAGAIN:
        return 0
    return errno


cdef bint has_spoken(Side *side) noexcept nogil:
    cdef char byte
    return recv(side.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0


cdef inline bint is_loss(int error) noexcept nogil:
    # Only a connected socket has these: EPIPE if its end had come before the reset.
    return error == ECONNRESET or error == EPIPE


cdef void keep_alive(int fd) noexcept nogil:
    """
    Notice a peer that died without a word: after 60 s, six times every 10 s.

    No TCP_USER_TIMEOUT, which would take the place of that, and end connections whose
    reader is alive and takes its time: Linux counts a window that stays closed, too.
    """
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60)
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10)
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 6)


cdef void set_option(int fd, int level, int name, int value) noexcept nogil:
    setsockopt(fd, level, name, &value, sizeof(value))
