#include "lanes.h"

#include "system.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum {
    INBOX = 1 << 18,           /* bytes; answers are small */
    SMALL_REQUEST = 4096,      /* bytes; below this a tape holds several rounds of a lane's requests */
    MAX_SAMPLES = 4000000,
    DRAIN_S = 30,              /* for the last answers, after the end of the time */
};

size_t tape_repeats(const struct options *o, size_t room, size_t own) {
    return room < SMALL_REQUEST ? ((size_t)o->depth + own - 1) / own : 1;
}

void open_lane(struct lane *lane, const struct options *o) {
    lane->begun_at = allocate((size_t)o->depth * sizeof *lane->begun_at);
    lane->inbox = allocate(INBOX);
    lane->socket = dial(o->host, o->port);
    set_nonblocking(lane->socket);
}

/* Bytes that may be sent now: up to `depth` requests beyond the answers, and a request once begun is completed. */
static size_t allowance(const struct run *run, const struct lane *lane) {
    uint64_t until = lane->answered + (uint64_t)run->options->depth;
    if (run->stopping)
        until = lane->begun;
    else if (run->request_limit != 0 && until > lane->begun + (run->request_limit - run->begun))
        until = lane->begun + (run->request_limit - run->begun);
    return (size_t)(until * lane->request_size - lane->bytes_sent);
}

static void note_begun(struct run *run, struct lane *lane, double at_s) {
    uint64_t begun = (lane->bytes_sent + lane->request_size - 1) / lane->request_size;
    for (; lane->begun < begun; lane->begun++, run->begun++)
        lane->begun_at[lane->begun % (uint64_t)run->options->depth] = at_s;
    if (run->request_limit != 0 && run->begun >= run->request_limit)
        run->stopping = true;
}

static void send_some(struct run *run, struct lane *lane) {
    size_t tape_size = lane->tape_requests * lane->request_size, allowed;
    lane->blocked = false;
    while ((allowed = allowance(run, lane)) > 0) {
        size_t position = lane->bytes_sent % tape_size;
        size_t wanted = allowed < tape_size - position ? allowed : tape_size - position;
        double started_s = now_s();
        ssize_t sent = write(lane->socket, lane->tape + position, wanted);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            fail("sending: %s", strerror(errno));
        if (sent > 0) {
            lane->bytes_sent += (uint64_t)sent;
            note_begun(run, lane, started_s);
        }
        if (sent < 0 || (size_t)sent < wanted) {
            lane->blocked = true;
            return;
        }
    }
}

static void take_answer(struct run *run, int index, struct reader answer, double at_s) {
    struct lane *lane = &run->lanes[index];
    if (lane->answered == lane->begun)
        fail("an answer came that nothing asked for");
    run->check(run, index, answer, (int32_t)(lane->answered % lane->tape_requests));
    samples_add(&run->latencies, at_s - lane->begun_at[lane->answered % (uint64_t)run->options->depth]);
    lane->answered++;
    run->answered++;
    run->elapsed_s = at_s;
}

static void receive_some(struct run *run, int index) {
    struct lane *lane = &run->lanes[index];
    ssize_t got = read(lane->socket, lane->inbox + lane->inbox_used, INBOX - lane->inbox_used);
    if (got == 0)
        fail("the broker closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        fail("receiving: %s", strerror(errno));
    if (got <= 0)
        return;
    lane->inbox_used += (size_t)got;
    size_t at = 0;
    double at_s = now_s();
    while (lane->inbox_used - at >= 4) {
        size_t size = load_u32(lane->inbox + at);
        if (size > INBOX - 4)
            fail("an answer of %zu bytes", size);
        if (lane->inbox_used - at < 4 + size)
            break;
        const uint8_t *frame = lane->inbox + at + 4;
        take_answer(run, index, (struct reader){frame, frame + size}, at_s);
        at += 4 + size;
    }
    memmove(lane->inbox, lane->inbox + at, lane->inbox_used - at);
    lane->inbox_used -= at;
}

static bool finished(const struct run *run) {
    if (!run->stopping)
        return false;
    for (int i = 0; i < run->options->connections; i++)
        if (run->lanes[i].answered < run->lanes[i].begun)
            return false;
    return true;
}

static void serve_lanes(struct run *run, struct pollfd *polled) {
    int connections = run->options->connections;
    for (int i = 0; i < connections; i++)
        polled[i].events = (short)(POLLIN | (run->lanes[i].blocked ? POLLOUT : 0));
    if (poll(polled, (nfds_t)connections, 100) < 0 && errno != EINTR)
        fail("poll: %s", strerror(errno));
    for (int i = 0; i < connections; i++) {
        if (polled[i].revents & (POLLIN | POLLERR | POLLHUP))
            receive_some(run, i);
        send_some(run, &run->lanes[i]);
    }
}

void run_lanes(struct run *run) {
    int connections = run->options->connections;
    struct pollfd *polled = allocate((size_t)connections * sizeof *polled);
    samples_open(&run->latencies, MAX_SAMPLES);
    for (int i = 0; i < connections; i++)
        polled[i].fd = run->lanes[i].socket;
    double started_s = now_s(), end_s = started_s + run->options->seconds;
    for (int i = 0; i < connections; i++)
        send_some(run, &run->lanes[i]);
    while (!finished(run)) {
        serve_lanes(run, polled);
        double t = now_s();
        if (t >= end_s)
            run->stopping = true;
        if (t >= end_s + DRAIN_S)
            fail("requests were not answered within %d s", DRAIN_S);
    }
    run->elapsed_s -= started_s;
    samples_sort(&run->latencies);
}
