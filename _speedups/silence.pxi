# Whether the peers of a connection are silent, as the kernel knows it.
#
# Its own calls tell a relay little of that: what the kernel holds for a slow reader is
# taken long after the last of them. The kernel is asked only once those calls rest.

cdef enum:
    LOOKS = 4  # in the time of an idle time-out, once the relay's own calls rest
    # More for whom bytes wait that is not on this host, and no more than so many
    # seconds: its kernel tells of what it reads in steps, of up to half its buffer.
    STEPS = 3
    STEP = 30


cdef struct Signs:
    int64_t sent  # changes whenever a peer sends something
    int64_t taken  # and whenever it takes something
    int64_t heard  # nanoseconds since the last packet; 0 if that is not known
    uint8_t vague  # bytes wait for a peer whose reading shows in steps


cdef void judge(Worker *w, Conn *c) noexcept nogil:
    """Reset the connection if neither peer has sent or taken a byte for too long."""
    cdef Signs signs = Signs(0, 0, INT64_MAX, 0)
    look_at(&c.side[CLIENT], &signs)
    look_at(&c.side[BACKEND], &signs)
    if c.signs != signs.sent + signs.taken:
        c.signs = signs.sent + signs.taken
        c.attempted_at = w.now
    cdef int64_t left = allowed_silence(w, &signs) - max(
        signs.heard, w.now - max(c.seen_at, c.attempted_at)
    )
    if left <= 0:
        report(w, c.port, IDLE_TIMEOUT, 0)
        finish(w, c, RESET_BOTH)
        return
    arm(w, c, w.now + min(left, w.engine.idle_timeout / LOOKS))


cdef bint takes_nothing(Worker *w, Conn *c) noexcept nogil:
    """
    Whether a client, of which no call told that it takes something, does not either.

    To be asked when the idle time-out is over since `attempted_at`, which it moves on.
    """
    cdef Signs signs = Signs(0, 0, INT64_MAX, 0)
    look_at(&c.side[CLIENT], &signs)
    if c.signs != signs.taken:
        c.signs = signs.taken
        c.attempted_at = w.now
    return w.now - c.attempted_at >= allowed_silence(w, &signs)


cdef int64_t allowed_silence(Worker *w, const Signs *signs) noexcept nogil:
    cdef int64_t allowed = w.engine.idle_timeout
    if signs.vague:
        allowed += min(STEPS * allowed, <int64_t>STEP * 1000000000)
    return allowed


cdef void look_at(Side *side, Signs *signs) noexcept nogil:
    cdef tcp_figures known
    cdef int waiting = 0, still_unread = -1
    ioctl(side.fd, SIOCOUTQ, &waiting)
    if not read_figures(side, &known):
        # A Unix socket knows no times.
        signs.taken -= waiting
        signs.heard = 0
        return
    # All three only rise: what was acknowledged, the end of the window, which moves as
    # the peer reads, and what it has read.
    signs.sent += known.received
    signs.taken += 2 * known.acked + known.window
    still_unread = unread(side)
    if still_unread >= 0:
        signs.taken += known.acked - still_unread
        signs.heard = 0
    else:
        signs.vague |= waiting > 0
        signs.heard = min(
            signs.heard, min(known.data_ago, known.ack_ago) * <int64_t>1000000
        )
