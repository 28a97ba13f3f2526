/*
 * What runs in the containers that tests start: a small HTTP/1.1 server, static,
 * one thread per connection, told how to behave by its environment.
 *
 *   PORT              8080
 *   APP_VERSION       what /version answers, and X-Version on every answer
 *   START_DELAY_MS    before it listens
 *   NEVER_LISTEN      it lives and does nothing
 *   EXIT_AFTER_MS     it exits then, with EXIT_CODE (3)
 *   UNHEALTHY         the status of /health (503 if it is no status)
 *   IGNORE_TERM       SIGTERM means nothing to it
 *   SAY_CONNECTIONS   a line for each that it accepts
 *   ALLOWED_HOST      any request for another host, its port apart, is answered by 400
 *   GRACE_MS          how long idle connections stay open after SIGTERM (30000)
 *
 *   GET /             hello VERSION HOSTNAME
 *   GET /version      VERSION
 *   GET /health       ok, or UNHEALTHY; POST /health/STATUS changes it
 *   GET /slow/MS      after MS milliseconds
 *   GET /bytes/N/MS   N bytes, spread over MS milliseconds: the pattern
 *                     (i * 2654435761 mod 2^32) >> 24 for i < 65521, repeated
 *   POST /upload      crc32=… length=… of the body
 *   GET /env/NAME     one variable of the environment, or 404
 *   GET /exit         no answer: it exits with EXIT_CODE
 *
 * After SIGTERM it answers what waits in the backlog, then accepts no more; each
 * connection's next answer says Connection: close, and when the last connection
 * has ended it exits with 0.
 *
 * `app check` asks its own /health, for an image's HEALTHCHECK.
 */
#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const char *version;
atomic_int health = 200;
atomic_int connections;
atomic_llong closing_at;
static int signalled[2];

long number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

_Noreturn void leave(int code)
{
    say("exiting with %d", code);
    _exit(code);
}

static void take(int c)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 262144);
    atomic_fetch_add(&connections, 1);
    if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)c)) {
        close(c);
        atomic_fetch_sub(&connections, 1);
    }
    pthread_attr_destroy(&attributes);
}

static void terminate(int number_)
{
    int kept = errno;
    (void)number_;
    if (write(signalled[1], "t", 1) < 0) { /* it was told before */ }
    errno = kept;
}

static void *exit_later(void *argument)
{
    sleep_ms((long)(intptr_t)argument);
    leave(number("EXIT_CODE", 3));
    return NULL;
}

static int check(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number("PORT", 8080))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char text[64] = "";
    int c = socket(AF_INET, SOCK_STREAM, 0);
    const char *ask = "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n";
    if (connect(c, (void *)&to, sizeof to) || !send_all(c, ask, strlen(ask)))
        return 1;
    ssize_t got = recv(c, text, sizeof text - 1, 0);
    return !(got > 12 && text[9] >= '2' && text[9] <= '3');
}

static void prepare(void)
{
    prepare_http();
    version = getenv("APP_VERSION") ? getenv("APP_VERSION") : "none";
    if (getenv("UNHEALTHY"))
        atomic_store(&health, number("UNHEALTHY", 0) >= 100 ? number("UNHEALTHY", 0) : 503);
    if (getenv("EXIT_AFTER_MS")) {
        pthread_t thread;
        pthread_create(&thread, NULL, exit_later, (void *)(intptr_t)number("EXIT_AFTER_MS", 0));
    }
}

static int listener(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number("PORT", 8080))};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (void *)&at, sizeof at) || listen(s, 4096)) {
        say("cannot listen: %s", strerror(errno));
        leave(1);
    }
    say("listening on %ld, version %s", number("PORT", 8080), version);
    return s;
}

static void accept_all(int s)
{
    int c;
    while ((c = accept(s, NULL, NULL)) >= 0) {
        if (getenv("SAY_CONNECTIONS"))
            say("accepted");
        take(c);
    }
}

int main(int count, char **arguments)
{
    if (count > 1 && !strcmp(arguments[1], "check"))
        return check();
    struct sigaction on_term = {.sa_handler = getenv("IGNORE_TERM") ? SIG_IGN : terminate};
    if (pipe(signalled))
        return 1;
    sigaction(SIGTERM, &on_term, NULL);
    prepare();
    struct pollfd told[2] = {{.fd = signalled[0], .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (number("START_DELAY_MS", 0) && poll(told, 1, number("START_DELAY_MS", 0)) > 0)
        leave(0);
    if (!getenv("NEVER_LISTEN"))
        told[1].fd = listener();
    for (told[0].revents = 0; !told[0].revents;) {
        if (poll(told, 2, -1) > 0 && told[1].revents)
            accept_all(told[1].fd);
    }
    atomic_store(&closing_at, now_ms() + number("GRACE_MS", 30000));
    if (told[1].fd >= 0) {
        accept_all(told[1].fd);
        close(told[1].fd);
    }
    say("draining %d connections", atomic_load(&connections));
    while (atomic_load(&connections) && now_ms() < atomic_load(&closing_at) + 1000)
        sleep_ms(5);
    leave(0);
}
