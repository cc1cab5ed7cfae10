/* server.c: answers pictures with a saved model, without Lua.
 *     server MODEL SOCKET     listens on a Unix socket; each client has a thread of its own
 *     server MODEL -          standard input and output
 * A line is the name of a JPEG or PNG file; the answer is "class score", or "error: " and a sentence.
 * Classes count from 0. The model takes {batch, 3, height, width} of values 0..1 and gives scores. */
#include <mascon_data.h>
#include <mascon_model.h>
#include <mascon_ops.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRY(call) \
    if ((status = (call)) != MASCON_OK) goto done

static mascon_model *model;
static mascon_pipeline *prepare; /* resize, then 0..1 */

static mascon_status classify(const char *path, double *best, double *score) {
    mascon_image_options as_rgb = {.max_pixels = 64000000, .channels = 3};
    mascon_tensor *picture = NULL, *x = NULL, *batch = NULL, *scores = NULL, *p = NULL, *top = NULL,
                  *at = NULL;
    mascon_unsqueeze_options front = mascon_unsqueeze_defaults();
    mascon_softmax_options over = mascon_softmax_defaults();
    mascon_status status;
    int32_t damaged;
    front.dim = 0;
    over.dim = 1;
    TRY(mascon_image_read(path, &as_rgb, &picture, &damaged));
    TRY(mascon_pipeline_apply(prepare, picture, &x));
    TRY(mascon_unsqueeze(&batch, x, &front));
    TRY(mascon_model_run(model, &batch, 1, &scores, 1));
    TRY(mascon_softmax(&p, scores, &over));
    TRY(mascon_argmax(&at, p, NULL));
    TRY(mascon_max(&top, NULL, p, NULL));
    TRY(mascon_tensor_item(at, best));
    status = mascon_tensor_item(top, score);
done:
    for (int i = 0; i < 7; i++) {
        mascon_tensor_release((mascon_tensor *[]){picture, x, batch, scores, p, top, at}[i]);
    }
    return status;
}

static void serve(FILE *in, FILE *out) {
    char line[4096];
    double best, score;
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        if (classify(line, &best, &score) == MASCON_OK) {
            fprintf(out, "%.0f %.4f\n", best, score);
        } else {
            fprintf(out, "error: %s\n", mascon_last_error()->message);
        }
        fflush(out);
    }
}

static void *client(void *socket) {
    int fd = (int)(intptr_t)socket;
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    if (in && out) serve(in, out);
    if (in) fclose(in);
    if (out) fclose(out);
    return NULL;
}

static int listen_on(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0)
        return -1;
    return fd;
}

int main(int argc, char **argv) {
    const int64_t *size;
    mascon_status status = MASCON_E_ARG;
    if (argc != 3) return fprintf(stderr, "usage: server MODEL SOCKET|-\n"), 2;
    TRY(mascon_model_load(&model, argv[1]));
    if (mascon_model_shape(model, MASCON_MODEL_INPUT, 0, &size) != 4)
        return fprintf(stderr, "no picture model\n"), 1;
    TRY(mascon_pipeline_new(&prepare));
    TRY(mascon_pipeline_add(prepare, "resize",
                            (double[]){(double)size[2], (double)size[3], 1, 1, 0}, 5));
    TRY(mascon_pipeline_add(prepare, "to_tensor", NULL, 0));
    if (strcmp(argv[2], "-") == 0) {
        serve(stdin, stdout);
    } else {
        int fd = listen_on(argv[2]);
        while (fd >= 0) {
            pthread_t thread;
            int next = accept(fd, NULL, NULL);
            if (next >= 0 && pthread_create(&thread, NULL, client, (void *)(intptr_t)next) == 0)
                pthread_detach(thread);
        }
        perror(argv[2]);
    }
    mascon_pipeline_release(prepare);
    mascon_model_release(model);
done:
    if (status != MASCON_OK) fprintf(stderr, "%s\n", mascon_last_error()->message);
    return status != MASCON_OK;
}
