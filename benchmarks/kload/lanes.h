/* Small requests, a fixed number of them in flight on each connection; one thread, one poll loop.
 *
 * The requests of a connection, a lane, are encoded once, one behind the other, on a tape. Sending is writing the tape
 * over and over; how far it may be written follows from the number of answers. Small requests leave in large writes. */
#pragma once

#include "commands.h"
#include "samples.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lane {
    int socket;
    uint8_t *tape;                        /* requests of the same size; the i-th has correlation id i */
    size_t tape_requests, request_size;
    uint64_t bytes_sent, answered, begun; /* requests begun: those of which a byte was sent */
    bool blocked;                         /* the socket took less than it was given */
    double *begun_at;                     /* ring of `depth` times */
    uint8_t *inbox;
    size_t inbox_used;
};

struct run {
    const struct options *options;
    struct lane *lanes;
    void *load;             /* the command's own */
    /* Checks the answer to request number `lane->answered`, or fails the program. */
    void (*check)(struct run *run, int lane, struct reader answer, int32_t correlation_id);
    uint64_t request_limit; /* begun by all lanes; 0: no bound */
    uint64_t begun, answered;
    bool stopping;
    double elapsed_s;       /* from the first request to the last answer */
    struct samples latencies;
};

/* How often a tape repeats the `own` different requests of a lane, none larger than `room`. */
size_t tape_repeats(const struct options *options, size_t room, size_t own);

/* Connects a lane whose tape is recorded. */
void open_lane(struct lane *lane, const struct options *options);

/* Runs all lanes for `options->seconds`, or up to the request limit; returns when everything begun is answered. */
void run_lanes(struct run *run);
