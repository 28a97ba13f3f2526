# Bytes that a peer on this host has not read, as the kernel knows them.
#
# A receiver tells of what it reads in steps only: over loopback, of up to 128 KiB.
# Where its socket is on the same host, the kernel can be asked about that one.

cdef int unread(Side *side) noexcept nogil:
    """Return the bytes that wait at a TCP peer; -1 if that is not known."""
    cdef diag_request asked
    cdef diag_answer told
    cdef Address own, peer
    cdef socklen_t size = sizeof(Address), peer_size = sizeof(Address)
    cdef ssize_t got = -1
    cdef int kernel
    if (
        getsockname(side.fd, <sockaddr *>&own, &size) < 0
        or getpeername(side.fd, <sockaddr *>&peer, &peer_size) < 0
        or not is_same_host(&own, &peer)
    ):
        return -1
    ask_about(&asked, &peer, &own)
    kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, SOCK_DIAG)
    if kernel < 0:
        return -1
    if send(kernel, &asked, sizeof(asked), 0) == sizeof(asked):
        got = recv(kernel, &told, sizeof(told), 0)
    close(kernel)
    if got < <ssize_t>sizeof(told) or told.kind != SOCK_DIAG_BY_FAMILY:
        return -1
    return told.unread


cdef bint is_same_host(const Address *own, const Address *peer) noexcept nogil:
    if own.any.ss_family == AF_INET:
        return own.inet.sin_addr.s_addr == peer.inet.sin_addr.s_addr
    return memcmp(&own.inet6.sin6_addr, &peer.inet6.sin6_addr, 16) == 0


cdef void ask_about(
    diag_request *asked, const Address *local, const Address *remote
) noexcept nogil:
    """Fill in the request for the socket that is connected so."""
    memset(asked, 0, sizeof(diag_request))
    asked.size = sizeof(diag_request)
    asked.kind = SOCK_DIAG_BY_FAMILY
    asked.flags = NLM_F_REQUEST
    asked.family = local.any.ss_family
    asked.protocol = IPPROTO_TCP
    asked.states = asked.cookie[0] = asked.cookie[1] = ~<uint32_t>0
    # IPv4 and IPv6 have the port in the same place.
    asked.local_port = local.inet.sin_port
    asked.remote_port = remote.inet.sin_port
    if asked.family == AF_INET:
        memcpy(asked.local, &local.inet.sin_addr, 4)
        memcpy(asked.remote, &remote.inet.sin_addr, 4)
    else:
        memcpy(asked.local, &local.inet6.sin6_addr, 16)
        memcpy(asked.remote, &remote.inet6.sin6_addr, 16)
