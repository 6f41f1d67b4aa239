/* The three kinds of run: live for a time, so many puts, and the drain; and what each of them reports. */
#include <stdio.h>
#include <sys/resource.h>

#include "run.h"

size_t payload_size = 1024;
uint32_t nonce, base, flow_count;
struct flow *flows;
struct run run;
double patience = 10; /* s, for what is under way at the end of a run */
bool broken;

static uint64_t done(const struct flow *flow) {
    if (run.accepts && run.delivers)
        return flow->accepted < flow->delivered ? flow->accepted : flow->delivered;
    return run.accepts ? flow->accepted : flow->delivered;
}

static void fill(struct flow *flow) {
    while (run.sending && flow->sender && flow->sent < run.limit && flow->sent - done(flow) < run.window) {
        flow->sent_at[flow->sent % RING] = run.now;
        dialect->put(flow, flow->sent++);
    }
}

void moved(struct flow *flow) {
    fill(flow);
}

static uint64_t finished(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < flow_count; i++)
        sum += done(&flows[i]);
    return sum;
}

static uint64_t unfinished(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < flow_count; i++)
        sum += flows[i].sent - done(&flows[i]);
    return sum;
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void show(uint64_t count, double taken, double used, uint64_t all) {
    printf("{\"finished\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"cpu\":%.3f,\"lost\":%llu,\"twice\":%llu,\"disordered\":%llu,\"altered\":%llu,\"all\":%llu}\n",
           (unsigned long long)count, taken, (double)count / taken, (double)quantile(0.5) / 1e3,
           (double)quantile(0.99) / 1e3, used / taken, (unsigned long long)run.lost,
           (unsigned long long)run.twice, (unsigned long long)run.disordered, (unsigned long long)run.altered,
           (unsigned long long)all);
    fflush(stdout);
    broken = broken || run.lost || run.twice || run.disordered || run.altered;
}

static void settle(void) {
    double end = seconds() + patience;
    while (unfinished() && seconds() < end)
        turn(0.1, false);
    run.lost = unfinished();
}

static void begin_run(bool accepts, bool delivers, uint64_t window, uint64_t limit) {
    run = (struct run){.accepts = accepts, .delivers = delivers, .window = window, .limit = limit,
                       .now = nanoseconds(), .sending = true, .timed = delivers};
    if (window > RING && delivers)
        die("at most %d in flight", RING);
    forget_latencies();
}

static void start_flows(void) {
    for (uint32_t i = 0; i < flow_count; i++) {
        run.now = nanoseconds();
        fill(&flows[i]);
        flush();
    }
}

/* Send for so long; what counts is what was finished by then. */
void run_for(double length, uint64_t window) {
    begin_run(dialect->accepts, dialect->delivers, window, UINT64_MAX);
    uint64_t before = finished();
    double start = seconds(), used = cpu(), now = start;
    start_flows();
    for (int i = 0; (now = seconds()) < start + length; i++)
        turn(start + length - now, false);
    uint64_t count = finished() - before;
    used = cpu() - used;
    run.sending = false;
    settle();
    show(count, now - start, used, finished() - before);
}

/* Each sender puts so many, and nobody is there to take them. */
void put_all(uint64_t each, uint64_t window) {
    begin_run(true, false, window, 0);
    run.limit = each + (flow_count ? flows[0].sent : 0);
    uint64_t before = finished();
    double start = seconds(), used = cpu(), end = start + 12 * patience;
    start_flows();
    while (unfinished() && seconds() < end)
        turn(1, false);
    run.lost = unfinished();
    show(finished() - before, seconds() - start, cpu() - used, finished() - before);
}

/* Every recipient comes for what waits. */
void drain(void) {
    begin_run(false, true, 1, 0);
    run.sending = run.timed = false;
    uint64_t before = finished(), last = before;
    double start = seconds(), used = cpu(), heard = start;
    for (uint32_t i = 0; i < conn_count; i++)
        dialect->pull(conns[i]);
    while (unfinished() && seconds() < heard + patience) {
        turn(1, false);
        if (finished() != last)
            last = finished(), heard = seconds();
    }
    run.lost = unfinished();
    show(finished() - before, seconds() - start, cpu() - used, finished() - before);
}
