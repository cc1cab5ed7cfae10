/* wait.h: waiting for another thread in steps, so that requests to stop are looked at in between. */
#ifndef MASCON_HOST_WAIT_H
#define MASCON_HOST_WAIT_H

#include <pthread.h>
#include <time.h>

/* Waits for the condition, a twentieth of a second at most; with the lock held. */
static inline void masconI_wait_briefly(pthread_cond_t *condition, pthread_mutex_t *lock) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(condition, lock, &until);
}

#endif
