/* One run: what is counted, and what follows when a frame has moved on. */
#ifndef RUN_H
#define RUN_H

#include "load.h"

struct run {
    bool accepts, delivers; /* what a frame needs to be finished */
    uint64_t window, limit; /* frames in flight per flow; frames in all per flow */
    uint64_t now;           /* ns, at the last read */
    uint64_t finished, twice, disordered, altered, lost;
    bool sending, timed;
};

extern struct run run;
extern double patience;
extern bool broken;

void moved(struct flow *);
void run_for(double length, uint64_t window);
void put_all(uint64_t each, uint64_t window);
void drain(void);
void measured(uint64_t ns);
uint64_t quantile(double);
void forget_latencies(void);

#endif
