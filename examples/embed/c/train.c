/* train.c: trains a small network through mascon_ops.h, without Lua, on drawn pictures.
 *     train [STEPS]
 * One block of convolution, ReLU and pooling, and a linear layer; Adam. Prints the loss. */
#include <mascon_data.h>
#include <mascon_ops.h>
#include <stdio.h>
#include <stdlib.h>

#define TRY(call)            \
    if ((call) != MASCON_OK) \
    return fprintf(stderr, "%s: %s\n", mascon_last_error()->op, mascon_last_error()->message), 1

enum { PARAMETERS = 4, BATCH = 32 };
static mascon_tensor
    *parameters[4 * PARAMETERS]; /* then gradients, means and squares, as adam wants them */
static mascon_adam_options adam;

static int make_parameter(int i, int ndim, const int64_t *shape, double spread,
                          mascon_generator *g) {
    mascon_uniform_options range = mascon_uniform_defaults();
    mascon_fill_options zero = mascon_fill_defaults();
    zero.value = 0;
    range.from = -spread;
    range.to = spread;
    for (int k = 0; k < 4; k += k ? 1 : 2) { /* no gradient yet */
        TRY(mascon_tensor_new(&parameters[i + k * PARAMETERS], MASCON_DTYPE_F32, ndim, shape,
                              MASCON_DEVICE_CPU));
    }
    TRY(mascon_uniform_in_place(parameters[i], g, &range));
    for (int k = 2; k < 4; k++) TRY(mascon_fill_in_place(parameters[i + k * PARAMETERS], &zero));
    TRY(mascon_tensor_set_requires_grad(parameters[i], 1));
    return 0;
}

/* One step on a batch; *loss gets the loss. The graph is freed by the backward pass. */
static int step(mascon_tensor *x, mascon_tensor *labels, int64_t number, double *loss) {
    mascon_tensor *a, *b, *c, *d, *scores, *y;
    mascon_backward *pass;
    mascon_conv2d_options same = mascon_conv2d_defaults();
    mascon_max_pool2d_options pool = mascon_max_pool2d_defaults();
    mascon_flatten_options flat = mascon_flatten_defaults();
    int32_t what;
    uint64_t id;
    same.padding[0] = same.padding[1] = 1;
    pool.kernel_size[0] = pool.kernel_size[1] = 4;
    flat.start_dim = 1;
    TRY(mascon_conv2d(&a, x, parameters[0], parameters[1], &same));
    TRY(mascon_relu(&b, a));
    TRY(mascon_max_pool2d(&c, NULL, b, &pool));
    TRY(mascon_flatten(&d, c, &flat));
    TRY(mascon_linear(&scores, d, parameters[2], parameters[3]));
    TRY(mascon_cross_entropy(&y, scores, labels, NULL, NULL));
    TRY(mascon_tensor_item(y, loss));
    TRY(mascon_backward_begin(&pass, y, NULL, NULL, 0, 0));
    TRY(mascon_backward_next(pass, &what, &id));
    mascon_backward_end(pass);
    for (int i = 0; i < PARAMETERS; i++)
        TRY(mascon_tensor_grad(parameters[i], &parameters[PARAMETERS + i]));
    adam.step = number;
    TRY(mascon_adam(parameters, 4 * PARAMETERS, &adam));
    for (int i = 0; i < PARAMETERS; i++) {
        mascon_tensor_release(parameters[PARAMETERS + i]);
        TRY(mascon_tensor_set_grad(parameters[i], NULL));
    }
    for (int i = 0; i < 6; i++)
        mascon_tensor_release((mascon_tensor *[]){a, b, c, d, scores, y}[i]);
    return 0;
}

int main(int argc, char **argv) {
    int64_t steps = argc > 1 ? atoll(argv[1]) : 200, order[1024], number = 0;
    mascon_generator *g;
    mascon_source *pictures;
    mascon_pipeline *prepare;
    mascon_loader *loader;
    adam = mascon_adam_defaults();
    adam.lr = 0.003;
    TRY(mascon_generator_new(&g, 42));
    if (make_parameter(0, 4, (int64_t[]){8, 3, 3, 3}, 0.19, g) ||
        make_parameter(1, 1, (int64_t[]){8}, 0.19, g) ||
        make_parameter(2, 2, (int64_t[]){10, 512}, 0.04, g) ||
        make_parameter(3, 1, (int64_t[]){10}, 0.04, g))
        return 1;
    TRY(mascon_source_fake(&pictures, 1024, 10, 32, 32, 0));
    TRY(mascon_pipeline_new(&prepare));
    TRY(mascon_pipeline_add(prepare, "to_tensor", NULL, 0));
    TRY(mascon_pipeline_add(prepare, "normalize", (double[]){0.5, 0.25}, 2));
    TRY(mascon_loader_new(&loader, pictures, prepare, BATCH, 1, 1, 2));
    for (uint64_t epoch = 0; number < steps; epoch++) {
        mascon_tensor *batch[8];
        int32_t n;
        mascon_shuffle(42, epoch, 1024, order);
        TRY(mascon_loader_begin(loader, order, 1024, 0));
        while (number < steps) {
            double loss;
            TRY(mascon_loader_next(loader, 0, batch, &n));
            if (n == 0) break;
            if (step(batch[0], batch[1], ++number, &loss)) return 1;
            if (number == 1 || number % 20 == 0)
                printf("step %lld loss %.4f\n", (long long)number, loss);
            for (int i = 0; i < n; i++) mascon_tensor_release(batch[i]);
        }
    }
    for (int i = 0; i < 4 * PARAMETERS; i++) {
        if (i / PARAMETERS != 1) mascon_tensor_release(parameters[i]);
    }
    mascon_loader_release(loader);
    mascon_pipeline_release(prepare);
    mascon_source_release(pictures);
    mascon_generator_release(g);
    return 0;
}
