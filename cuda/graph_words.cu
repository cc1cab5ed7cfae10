/* graph_words.cu: brings the words that differ from replay to replay to the device, in the order of its
 * stream. They travel as a kernel's arguments, so the host need not wait before it changes its own. */
#include "cuda/device.cuh"

namespace {

constexpr int most_words = 960; /* arguments of 4 KB at most */

struct words {
    uint32_t v[most_words];
};

/* to {bytes} */
__global__ void write_words(const __grid_constant__ words w, int32_t bytes, uint8_t *to) {
    for (int32_t i = (int32_t)threadIdx.x * 4; i < bytes; i += THREADS * 4) {
        const uint32_t word = w.v[i / 4];
        if (i + 4 <= bytes) {
            *(uint32_t *)(to + i) = word;
            continue;
        }
        for (int32_t k = i; k < bytes; k++) to[k] = (uint8_t)(word >> 8 * (k - i));
    }
}

}  // namespace

mascon_status masconG_write_words(void *to, const void *from, size_t bytes, cudaStream_t stream) {
    for (size_t at = 0; at < bytes; at += sizeof(words)) {
        const size_t left = bytes - at, n = left < sizeof(words) ? left : sizeof(words);
        words w = {};
        memcpy(&w, (const char *)from + at, n);
        MASCON_TRY(launch(write_words, dim3(1), dim3(THREADS), 0, stream, w, (int32_t)n,
                          (uint8_t *)to + at));
    }
    return MASCON_OK;
}
