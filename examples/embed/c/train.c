/* train.c: trains a small network through mascon_ops.h, without Lua, on drawn pictures.
 *     train [STEPS]
 * A convolution, a linear layer and SGD. Prints the loss. */
#include <mascon_data.h>
#include <mascon_ops.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARAMETERS = 4, PICTURES = 1024, BATCH = 32 };
static mascon_tensor *list[2 * PARAMETERS]; /* parameters and gradients, as mascon_sgd wants them */

static void must(mascon_status status) {
    if (status == MASCON_OK) return;
    fprintf(stderr, "%s: %s\n", mascon_last_error()->op, mascon_last_error()->message);
    exit(1);
}

static void make_parameter(int i, int ndim, const int64_t *shape, mascon_generator *g) {
    mascon_uniform_options range = {.from = -0.1, .to = 0.1};
    must(mascon_tensor_new(&list[i], MASCON_DTYPE_F32, ndim, shape, MASCON_DEVICE_CPU));
    must(mascon_uniform_in_place(list[i], g, &range));
    must(mascon_tensor_set_requires_grad(list[i], 1));
}

static double step(mascon_tensor *x, mascon_tensor *labels) {
    mascon_conv2d_options conv = mascon_conv2d_defaults();
    mascon_flatten_options flat = mascon_flatten_defaults();
    mascon_sgd_options sgd = mascon_sgd_defaults();
    mascon_tensor *made[5]; /* what the layers give */
    mascon_backward *pass;
    int32_t what;
    uint64_t id;
    double loss;
    conv.stride[0] = conv.stride[1] = 4;
    flat.start_dim = 1; /* counted from 0 */
    sgd.lr = 0.1;
    must(mascon_conv2d(&made[0], x, list[0], list[1], &conv));
    must(mascon_relu(&made[1], made[0]));
    must(mascon_flatten(&made[2], made[1], &flat));
    must(mascon_linear(&made[3], made[2], list[2], list[3]));
    must(mascon_cross_entropy(&made[4], made[3], labels, NULL, NULL));
    must(mascon_tensor_item(made[4], &loss));
    must(mascon_backward_begin(&pass, made[4], NULL, NULL, 0, 0));
    must(mascon_backward_next(pass, &what, &id)); /* what: done, for no function is the host's */
    mascon_backward_end(pass);
    for (int i = 0; i < PARAMETERS; i++) must(mascon_tensor_grad(list[i], &list[PARAMETERS + i]));
    must(mascon_sgd(list, 2 * PARAMETERS, &sgd));
    for (int i = 0; i < PARAMETERS; i++) {
        mascon_tensor_release(list[PARAMETERS + i]);
        must(mascon_tensor_set_grad(list[i], NULL)); /* the next pass would add to it */
    }
    for (int i = 0; i < 5; i++) mascon_tensor_release(made[i]);
    return loss;
}

int main(int argc, char **argv) {
    const int steps = argc > 1 ? atoi(argv[1]) : 200;
    int64_t order[PICTURES];
    mascon_generator *g;
    mascon_source *pictures;
    mascon_pipeline *prepare;
    mascon_loader *loader;
    must(mascon_generator_new(&g, 42));
    make_parameter(0, 4, (int64_t[]){16, 3, 4, 4}, g); /* patches of 4 x 4 pixels */
    make_parameter(1, 1, (int64_t[]){16}, g);
    make_parameter(2, 2, (int64_t[]){10, 16 * 8 * 8}, g);
    make_parameter(3, 1, (int64_t[]){10}, g);
    must(mascon_source_fake(&pictures, PICTURES, 10, 32, 32, 0));
    must(mascon_pipeline_new(&prepare));
    must(mascon_pipeline_add(prepare, "to_tensor", NULL, 0));
    must(mascon_pipeline_add(prepare, "normalize", (double[]){0.5, 0.25}, 2));
    must(mascon_loader_new(&loader, pictures, prepare, BATCH, 1, 1, 2)); /* one thread beside */
    for (int number = 1; number <= steps; number++) {
        mascon_tensor *batch[8];
        int32_t fields;
        if (number % (PICTURES / BATCH) == 1) { /* the next epoch, in an order of its own */
            mascon_shuffle(42, (uint64_t)number, PICTURES, order);
            must(mascon_loader_begin(loader, order, PICTURES, 0));
        }
        must(mascon_loader_next(loader, 0, batch, &fields));
        double loss = step(batch[0], batch[1]);
        if (number == 1 || number % 20 == 0) printf("step %d loss %.4f\n", number, loss);
        for (int i = 0; i < fields; i++) mascon_tensor_release(batch[i]);
    }
    for (int i = 0; i < PARAMETERS; i++) mascon_tensor_release(list[i]);
    mascon_loader_release(loader);
    mascon_pipeline_release(prepare);
    mascon_source_release(pictures);
    mascon_generator_release(g);
    return 0;
}
