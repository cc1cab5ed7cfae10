/* test_dnnl.c: oneDNN's convolutions write nothing behind the scratch memory that they are given, and a
 * process may end while threads are in oneDNN. */
#include "cpu/dnnl.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum { BEHIND = 1 << 20, SIGN = 0xa5 };

static float *numbers(int64_t n) {
    float *p = malloc(sizeof *p * (size_t)n);
    for (int64_t i = 0; p && i < n; i++) p[i] = (float)(i % 7) - 3;
    return p;
}

/* A pass of a {oc, c, k, k} convolution over one {c, size, size} picture. */
static int check(int kind, int64_t c, int64_t oc, int64_t k, int64_t step, int64_t size) {
    const int64_t to = (size - k) / step + 1;
    const masconI_conv v = {.kind = kind,
                            .n = 1,
                            .c = c,
                            .h = size,
                            .w = size,
                            .oc = oc,
                            .oh = to,
                            .ow = to,
                            .kh = k,
                            .kw = k,
                            .sh = step,
                            .sw = step,
                            .dh = 1,
                            .dw = 1,
                            .bottom = (to - 1) * step + k - size,
                            .right = (to - 1) * step + k - size,
                            .groups = 1};
    masconI_dnnl *d;
    EXPECT(masconI_dnnl_new(&v, &d) == MASCON_OK);
    if (!d) return 0;
    const size_t scratch = (masconI_dnnl_scratch(d) + 63) & ~(size_t)63;
    const size_t packed = masconI_dnnl_packed(d) / sizeof(float) + 1;
    float *x = numbers(c * size * size), *y = numbers(oc * to * to);
    float *weight = numbers(oc * c * k * k + (int64_t)packed);
    void *room;
    EXPECT(posix_memalign(&room, 64, scratch + BEHIND) == 0 && x && y && weight);
    memset(room, SIGN, scratch + BEHIND);
    EXPECT(masconI_dnnl_run(d, x, weight, NULL, y, room) == MASCON_OK);
    const unsigned char *behind = (unsigned char *)room + scratch;
    for (size_t i = 0; i < BEHIND; i++) EXPECT(behind[i] == SIGN);
    free(room);
    free(weight);
    free(y);
    free(x);
    masconI_dnnl_free(d);
    return 0;
}

enum { SIZE = 48 };
static float product[SIZE * SIZE];

static mascon_status multiply(float *c) {
    return masconI_dnnl_gemm(0, 1, SIZE, SIZE, SIZE, product, SIZE, product, SIZE, 0, c, SIZE);
}

/* Calls until the process ends, or is about to: then calls fail. */
static void *work(void *unused) {
    static _Thread_local float c[SIZE * SIZE];
    while (multiply(c) == MASCON_OK && check(MASCON_CONV_FORWARD, 8, 8, 3, 1, 12) == 0) continue;
    return unused;
}

/* A process of its own calls exit() while its threads are at work; whether that ended well. */
static int check_exit(int milliseconds) {
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        pthread_t threads[3];
        float c[SIZE * SIZE];
        if (!freopen("/dev/null", "w", stderr)) _exit(2); /* the checks of calls that fail */
        if (multiply(c) != MASCON_OK || check(MASCON_CONV_FORWARD, 8, 8, 3, 1, 12)) _exit(3);
        for (int i = 0; i < 3; i++) {
            if (pthread_create(&threads[i], NULL, work, NULL) != 0) _exit(4);
        }
        usleep(1000 * (useconds_t)milliseconds);
        exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

int main(void) {
    for (int i = 0; masconI_dnnl_usable(NULL) && i < 8; i++) {
        if (check_exit(i)) return 1;
    }
    static const int64_t channels[][2] = {{1, 8},   {2, 3},  {3, 32}, {7, 64},
                                          {11, 13}, {15, 6}, {40, 9}};
    for (int kind = MASCON_CONV_FORWARD; kind <= MASCON_CONV_BWD_WEIGHT; kind++) {
        for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
            const int64_t c = channels[i][0], oc = channels[i][1];
            if (check(kind, c, oc, 1, 2, 90) || check(kind, c, oc, 1, 3, 60) ||
                check(kind, c, oc, 1, 2, 6) || check(kind, c, oc, 3, 2, 20)) {
                fprintf(stderr, "pass %d of %d to %d channels\n", kind, (int)c, (int)oc);
                return 1;
            }
        }
    }
    return 0;
}
