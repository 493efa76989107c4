#include "system.h"

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fputs("kload: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double cpu_used_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

void sleep_until(double when_s) {
    struct timespec t = {(time_t)when_s, 0};
    t.tv_nsec = (long)((when_s - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL)
        fail("no memory for %zu bytes", size);
    return memory;
}

uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail("%s: %s", path, strerror(errno));
    fseek(file, 0, SEEK_END);
    long end = ftell(file);
    rewind(file);
    if (end <= 0)
        fail("%s is empty", path);
    *size = (size_t)end;
    uint8_t *bytes = allocate(*size);
    if (fread(bytes, 1, *size, file) != *size)
        fail("%s can not be read", path);
    fclose(file);
    return bytes;
}

int dial(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        fail("%s is no IPv4 address", host);
    int opened = socket(AF_INET, SOCK_STREAM, 0);
    if (opened < 0 || connect(opened, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connecting to %s:%d: %s", host, port, strerror(errno));
    int yes = 1;
    setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return opened;
}

void set_nonblocking(int socket) {
    if (fcntl(socket, F_SETFL, O_NONBLOCK) < 0)
        fail("O_NONBLOCK: %s", strerror(errno));
}

void send_all(int socket, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = write(socket, bytes, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            fail("sending: %s", strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void receive_all(int socket, uint8_t *into, size_t size) {
    while (size > 0) {
        ssize_t got = read(socket, into, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail("receiving: %s", strerror(errno));
        if (got == 0)
            fail("the broker closed the connection");
        into += got;
        size -= (size_t)got;
    }
}

size_t receive_frame(int socket, uint8_t *buffer) {
    uint8_t length[4];
    receive_all(socket, length, sizeof length);
    uint32_t size = load_u32(length);
    if (size > MAX_ANSWER)
        fail("an answer of %u bytes", size);
    receive_all(socket, buffer, size);
    return size;
}
