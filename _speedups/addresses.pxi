# Addresses of backends, from what the socket module has for them.

cdef socklen_t write_address(
    sockaddr_storage *into, int family, address
) except? 0:
    """Translate an address, or raise ValueError; return its size."""
    try:
        if family == AF_UNIX:
            return write_path(<sockaddr_un *>into, address)
        if family == AF_INET:
            return write_inet(<sockaddr_in *>into, address)
        if family == AF_INET6:
            return write_inet6(<sockaddr_in6 *>into, address)
    except (TypeError, OSError, OverflowError) as exc:
        raise ValueError(f"not a numeric address: {address!r}") from exc
    raise ValueError(f"a backend is IPv4, IPv6 or a Unix socket, not family {family}")


cdef socklen_t write_path(sockaddr_un *to, address) except? 0:
    cdef bytes packed = os.fsencode(address)
    cdef Py_ssize_t size = len(packed)
    if not 0 < size < <Py_ssize_t>sizeof(to.sun_path):
        raise ValueError(f"a Unix socket's path has 1 to 107 bytes: {address!r}")
    to.sun_family = AF_UNIX
    memcpy(to.sun_path, PyBytes_AS_STRING(packed), size)
    # A path ends with a zero byte; an abstract name begins with one instead.
    return (to.sun_path - <char *>to) + size + (packed[0] != 0)


cdef unsigned short network_port(port) except? 0:
    if not 0 < port < 65536:
        raise ValueError(f"a port is from 1 to 65535, not {port}")
    return htons(port)


cdef socklen_t write_inet(sockaddr_in *to, address) except? 0:
    host, port = address
    cdef bytes packed = sockets.inet_pton(AF_INET, host)
    to.sin_family = AF_INET
    to.sin_port = network_port(port)
    memcpy(&to.sin_addr, PyBytes_AS_STRING(packed), 4)
    return sizeof(sockaddr_in)


cdef socklen_t write_inet6(sockaddr_in6 *to, address) except? 0:
    host, port, flow, scope = (*address, 0, 0)[:4]
    cdef bytes packed = sockets.inet_pton(AF_INET6, host)
    to.sin6_family = AF_INET6
    to.sin6_port = network_port(port)
    to.sin6_flowinfo = htonl(flow)
    to.sin6_scope_id = scope
    memcpy(&to.sin6_addr, PyBytes_AS_STRING(packed), 16)
    return sizeof(sockaddr_in6)
