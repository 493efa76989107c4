/* kload: a Kafka load generator that costs little CPU itself. Requests are encoded before the clock starts; every
 * answer is checked for its error code, topic, partition and offset. Usage: kload COMMAND --option value ... */
#include "commands.h"
#include "system.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name;
    void (*run)(const struct options *);
} commands[] = {{"produce", produce}, {"fetch", fetch}, {"latency", latency}, {"commit", commit}, {"verify", verify}};

static const struct option known[] = {
    {"host", required_argument, NULL, 'h'},         {"port", required_argument, NULL, 'p'},
    {"topic", required_argument, NULL, 't'},        {"batch", required_argument, NULL, 'b'},
    {"records", required_argument, NULL, 'r'},      {"acks", required_argument, NULL, 'a'},
    {"depth", required_argument, NULL, 'd'},        {"connections", required_argument, NULL, 'c'},
    {"partitions", required_argument, NULL, 'n'},   {"seconds", required_argument, NULL, 's'},
    {"max-bytes", required_argument, NULL, 'm'},    {"fetch-bytes", required_argument, NULL, 'f'},
    {"interval-ms", required_argument, NULL, 'i'},  {"count", required_argument, NULL, 'k'},
    {NULL, 0, NULL, 0},
};

static double number(const char *text, double least) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || *end != '\0' || end == text || value < least)
        fail("%s is not a number of %g or more", text, least);
    return value;
}

static void set(struct options *o, int option, const char *text) {
    switch (option) {
    case 'h': o->host = text; break;
    case 'p': o->port = (int)number(text, 1); break;
    case 't': o->topic = text; break;
    case 'b': o->batch_path = text; break;
    case 'r': o->records = (int32_t)number(text, 1); break;
    case 'a': o->acks = (int16_t)number(text, -1); break;
    case 'd': o->depth = (int)number(text, 1); break;
    case 'c': o->connections = (int)number(text, 1); break;
    case 'n': o->partitions = (int32_t)number(text, 1); break;
    case 's': o->seconds = number(text, 0); break;
    case 'm': o->max_bytes = (int64_t)number(text, 0); break;
    case 'f': o->fetch_bytes = (int32_t)number(text, 1); break;
    case 'i': o->interval_ms = number(text, 0); break;
    case 'k': o->count = (int)number(text, 1); break;
    default: fail("unknown option");
    }
}

static void check(const struct options *o, const char *command) {
    if (o->port == 0 || o->topic == NULL)
        fail("%s needs --port and --topic", command);
    if (strlen(o->topic) > 249)
        fail("a topic name has at most 249 characters");
    if (strcmp(command, "fetch") != 0 && strcmp(command, "commit") != 0 && (o->batch_path == NULL || o->records == 0))
        fail("%s needs --batch and --records", command);
    if (o->acks == 0)
        fail("acks 0 is not answered, so that nothing could be checked");
}

int main(int argc, char **argv) {
    struct options options = {.host = "127.0.0.1", .acks = -1, .depth = 1, .connections = 1, .partitions = 1,
                              .seconds = 1, .fetch_bytes = 1 << 20, .interval_ms = 2, .count = 1000};
    if (argc < 2)
        fail("say which: produce, fetch, latency, commit or verify");
    signal(SIGPIPE, SIG_IGN);
    for (int found; (found = getopt_long(argc - 1, argv + 1, "", known, NULL)) != -1;)
        set(&options, found, optarg);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            check(&options, argv[1]);
            commands[i].run(&options);
            return 0;
        }
    fail("no command %s", argv[1]);
}
