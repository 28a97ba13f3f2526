/* One connection: its requests and their answers. */
#include "app.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PERIOD 65521
#define HEAD 16384

static uint32_t crc_table[256];
static unsigned char pattern[2 * PERIOD];

void prepare_http(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? 0xedb88320u ^ value >> 1 : value >> 1;
        crc_table[i] = value;
    }
    for (uint32_t i = 0; i < PERIOD; i++)
        pattern[i] = pattern[i + PERIOD] = (uint32_t)(i * 2654435761u) >> 24;
}

static int draining(void) { return atomic_load(&closing_at) != 0; }

int send_all(int c, const void *data, size_t length)
{
    const char *at = data;
    while (length) {
        ssize_t sent = send(c, at, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return 0;
        at += sent;
        length -= sent;
    }
    return 1;
}

/* Reads more, waiting no longer than idle connections stay; 0 at the end. */
static ssize_t receive(int c, void *into, size_t room)
{
    for (;;) {
        ssize_t got = recv(c, into, room, 0);
        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EINTR)
            return 0;
        long long limit = atomic_load(&closing_at);
        if (limit && now_ms() >= limit)
            return 0;
    }
}

static int head(char *into, size_t room, int status, unsigned long long length, int close_it)
{
    return snprintf(into, room,
        "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n"
        "X-Version: %s\r\nConnection: %s\r\n\r\n",
        status, status < 400 ? "OK" : "Not OK", length, version,
        close_it ? "close" : "keep-alive");
}

static int answer(int c, int status, int close_it, const char *format, ...)
{
    char all[4096], body[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof body)
        length = sizeof body - 1;
    int size = head(all, sizeof all, status, length, close_it);
    memcpy(all + size, body, length);
    return send_all(c, all, size + length);
}

static int stream(int c, const char *arguments, int close_it)
{
    unsigned long long length = 0, sent = 0;
    long ms = 0;
    sscanf(arguments, "%llu/%ld", &length, &ms);
    char first[1024];
    if (!send_all(c, first, head(first, sizeof first, 200, length, close_it)))
        return 0;
    long long began = now_ms();
    while (sent < length) {
        size_t piece = length - sent < PERIOD ? length - sent : PERIOD;
        if (!send_all(c, pattern + sent % PERIOD, piece))
            return 0;
        sent += piece;
        long long due = began + (long long)((double)ms * sent / length);
        if (ms && due > now_ms())
            sleep_ms(due - now_ms());
    }
    return 1;
}

static int upload(int c, char *have, size_t held, unsigned long long length, int close_it)
{
    char piece[65536];
    uint32_t crc = ~0u;
    unsigned long long left = length;
    while (left) {
        if (!held) {
            size_t room = left < sizeof piece ? left : sizeof piece;
            held = receive(c, have = piece, room);
            if (!held)
                return 0;
        }
        for (size_t i = 0; i < held; i++)
            crc = crc_table[(crc ^ (unsigned char)have[i]) & 255] ^ crc >> 8;
        left -= held;
        held = 0;
    }
    return answer(c, 200, close_it, "crc32=%08x length=%llu\n", ~crc, length);
}

static int respond(int c, const char *method, const char *path, int close_it)
{
    if (!strcmp(path, "/health")) {
        int status = atomic_load(&health);
        return answer(c, status, close_it, status < 400 ? "ok\n" : "unhealthy\n");
    }
    if (!strncmp(path, "/health/", 8) && !strcmp(method, "POST")) {
        atomic_store(&health, atoi(path + 8));
        return answer(c, 200, close_it, "ok\n");
    }
    if (!strcmp(path, "/version"))
        return answer(c, 200, close_it, "%s\n", version);
    if (!strncmp(path, "/slow/", 6)) {
        sleep_ms(atol(path + 6));
        return answer(c, 200, close_it || draining(), "slow\n");
    }
    if (!strncmp(path, "/bytes/", 7))
        return stream(c, path + 7, close_it);
    if (!strncmp(path, "/env/", 5)) {
        const char *value = getenv(path + 5);
        return answer(c, value ? 200 : 404, close_it, "%s\n", value ? value : "");
    }
    if (!strcmp(path, "/exit"))
        leave(number("EXIT_CODE", 3));
    char host[64] = "?";
    gethostname(host, sizeof host);
    return answer(c, 200, close_it, "hello %s %s\n", version, host);
}

static int has(const char *head, const char *line) { return strcasestr(head, line) != NULL; }

/* Whether the request in *head is for a host that is served, as Django and Rails ask. */
static int allowed(const char *head)
{
    const char *wanted = getenv("ALLOWED_HOST"), *field = strcasestr(head, "\r\nhost:");
    if (!wanted)
        return 1;
    if (!field)
        return 0;
    field += 7 + strspn(field + 7, " ");
    size_t length = strcspn(field, ":\r");
    return length == strlen(wanted) && !strncasecmp(field, wanted, length);
}

/* One request that begins in the *held bytes of buffer; whether another may follow. */
static int request(int c, char *buffer, size_t *held)
{
    char *end, method[16] = "", path[1024] = "";
    while (!(end = memmem(buffer, *held, "\r\n\r\n", 4))) {
        ssize_t got = *held < HEAD ? receive(c, buffer + *held, HEAD - *held) : 0;
        if (!got)
            return 0;
        *held += got;
    }
    *end = 0;
    sscanf(buffer, "%15s %1023s", method, path);
    unsigned long long length = 0;
    char *field = strcasestr(buffer, "\r\ncontent-length:");
    if (field)
        length = strtoull(field + 17, NULL, 10);
    int close_it = draining() || has(buffer, "\r\nconnection: close");
    int turned_away = !allowed(buffer);
    if (has(buffer, "\r\nexpect: 100-continue") && !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return 0;
    char *rest = end + 4;
    size_t after = *held - (rest - buffer), body = after < length ? after : length;
    int fine = !strcmp(path, "/upload")
        ? upload(c, rest, body, length, close_it)
        : length == body && (turned_away ? answer(c, 400, close_it, "unknown host\n")
                                         : respond(c, method, path, close_it));
    *held = after - body;
    memmove(buffer, rest + body, *held);
    return fine && !close_it;
}

/* Closing with something unread would reset what the client has yet to read; and what
   was not acknowledged when the program ends is lost with its container's network. */
static void linger(int c)
{
    char rest[4096];
    long long limit = now_ms() + 15000;
    shutdown(c, SHUT_WR);
    while (now_ms() < limit) {
        ssize_t got = recv(c, rest, sizeof rest, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            break;
    }
    close(c);
}

void *serve(void *argument)
{
    int c = (int)(intptr_t)argument, on = 1;
    char *buffer = malloc(HEAD + 1);
    size_t held = 0;
    struct timeval look = {0, 100000};
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof look);
    while (request(c, buffer, &held))
        ;
    linger(c);
    free(buffer);
    atomic_fetch_sub(&connections, 1);
    return NULL;
}
