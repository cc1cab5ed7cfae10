/* model.c: fuzz target: saved models. An input that begins as JSON is a program, whose weights are made
 * up; another one is a file. Built with the real core and ops, and with a CPU that has memory but no
 * kernels: nothing of a model runs.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model/model.h"

/* ---- A CPU without kernels ---- */

static mascon_status host_alloc(int32_t device, size_t bytes, void **out) {
    (void)device;
    *out = malloc(bytes ? bytes : 1);
    return *out ? MASCON_OK : masconI_fail(MASCON_E_OOM, "no memory for %zu bytes", bytes);
}

static void host_free(int32_t device, void *block) {
    (void)device;
    free(block);
}

static const mascon_kernel *const kernels[MASCON_OP_COUNT];

const mascon_backend masconI_backend_cpu = {.abi = MASCON_BACKEND_ABI,
                                            .size = sizeof(mascon_backend),
                                            .name = "cpu",
                                            .alloc = host_alloc,
                                            .free = host_free,
                                            .kernels = kernels};
const mascon_backend masconI_backend_reference = {.abi = MASCON_BACKEND_ABI,
                                                  .size = sizeof(mascon_backend),
                                                  .name = "reference",
                                                  .alloc = host_alloc,
                                                  .free = host_free,
                                                  .kernels = kernels};

/* ---- The target ---- */

/* Weights of shapes that follow from their names, so that inputs can hit and miss. */
static mascon_status invent_weights(mascon_model *m) {
    for (int32_t i = 0; i < m->n_weights; i++) {
        const char *name = m->weights[i].name;
        int bias = strstr(name, "bias") || strstr(name, "mean") || strstr(name, "var");
        mascon_meta meta = {.dtype = MASCON_DTYPE_F32, .ndim = bias ? 1 : 2, .shape = {2, 4}};
        if (strstr(name, "conv")) {
            masconI_meta(&meta, MASCON_DTYPE_F32, bias ? 1 : 4, (int64_t[]){4, 3, 3, 3});
        }
        MASCON_TRY(masconI_tensor_meta(&m->weights[i].tensor, &meta, MASCON_DEVICE_CPU));
    }
    return MASCON_OK;
}

static void read_program(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    mascon_model *m = calloc(1, sizeof *m);
    if (!text || !m) abort();
    memcpy(text, data, size);
    text[size] = 0;
    m->arena = (masconI_arena){.limit = masconI_limits_default()->meta_bytes, .path = "program"};
    if (fuzz_check(masconI_model_parse(m, text, size, "program")) &&
        fuzz_check(invent_weights(m))) {
        fuzz_check(masconI_model_check(m));
    }
    mascon_model_release(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size && data[0] == '{') {
        read_program(data, size);
        return 0;
    }
    mascon_model *m = NULL;
    if (fuzz_check(mascon_model_load(&m, fuzz_file(data, size)))) {
        mascon_model_name(m, MASCON_MODEL_OUTPUT, 0);
        mascon_model_release(m);
    }
    return 0;
}
