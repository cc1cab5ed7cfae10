/* server.c: answers pictures with a saved model, without Lua.
 *     server MODEL SOCKET    a Unix socket, a thread for each client;  "-": standard input and output
 * A line is the name of a JPEG or PNG file; the answer is "class score", or "error: " and a sentence.
 * Classes count from 0. The model takes {batch, 3, height, width} of values 0..1 and gives scores. */
#include <mascon_data.h>
#include <mascon_model.h>
#include <mascon_ops.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static mascon_model *model;
static mascon_pipeline *prepare; /* resize, then 0..1 */

static int classify(const char *path, double *class, double *score) {
    mascon_image_options rgb = {.max_pixels = 64000000, .channels = 3};
    mascon_unsqueeze_options front = {.dim = 0};
    mascon_softmax_options over = {.dim = 1};
    mascon_max_options along = {.dim = 1};
    mascon_tensor *t[7] = {NULL};
    int32_t damaged;
    int good = mascon_image_read(path, &rgb, &t[0], &damaged) == MASCON_OK &&
               mascon_pipeline_apply(prepare, t[0], &t[1]) == MASCON_OK &&
               mascon_unsqueeze(&t[2], t[1], &front) == MASCON_OK &&
               mascon_model_run(model, &t[2], 1, &t[3], 1) == MASCON_OK &&
               mascon_softmax(&t[4], t[3], &over) == MASCON_OK &&
               mascon_max(&t[5], &t[6], t[4], &along) == MASCON_OK &&
               mascon_tensor_item(t[5], score) == MASCON_OK &&
               mascon_tensor_item(t[6], class) == MASCON_OK;
    for (int i = 0; i < 7; i++) mascon_tensor_release(t[i]);
    return good;
}

static void serve(FILE *in, FILE *out) {
    char line[4096];
    double class, score;
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        if (classify(line, &class, &score)) {
            fprintf(out, "%.0f %.4f\n", class, score);
        } else {
            fprintf(out, "error: %s\n", mascon_last_error()->message);
        }
        fflush(out);
    }
}

static void *client(void *socket) {
    FILE *in = fdopen((int)(intptr_t)socket, "r"), *out = fdopen(dup((int)(intptr_t)socket), "w");
    if (in && out) serve(in, out);
    if (in) fclose(in);
    if (out) fclose(out);
    return NULL;
}

static void serve_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_t thread;
    int next, fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    signal(SIGPIPE, SIG_IGN); /* a client may leave before its answer */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0) {
        while ((next = accept(fd, NULL, NULL)) >= 0)
            if (pthread_create(&thread, NULL, client, (void *)(intptr_t)next) == 0)
                pthread_detach(thread);
            else
                close(next);
    }
    perror(path);
}

int main(int argc, char **argv) {
    const int64_t *size = NULL;
    if (argc != 3) return fprintf(stderr, "usage: server MODEL SOCKET|-\n"), 2;
    if (mascon_model_load(&model, argv[1]) != MASCON_OK)
        return fprintf(stderr, "%s\n", mascon_last_error()->message), 1;
    if (mascon_model_shape(model, MASCON_MODEL_INPUT, 0, &size) != 4)
        return fprintf(stderr, "%s: the model takes no pictures\n", argv[1]), 1;
    if (mascon_pipeline_new(&prepare) != MASCON_OK ||
        mascon_pipeline_add(prepare, "resize", (double[]){size[2], size[3], 1, 1, 0}, 5) ||
        mascon_pipeline_add(prepare, "to_tensor", NULL, 0) != MASCON_OK)
        return fprintf(stderr, "%s\n", mascon_last_error()->message), 1;
    strcmp(argv[2], "-") == 0 ? serve(stdin, stdout) : serve_socket(argv[2]);
    mascon_pipeline_release(prepare);
    mascon_model_release(model);
    return 0;
}
