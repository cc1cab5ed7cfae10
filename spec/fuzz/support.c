/* support.c: what the fuzz targets share. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

const char *fuzz_file(const uint8_t *data, size_t size) {
    static int fd = -1;
    static char path[32];
    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0) abort();
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t)done);
        if (n <= 0) abort();
        done += (size_t)n;
    }
    return path;
}

int fuzz_check(mascon_status status) {
    if (status == MASCON_OK) return 1;
    const mascon_error *e = mascon_last_error();
    if (!e->message[0] || e->code != status) {
        fprintf(stderr, "status %d came without its sentence (%s)\n", status, e->message);
        abort();
    }
    return 0;
}

void fuzz_torch(const uint8_t *data, size_t size) {
    mascon_torch *t = NULL;
    mascon_node node;
    /* check sums would stop most changed files at once; sizes choose the other options */
    int32_t flags = MASCON_TORCH_NO_VERIFY;
    if (size & 1) flags |= MASCON_TORCH_SKIP_UNKNOWN;
    if (size & 2) flags |= MASCON_TORCH_ALLOW_EXPANDED | MASCON_TORCH_LENIENT_TAIL;
    if (!fuzz_check(mascon_torch_open(&t, fuzz_file(data, size), NULL, flags))) return;
    do {
        if (!fuzz_check(mascon_torch_next(t, &node))) break;
        if (node.kind != MASCON_NODE_TENSOR) continue;
        mascon_tensor *made = NULL;
        if (!fuzz_check(mascon_torch_tensor(t, node.count, &made))) continue;
        mascon_tensor_find_nonfinite(made);
        mascon_tensor_release(made);
    } while (node.kind != MASCON_NODE_END);
    mascon_torch_close(t);
}
